//! `abaw train` as a whole program, on a small data set of real faces.

mod bad_input;
mod going_on;
mod layers;
mod small_data_set;
