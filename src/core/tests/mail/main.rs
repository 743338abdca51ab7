//! Messages: laws over generated, mutated and sample messages, snapshots, and second opinions on structure.

// The sample messages are files beside the repository, and where they are may come from the environment.
#![allow(clippy::disallowed_methods)]

mod client;
mod generate;
mod laws;
mod samples;
mod second_opinion;
mod snapshots;
mod speed;
