//! Before something is changed: its targets are shown, and a person agrees. What may be done at all is the gates'.

use std::io::{BufRead, IsTerminal, Write};

use ansai_model::{operator::Operation, text::visible};
use ansai_protocol::{SCHEMA, Would};
use serde_json::json;

use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show,
};

/// Above this many targets, their count is typed back.
const TARGETS_MAX: usize = 5;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256;

/// What must be typed for something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing: the preview is enough.
    Nothing,
    /// A yes.
    Yes,
    /// Exactly this, as the count or the name of what is changed.
    Text(String),
}

/// The targets in a line each, the first few of them.
pub(super) fn preview(what: &str, targets: &[String]) -> String {
    let s = if targets.len() == 1 { "" } else { "s" };
    let mut lines = vec![format!("{what}: {} target{s}", targets.len())];
    lines.extend(targets.iter().take(TARGETS_MAX).map(|target| format!("  {target}")));
    if targets.len() > TARGETS_MAX {
        lines.push(format!("  and {} more", targets.len() - TARGETS_MAX));
    }
    lines.join("\n")
}

/// What a change of so many targets needs, when few of them need nothing.
fn proof_for(targets: &[String]) -> Proof {
    if targets.len() > TARGETS_MAX { Proof::Text(targets.len().to_string()) } else { Proof::Nothing }
}

/// Asks the person at the terminal; without one, only `--yes` goes on.
///
/// # Errors
/// When nobody agrees.
pub(crate) fn ask(what: &str, proof: &Proof, consent: ConsentArgs) -> Result<(), Failure> {
    if consent.yes || *proof == Proof::Nothing {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let what = format!("nothing was done: nobody is there to confirm this: {what}");
        return Err(Failure::new(Code::Refused, what, "add --yes; --dry-run says what would be changed"));
    }
    let question = match proof {
        Proof::Text(text) => format!("{what}: type {text} to go on: "),
        Proof::Yes | Proof::Nothing => format!("{what}: go on? [y/N] "),
    };
    let mut out = std::io::stderr();
    // Whoever cannot see the question gives no answer, which is a no.
    let _ = out.write_all(visible(&question).as_bytes()).and_then(|()| out.flush());
    judge(proof, &answer(std::io::stdin().lock(), out))
}

/// What is answered. An answer that ends without its line, as by Ctrl-D, is given one, so that what follows stands on its own.
fn answer(input: impl BufRead, mut echo: impl Write) -> String {
    let mut line = String::new();
    // What cannot be read is no agreement.
    let _ = input.take(ANSWER_BYTES_MAX).read_line(&mut line);
    if !line.ends_with('\n') {
        let _ = echo.write_all(b"\n");
    }
    line.trim().to_owned()
}

fn judge(proof: &Proof, answer: &str) -> Result<(), Failure> {
    let agrees = match proof {
        Proof::Nothing => true,
        Proof::Yes => matches!(answer, "y" | "Y" | "yes"),
        Proof::Text(text) => answer == text,
    };
    if agrees { Ok(()) } else { Err(Failure::new(Code::Refused, "nothing was done", "")) }
}

/// Whether a person is asked about so many targets.
pub(super) fn is_asked(targets: &[String], consent: ConsentArgs) -> bool {
    !consent.yes && proof_for(targets) != Proof::Nothing
}

/// Says what is changed, then asks when it is many targets.
///
/// # Errors
/// When nobody agrees.
pub(super) fn announce(what: &str, targets: &[String], consent: ConsentArgs) -> Result<(), Failure> {
    show::note(&preview(what, targets));
    ask(what, &proof_for(targets), consent)
}

/// Says what would be changed, when the agent would not refuse it. Nothing is.
pub(crate) fn rehearse(paths: &Paths, what: &str, targets: &[String], operation: Operation) -> Result<Code, Failure> {
    let would = client::rehearse(paths, operation)?;
    let (told, targets_told) = (show::told(would.text.as_str(), &show::terminal().zone), preview(what, targets));
    match paths.json {
        true => {
            let would =
                json!({"schema": SCHEMA, "would": what, "targets": targets, "text": would.text, "steps": would.steps});
            show::print_json(&would);
        }
        false => show::print(&format!(
            "the answer would be: {told}\n{targets_told}{}\nnothing was changed (--dry-run)",
            steps(&would)
        )),
    }
    Ok(Code::Ok)
}

/// What the host would do, a line each, but for what the answer says already.
pub(super) fn steps(would: &Would) -> String {
    let steps = would.steps.iter().filter(|step| !would.text.as_str().contains(step.as_str()));
    steps.map(|step| format!("\n- {step}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("service/app@{number}.service")).collect()
    }

    #[test]
    fn the_count_is_typed_back_above_five_targets() {
        assert_eq!(proof_for(&names(5)), Proof::Nothing);
        let proof = proof_for(&names(6));
        assert_eq!(proof, Proof::Text("6".into()));
        for (answer, agrees) in [("6", true), ("y", false), ("yes", false), ("5", false), ("", false)] {
            assert_eq!(judge(&proof, answer).is_ok(), agrees, "{answer}");
        }
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, agrees) in [("y", true), ("yes", true), ("", false), ("n", false), ("yikes", false)] {
            assert_eq!(judge(&Proof::Yes, answer).is_ok(), agrees, "{answer}");
        }
    }

    #[test]
    fn an_answer_that_ends_without_its_line_is_given_one() {
        for (given, heard, echoed) in [("  yes \nmore", "yes", ""), ("", "", "\n"), ("y", "y", "\n")] {
            let mut echo = Vec::new();
            assert_eq!(answer(given.as_bytes(), &mut echo), heard, "{given:?}");
            assert_eq!(echo, echoed.as_bytes(), "{given:?}");
        }
    }

    #[test]
    fn a_preview_names_the_first_and_counts_the_rest() {
        let expected = "hold: 7 targets\n  service/app@0.service\n  service/app@1.service\n  service/app@2.service\n  \
                        service/app@3.service\n  service/app@4.service\n  and 2 more";
        assert_eq!(preview("hold", &names(7)), expected);
        assert_eq!(preview("hold", &names(1)), "hold: 1 target\n  service/app@0.service");
    }

    #[test]
    fn a_step_that_the_answer_names_is_not_told_twice() {
        let would = |steps: &[&str]| Would {
            schema: SCHEMA,
            text: "drill: ansai will kill app.service".into(),
            steps: steps.iter().map(|step| (*step).into()).collect(),
        };
        assert_eq!(steps(&would(&["kill app.service"])), "");
        assert_eq!(steps(&would(&["kill app.service", "ask the issuer"])), "\n- ask the issuer");
    }
}
