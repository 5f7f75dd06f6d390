//! An attacker's suite: whoever may write where the agent works as root, or as a user, gets nothing by it.
//!
//! Each case plants a tree, has the agent do something in it, and looks that it was refused in words and that nothing of
//! the victim's has changed: no byte, no owner, no mode. The users are real ones: it needs root, and fails without it.

mod bench;
mod certificates;
mod processes;
mod programs;
mod races;
mod root;
mod user;

use ansai_model::action::EnvironmentKind;
use bench::{Bench, performed, written};

/// The agent as another user, which the cases begin by this name; begun by itself it looks that it is that user.
#[test]
fn the_agent_as_somebody_else() {
    match std::env::var(bench::ASKED) {
        Ok(asked) => {
            let run = serde_json::from_str(&asked).expect("an action");
            let outcome = bench::runtime().block_on(performed(&run, &bench::state()));
            println!("{}{}", bench::ANSWER, written(&outcome));
        }
        Err(_) => {
            let bench = Bench::of_user();
            bench.does(bench.entry("app/log", EnvironmentKind::Directory, None, None));
            assert_eq!(bench.owner("app/log"), bench::APP);
        }
    }
}
