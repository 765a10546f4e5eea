//! The whole program at night: killed, stopped, without disk, on odd names, on many and on long
//! videos.

#![allow(clippy::unwrap_used)]

mod batches;
mod carry;
mod disk;
mod events;
mod features;
mod inputs;
mod interruption;
mod limits;
mod memory;
mod names;
mod near_looks;
mod nobody;
mod people;
mod pictures;
mod quality;
mod roles;
mod shards;
mod start;
#[path = "../support/mod.rs"]
mod support;
