//! Damage of a video that could be read nevertheless.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The damage of a video. All zero and false for an intact one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Packets that were cut short or that the decoder refused.
    pub corrupt_packets: u64,
    /// Frames in which the decoder had to conceal a part of the picture. Not every decoder
    /// notices: a flipped bit can also show as wrong pixels.
    pub concealed_frames: u64,
    /// The file ends before the video does.
    pub early_end: bool,
}

impl Damage {
    /// Returns whether there is any damage.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} corrupt packets, {} concealed frames",
            self.corrupt_packets, self.concealed_frames
        )?;
        if self.early_end {
            write!(f, ", early end")?;
        }
        Ok(())
    }
}
