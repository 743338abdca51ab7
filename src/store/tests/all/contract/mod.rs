//! The contract of a store: scripted cases, random sequences beside the reference store, and many tasks at once.
//!
//! Everything speaks in [`op::Op`]s, which have a text form: a case is a script of them with the answers
//! below, and what a random test shrinks to is printed as a script that can become a case.

// What is indexed and expected here are the tests' own tables and scripts.
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

mod cases;
mod large;
mod op;
mod random;
mod show;
mod subject;

pub(crate) use op::{Letter, Look, Op, flags as op_flags};
pub(crate) use random::op as random_op;
pub(crate) use show::Driven;
pub(crate) use subject::{Reference, Sql, Subject, ask};
