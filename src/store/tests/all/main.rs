//! Tests of the store from outside, in one binary.

mod budget;
mod contract;
mod crash;
mod files;
mod life;
mod outage;
mod together;
mod uploads;
mod views;
mod world;
