//! The networks and their weights: DDAMFN and RetinaFace against the originals' numbers, layers, checkpoints.

#![allow(clippy::unwrap_used)]

mod ddamfn;
mod identity;
mod layers;
mod retinaface;
#[path = "../support/mod.rs"]
mod support;
mod weights;
