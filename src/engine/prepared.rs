//! Batches that are ready for a network, and whose the items in them are.

use super::slice::Slice;
use super::video::{Face, FrameInWork};
use crate::model::{FaceBatch, FrameBatch};

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
