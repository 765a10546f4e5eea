//! Training: the trainer beside a PyTorch loop; `abaw train` as a whole program, on a small data set of real faces.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod going_on;
mod layers;
mod made_runs;
mod parity;
mod small_data_set;
#[path = "../support/mod.rs"]
mod support;
mod temporal;
