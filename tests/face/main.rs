//! Geometry of faces without networks: alignment, shot cuts, tracking.

#![allow(clippy::unwrap_used)]

mod alignment;
mod landmark_smoothing;
mod quality;
mod random;
mod shot;
#[path = "../support/mod.rs"]
mod support;
mod track;
mod track_scenes;
