//! The fleet engine's suite: each test is a sentence that an operator could say, played on a fleet of paper. What many random
//! faults do to it together is the simulator's.

mod paper;

mod access;
mod agentless;
mod changes;
mod joining;
mod messages;
mod orders;
mod permits;
mod random;
mod restraints;
mod rollouts;
mod saving;
mod seen_to;
mod silent;
mod twins;
