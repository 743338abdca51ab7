//! Sessions as clients see them.

mod append;
mod esearch;
mod fetch;
mod login;
mod mailboxes;
mod mirror;
mod search;
mod shared;
mod splits;
