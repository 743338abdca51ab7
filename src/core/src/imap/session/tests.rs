//! Sessions as clients see them.

mod append;
mod demands;
mod esearch;
mod fetch;
mod list;
mod login;
mod mailboxes;
mod mirror;
mod revision;
mod search;
mod shared;
mod splits;
