//! Messages: laws over generated, mutated and sample messages, snapshots, and second opinions on structure.

// The sample messages are files beside the repository, and where they are may come from the environment.
#![allow(clippy::disallowed_methods)]

#[cfg(test)]
mod client;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod second_opinion;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod speed;
