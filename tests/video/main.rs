//! The video room against clips made with the ffmpeg tool, counted and timed by ffprobe.

#![allow(clippy::unwrap_used)]

mod clips;
mod colour;
mod damage;
mod frames;
mod picture;
mod refusals;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod times;
