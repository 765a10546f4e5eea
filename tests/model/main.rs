//! The networks and their weights: DDAMFN and RetinaFace against the originals' numbers, layers, checkpoints.

mod ddamfn;
mod layers;
mod retinaface;
#[path = "../support/mod.rs"]
mod support;
mod weights;
