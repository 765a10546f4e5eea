//! CVAT for video 1.1: a track of boxes a person, with expression, action units, valence and arousal as attributes.
//!
//! Frames count from 0. Every frame of a track has its box; key frames are those from which CVAT gets the others back:
//! where an attribute changes, and where the straight line between key frames would miss the box, valence or arousal.

mod read;
mod write;

pub use read::read;
pub use write::write;
