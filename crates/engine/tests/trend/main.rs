//! Trends judged on a labelled set: leaks and what only looks like one, and how filesystems really filled up.
//! How the recorded ones were made is in `tests/recorded/README.md`, what comes of it in `docs/design/trends.md`.

mod follow;
mod forecast;
mod generate;
mod leaks;
mod random;
mod recorded;
mod rejected;
mod stays;
