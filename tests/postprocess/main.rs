//! Post-processing: smoothing against golden numbers, what must hold for any series, blended runs.

#![allow(clippy::unwrap_used)]

mod blend;
mod properties;
mod smoothing;
#[path = "../support/mod.rs"]
mod support;
