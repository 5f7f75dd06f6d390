//! Progress for a person who waits: short lines on standard error, with the time that has passed.
//!
//! It deliberately does not log, and draws nothing that a file or a CI log could not hold.

use std::io::Write as _;
use std::time::Instant;

/// Says one line on standard error; a closed standard error is no reason to fail.
pub fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{text}").ok();
}

/// A piece of work with a name, whose start and duration are told.
#[derive(Debug)]
pub struct Step {
    name: String,
    started: Instant,
}

impl Step {
    /// Announces the work.
    #[must_use]
    pub fn start(name: &str) -> Self {
        say(&format!("lab: {name} …"));
        Self { name: name.to_owned(), started: Instant::now() }
    }

    /// Tells that the work is done, and how long it took.
    pub fn done(self) {
        say(&format!("lab: {}: done in {:.1} s", self.name, self.started.elapsed().as_secs_f64()));
    }
}
