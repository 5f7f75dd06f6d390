
# What only the running agent and the configuration know: targets, incidents, holds, keys.
_ansai_with_names() {
    _ansai "$@"
    local words=() options=() of=() kind= names= word value= begun=${COMP_WORDS[COMP_CWORD]}
    case "${COMP_WORDS[COMP_CWORD-1]}" in
        --for | --until | --reason | --limit | --label | --address | --uses | --authority | --proxy | --wait | --soak | --canary)
            COMPREPLY=(); compopt +o default +o bashdefault 2>/dev/null; return ;;
        --host) kind=hosts COMPREPLY=() ;;
        --role) kind=roles COMPREPLY=() ;;
        --context) kind=contexts COMPREPLY=() ;;
    esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -n "$value" ]]; then options+=("$value" "$word"); value=; continue; fi
        case "$word" in
            --config | --state-dir | --runtime-dir | --hold-file | --host | --role | --label | --context) value=$word ;;
            --user) options+=("$word") ;;
            -*) ;;
            *) words+=("$word") ;;
        esac
    done
    [[ -n "$kind" ]] || case "${words[*]}" in
        "config explain") kind=keys ;;
        report) kind=incidents ;;
        approve | reject) kind=asking ;;
        drill) kind=to-drill ;;
        heal) kind=to-heal ;;
        release*) kind=holds ;;
        unsilence*) kind=silences ;;
        "maintenance end"*) kind=windows ;;
        "certificate renew" | "certificate revoke" | "certificate list"*) kind=certificates ;;
        "permits free") kind=permits ;;
        "hosts list"* | "hosts rename" | "hosts remove") kind=hosts ;;
        "context remove") kind=contexts ;;
        explain | hold* | silence* | status* | incidents* | "maintenance start"* | "maintenance list"*) kind=targets ;;
        "drill "*) kind=drill-kinds of=(--of="${words[1]}") ;;
        *) return ;;
    esac
    if [[ -n "$kind" ]]; then
        names=$(ansai "${options[@]}" complete "${of[@]}" "$kind" -- "$begun" 2>/dev/null)
    fi
    # Whoever has typed nothing yet looks for a name; options come once a dash is there.
    if [[ -z "$begun" && -n "$names" ]]; then COMPREPLY=(); fi
    # A name is a word and nothing more, whoever has given it: nothing in it is expanded here, or when it is run.
    while IFS= read -r word; do
        if [[ -n "$word" && "$word" == "$begun"* ]]; then
            printf -v word %q "$word"
            [[ " ${COMPREPLY[*]} " == *" $word "* ]] || COMPREPLY+=("$word")
        fi
    done <<< "$names"
}
complete -F _ansai_with_names -o bashdefault -o default ansai
