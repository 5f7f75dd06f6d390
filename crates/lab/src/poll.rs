//! Waiting for a condition with a deadline: the one place in which the lab lets time pass.
//!
//! It deliberately offers no plain sleep: whoever waits, says what for, and an expired wait names it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to pause between two looks when the look itself is dear (a command).
pub const INTERVAL: Duration = Duration::from_millis(20);

/// How long to pause between two looks when the look is cheap (a file in `/proc`).
pub const INTERVAL_FAST: Duration = Duration::from_micros(200);

/// Looks every `interval` until `look` returns a value or `limit` has passed.
///
/// An error of `look` ends the wait at once: it means that looking is impossible, not that the condition is false.
pub fn until<T>(
    what: &str,
    limit: Duration,
    interval: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if started.elapsed() >= limit {
            bail!("waited {:.1} s for {what}", limit.as_secs_f64());
        }
        std::thread::sleep(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_wait_names_what_was_awaited() {
        let error = until::<()>("the moon", Duration::from_millis(3), INTERVAL_FAST, || Ok(None)).unwrap_err();
        assert_eq!(error.to_string(), "waited 0.0 s for the moon");
    }

    #[test]
    fn a_condition_is_seen_even_when_the_deadline_is_zero() {
        assert_eq!(until("now", Duration::ZERO, INTERVAL_FAST, || Ok(Some(7))).unwrap(), 7);
    }

    #[test]
    fn an_error_of_the_look_ends_the_wait() {
        let error = until::<()>("x", Duration::from_secs(60), INTERVAL_FAST, || bail!("blind")).unwrap_err();
        assert_eq!(error.to_string(), "blind");
    }
}
