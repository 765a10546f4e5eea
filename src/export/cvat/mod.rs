//! CVAT for video 1.1: a track of boxes a person, with expression, action units, valence and arousal as attributes.
//!
//! Frames are 0-based. Each frame of a track has its box. Key frames are those from which CVAT interpolates the others:
//! where an attribute changes, and where a straight line between key frames would differ from the box, valence or arousal.

mod read;
mod write;

pub use read::read;
pub use write::write;
