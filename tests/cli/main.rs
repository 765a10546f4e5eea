//! The program as a user meets it: whole runs on real videos, wrong input, settings, weights, crops; and
//! its parsers on damaged bytes; as a Python package and under Snakemake.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod closed_output;
mod commands;
mod crops;
mod data;
mod documents;
mod fuzz_cases;
mod installed;
mod labels;
mod networks;
mod pipeline_file;
mod precision;
mod sample_run;
#[path = "../support/mod.rs"]
mod support;
mod weights;
