//! What the frames of a video were and what was done to them.

use serde::{Deserialize, Serialize};

use super::size::{FrameSize, SizeInUse};

/// What the frames of a video were and what was done to them, for the footer of the table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrameRecord {
    /// Their sizes, in order of the first frame of each.
    pub sizes: Vec<SizeInUse>,
    /// Frames whose time the file does not state: it was estimated from the order of packets, or from the frames before.
    pub estimated_times: u64,
    /// Interlaced frames, which were deinterlaced.
    pub deinterlaced_frames: u64,
    /// Frames of a high dynamic range (PQ, HLG), which were brought to BT.709.
    pub tone_mapped_frames: u64,
}

impl FrameRecord {
    /// Counts a frame, the `number`th of the video, among those of its size.
    pub(super) fn count(&mut self, size: FrameSize, number: u32) {
        match self.sizes.iter_mut().find(|known| known.size == size) {
            Some(known) => known.frames += 1,
            None => self.sizes.push(SizeInUse {
                size,
                first_frame: number,
                frames: 1,
            }),
        }
    }
}
