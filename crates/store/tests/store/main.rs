//! The store: what both adapters owe (`conformance`), what SQLite owes besides (`file`, `copies`), and that a writer which is
//! killed at any moment loses nothing that was answered (`killed`).

mod conformance;
mod copies;
mod file;
mod killed;
mod records;
