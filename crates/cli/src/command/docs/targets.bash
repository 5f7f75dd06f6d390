
# The names of targets, as the running agent knows them: nginx.service, /var, api.example.com.
_ansai_with_targets() {
    _ansai "$@"
    local word names
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ "$word" == -* ]] || break
    done
    case "$word" in
        explain | heal | drill | hold | release | silence | unsilence | maintenance) ;;
        *) return ;;
    esac
    names=$(ansai status --json 2>/dev/null | sed -n 's/^ *"target": "[a-z]*\/\([^"]*\)",*$/\1/p')
    COMPREPLY+=($(compgen -W "$names" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _ansai_with_targets -o bashdefault -o default ansai
