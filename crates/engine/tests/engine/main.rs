//! The engine's suite: each test is a sentence that an operator could say, played on a host of paper.
//! What many random hosts do to it together is the simulator's.

mod again;
mod anew;
mod host;
mod words;

mod autonomy;
mod began;
mod between_fault_domains;
mod blamed;
mod broken_on_disk;
mod checks;
mod controller;
mod declared;
mod doubt;
mod drill_told;
mod drilled;
mod enemy;
mod explaining;
mod fault_domains;
mod foreseen;
mod gates;
mod logged;
mod ordered;
mod outages;
mod outcomes;
mod permits;
mod promised;
mod random;
mod rehearsed;
mod reload;
mod repetition;
mod reports;
mod restart;
mod restraints;
mod senseless;
mod started;
mod storm;
mod suggested;
mod telling;
mod unknown;
mod vain;
mod verifying;
mod warning;
