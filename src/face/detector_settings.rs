//! How faces are looked for.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::FaceError;
use crate::auto_number::AutoNumber;
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
    pub batch: AutoNumber,
    /// The detector runs on every n-th frame, starting with the first, and on the first frame of each
    /// shot; in between the tracker carries the faces on. 1: on every frame.
    pub every: NonZeroU32,
    /// Of the frames that the detector runs on, it sees every n-th whole, and the first of each shot; of the others only the
    /// [`Surroundings`](super::Surroundings) of the faces that were there. `auto` is 5 on a CPU, 1 on a GPU; a plan holds a
    /// number.
    pub whole_every: AutoNumber,
}

/// How the detector looks at a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    None,
    /// Around the faces that were there.
    Near,
    /// At all of it.
    Whole,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        Self {
            long_side: 640,
            confidence: 0.6,
            overlap: 0.35,
            batch: AutoNumber::Auto,
            every: NonZeroU32::MIN,
            whole_every: AutoNumber::Auto,
        }
    }
}

impl DetectorSettings {
    /// How the detector looks at a frame. `is_cut`: a shot begins with it.
    pub fn look(&self, frame: FrameIndex, is_cut: bool) -> Look {
        let before = u64::from(frame.number().saturating_sub(1));
        let every = u64::from(self.every.get());
        if is_cut || before.is_multiple_of(every * self.whole_every.or(1) as u64) {
            Look::Whole
        } else if before.is_multiple_of(every) {
            Look::Near
        } else {
            Look::None
        }
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
