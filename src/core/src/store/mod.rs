//! The vocabulary between sessions and the store.
//!
//! A [`Request`] is answered by a [`Reply`]. What each request means is said by the reference store
//! (`memory.rs`); every SQL store must answer every sequence of requests as the reference does.

mod answer;
mod flags;
mod id;
pub mod memory;
mod name;
mod request;
mod uid_set;

pub use answer::*;
pub use flags::*;
pub use id::*;
pub use name::*;
pub use request::*;
pub use uid_set::*;
