//! What goes wrong with a host over SSH, in words with what to do.

use std::time::Duration;

use ansai_model::{text::Text, time::Shown};

/// Why a host is not reached, or has no agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshTrouble {
    pub(crate) what: String,
    pub(crate) todo: String,
}

/// Words of `ssh` and `sudo`, what they mean to people, and what to do. The first that is found counts.
const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host has another key than when it was added",
        "if it was installed anew: `ansai hosts remove` it and add it again, and compare the fingerprint; if not, somebody may be in between",
    ),
    (
        "Host key verification failed",
        "the host, or one on the way to it, is known by no key",
        "add it again, which shows its key: `ansai hosts remove`, then `ansai hosts add --ssh`",
    ),
    (
        "Connection refused",
        "nobody listens for SSH there",
        "start sshd there, or name its port in the controller's ssh/config",
    ),
    (
        "Could not resolve hostname",
        "the name is not known",
        "write it as `ssh` takes it, or name it in the controller's ssh/config",
    ),
    ("No route to host", "there is no way to it", "see to the network between the controller and the host"),
    ("Connection timed out", "it does not answer", "see whether it is on, and to the network in between"),
    ("Operation timed out", "it does not answer", "see whether it is on, and to the network in between"),
    (
        "Too many authentication failures",
        "sshd has heard of too many keys",
        "write `IdentitiesOnly yes` in the controller's ssh/config",
    ),
    ("Bad configuration option", "the configuration of ssh is wrong", "mend the controller's ssh/config"),
];

impl SshTrouble {
    pub(crate) fn new(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what: what.into(), todo: todo.into() }
    }

    /// By what `ssh` has said; `own_key` is the public key that the host must know.
    pub(crate) fn of_ssh(said: &str, own_key: &str) -> Option<Self> {
        if said.contains("Permission denied") {
            let todo = format!("append to ~/.ssh/authorized_keys of that user there: {own_key}");
            return Some(Self::new("the host lets the controller's key not in (permission denied)", todo));
        }
        let (_, what, todo) = MEANINGS.iter().find(|(words, ..)| said.contains(words))?;
        Some(Self::new(*what, *todo))
    }

    /// What `ssh` said last, when it is known no better.
    pub(crate) fn unknown(said: &str) -> Self {
        let last = last_word(said).unwrap_or("it said nothing");
        Self::new(
            format!("the connection ended: {last}"),
            "try the same by hand: ssh -o BatchMode=yes, as the controller's user",
        )
    }

    /// It took too long.
    pub(crate) fn slow(destination: &Text, within: Duration) -> Self {
        Self::new(
            format!("{destination} did not come to its end within {}", Shown(within)),
            "see whether a login there asks something or hangs: ssh -o BatchMode=yes DESTINATION true",
        )
    }

    /// The agent has gone.
    pub(crate) fn ended(said: &str) -> Self {
        let why = last_word(said).map_or_else(String::new, |last| format!(": {last}"));
        Self::new(format!("the connection to the agent ended{why}"), "it is begun again by itself")
    }

    /// What runs there is no agent of ours.
    pub(crate) fn no_agent(why: &str) -> Self {
        Self::new(
            format!("what was started there does not speak as an agent: {why}"),
            "see what it logs: journalctl -u ansai-controller",
        )
    }
}

/// What was said last by whoever gives up: an error of the agent, or else of `ssh`. What the agent logs begins with a blank,
/// and so does what helps against its error.
fn last_word(said: &str) -> Option<&str> {
    let error = |line: &&str| line.starts_with("ansai: ");
    let is_said = |line: &&str| !line.trim().is_empty() && !line.starts_with(' ');
    said.lines().rfind(error).or_else(|| said.lines().rfind(is_said)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_said_in_words_with_what_to_do() {
        for (said, word) in [
            ("root@web-01: Permission denied (publickey,password).", "permission denied"),
            ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "another key"),
            ("No ED25519 host key is known for web-01\nHost key verification failed.", "known by no key"),
            ("ssh: connect to host web-01 port 22: Connection refused", "nobody listens"),
            ("ssh: Could not resolve hostname web-01: Name or service not known", "name is not known"),
            ("ssh: connect to host web-01 port 22: Connection timed out", "does not answer"),
        ] {
            let trouble = SshTrouble::of_ssh(said, "ssh-ed25519 AAAA").expect(said);
            assert!(trouble.what.contains(word) && !trouble.todo.is_empty(), "{said}: {trouble:?}");
        }
        let denied = SshTrouble::of_ssh("Permission denied", "ssh-ed25519 AAAA").expect("known");
        assert!(denied.todo.contains("ssh-ed25519 AAAA"));
        assert_eq!(SshTrouble::of_ssh("kex_exchange_identification: read", ""), None);
        assert!(SshTrouble::unknown("one\ntwo\n\n").what.ends_with("two"), "its last word");
        let agent =
            " INFO watching\nansai: the agent cannot run: another one runs\n  help: see there\n INFO stopping\n";
        assert!(SshTrouble::unknown(agent).what.ends_with("another one runs"));
        assert_eq!(SshTrouble::ended(" INFO stopping\n").what, "the connection to the agent ended");
    }
}
