//! How faces are looked for.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::FaceError;
use crate::batch::BatchSize;
use crate::frame::FrameIndex;

/// How faces are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorSettings {
    /// Pixels along the longer side of what the network sees, at least 32; smaller pictures are enlarged
    /// to it. Faces under about 20 of these pixels are detected unreliably; the cost grows with the square.
    pub long_side: u32,
    /// Faces must be more probable than this, in [0, 1).
    pub confidence: f32,
    /// Greatest overlap (intersection over union) of two faces' boxes, in [0, 1]; of two boxes with
    /// more, the less probable one is dropped.
    pub overlap: f32,
    /// Pictures that go through the network together.
    pub batch: BatchSize,
    /// The detector runs on every n-th frame, starting with the first, and on the first frame of each
    /// shot; in between the tracker carries the faces on. 1: on every frame.
    pub every: NonZeroU32,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        Self {
            long_side: 640,
            confidence: 0.6,
            overlap: 0.35,
            batch: BatchSize::Auto,
            every: NonZeroU32::MIN,
        }
    }
}

impl DetectorSettings {
    /// Whether the detector runs on a frame. `is_cut`: a shot begins with it.
    pub fn runs_on(&self, frame: FrameIndex, is_cut: bool) -> bool {
        is_cut || frame.number().saturating_sub(1).is_multiple_of(self.every.get())
    }

    /// Refuses values out of their ranges.
    pub fn check(&self) -> Result<(), FaceError> {
        let wrong = |name, range| Err(FaceError::Setting { name, range });
        if self.long_side < 32 {
            return wrong("long_side", "at least 32");
        }
        if !(0.0..1.0).contains(&self.confidence) {
            return wrong("confidence", "from 0 to below 1");
        }
        if !(0.0..=1.0).contains(&self.overlap) {
            return wrong("overlap", "from 0 to 1");
        }
        Ok(())
    }
}
