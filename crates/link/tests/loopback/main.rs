//! A host and a controller over real sockets and real TLS on loopback: who is taken in, who is not, and what is said then.

mod certificates;
mod https;
mod joining;
mod peers;
mod roads;
mod world;
