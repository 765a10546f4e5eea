//! Batches that are ready for a network, and whose the items in them are.

use tch::TchError;

use super::looks::NearLook;
use super::slice::Slice;
use super::video::{Face, FrameInWork};
use crate::face::Candidate;
use crate::frame::Picture;
use crate::model::{FaceBatch, Feed, FrameBatch};

/// Frames that are ready for the detector.
pub struct PreparedFrames {
    pub batch: FrameBatch,
    pub slices: Vec<Slice<FrameInWork>>,
}

/// Faces that are ready for the affect networks.
pub struct PreparedFaces {
    pub batch: FaceBatch,
    pub slices: Vec<Slice<Face>>,
}

/// A batch of frames of one size that are looked at whole, or of the parts of one.
///
/// # Errors
/// libtorch's, for want of memory.
pub fn frame_batch<'a>(
    feed: &Feed,
    frames: impl IntoIterator<Item = &'a FrameInWork>,
) -> Result<FrameBatch, TchError> {
    let mut frames = frames.into_iter().peekable();
    let near = frames
        .peek()
        .and_then(|read| read.look.near.as_ref())
        .map(|near| &near.parts);
    let pictures: Vec<&Picture> = frames.filter_map(|read| read.frame.picture()).collect();
    match (near, pictures.first()) {
        (Some(parts), Some(picture)) => feed.parts(picture, parts),
        _ => feed.frames(&pictures),
    }
}

/// The candidates of each frame of a batch, of what was found in each picture or part. `near`: the look at its only frame,
/// if it is one.
pub fn candidates_of_frames(near: Option<&NearLook>, found: Vec<Vec<Candidate>>) -> Vec<Vec<Candidate>> {
    match near {
        Some(near) => vec![near.parts.candidates(found)],
        None => found,
    }
}
