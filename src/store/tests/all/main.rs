//! Tests of the store from outside, in one binary.

mod contract;
mod crash;
mod files;
mod together;
