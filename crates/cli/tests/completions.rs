//! What bash offers, with the script that the program prints: commands, and names that only the agent, the configuration or the
//! controller knows.

use std::process::Command;

/// What bash offers behind these words, with an agent that has some targets.
fn completed(words: &str) -> String {
    let script = r#"
        ansai() {
            while [[ "$1" != complete ]]; do [[ "$1" == --user ]] && printf 'my-'; shift; done
            local of=; [[ "$2" == --of=* ]] && of=${2#--of=} && shift
            case "$2" in
                targets | to-drill) printf '%s\n' app.service /var a.b ;;
                incidents) printf '%s\n' i7 i12 ;;
                holds) printf '%s\n' --all '$(echo x>&2)' 'w*' holds ;;
                drill-kinds) [[ "$of" == app ]] && printf '%s\n' crash hang configuration ;;
                keys) printf '%s\n' services.app.service.cooldown ;;
                *) printf '%s\n' "$2" ;;
            esac
        }
        COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        $(complete -p ansai | sed 's/.*-F \([^ ]*\) .*/\1/') ansai "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s ' "${COMPREPLY[@]}""#;
    let generated = String::from_utf8(
        Command::new(env!("CARGO_BIN_EXE_ansai")).args(["completions", "bash"]).output().expect("run").stdout,
    )
    .expect("text");
    // It is longer than one argument may be.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{generated}\n{script}")).expect("written");
    let output = Command::new("bash").arg(file.path()).arg(words).output().expect("bash runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn bash_completes_commands_and_what_the_agent_and_the_configuration_know() {
    assert_eq!(completed("ansai expl"), "explain");
    assert_eq!(completed("ansai explain /v"), "/var");
    assert_eq!(completed("ansai --json hold a"), "app.service a.b");
    assert_eq!(completed("ansai report a"), "");
    assert_eq!(completed("ansai report i"), "i7 i12");
    assert_eq!(completed("ansai approve a"), "asking");
    assert_eq!(completed("ansai drill a"), "app.service a.b");
    assert_eq!(completed("ansai heal to"), "to-heal");
    assert_eq!(completed("ansai --config /x config explain serv"), "services.app.service.cooldown");
    assert_eq!(completed("ansai release h"), "holds");
    assert_eq!(completed("ansai release --al"), "--all");
    // What somebody has held by another name than that of a target is no command of whoever completes it.
    assert_eq!(completed("ansai release $"), r"\$\(echo\ x\>\&2\)");
    assert_eq!(completed("ansai release w"), r"w\*");
    assert_eq!(completed("ansai maintenance end w"), "windows");
    assert_eq!(completed("ansai --user explain my"), "my-app.service");
    assert_eq!(completed("ansai drill app c"), "crash configuration");
    assert_eq!(completed("ansai drill other c"), "", "what the agent would refuse");
    assert_eq!(completed("ansai hosts remove h"), "hosts");
    assert_eq!(completed("ansai hold --host h"), "hosts");
    assert_eq!(completed("ansai incidents --role r"), "roles");
    // A duration is nothing that can be offered, and no file either.
    assert_eq!(completed("ansai silence app --for a"), "");
}
