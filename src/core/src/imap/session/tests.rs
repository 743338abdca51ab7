//! Sessions as clients see them.

mod login;
