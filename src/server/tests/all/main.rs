//! The program as its users meet it: by sockets, and by the command line.

// Helpers of tests stand outside of test functions, where clippy.toml's leave does not reach.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod check;
mod mail;
mod process;
mod reference;
mod retention;
mod support;
mod tls;
