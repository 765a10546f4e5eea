//! ELAN: an .eaf a video, with a tier of expressions and one an action unit for each person; valence and arousal as a
//! CSV that ELAN draws as a time series, and the configuration that tells it how.
//!
//! Times count in milliseconds from the first frame. An interval ends where its last frame does.

mod read;
mod write;

pub use read::read;
pub use write::write;
