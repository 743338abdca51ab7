//! Tests of the store from outside, in one binary.

mod budget;
mod check;
mod contract;
mod crash;
mod cuts;
mod ddl;
mod fair;
mod files;
mod life;
mod map;
mod news;
mod outage;
mod repeat;
mod restored;
mod retention;
mod schema;
mod stats;
mod together;
mod uploads;
mod views;
mod world;
