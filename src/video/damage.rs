//! Damage of a video that could be read nevertheless.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The damage of a video. All zero, false and absent for an intact one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Damage {
    /// Packets that were cut short or that the decoder refused. Where transport streams were joined, libavformat takes the
    /// last packet before the join for such a one, since the packets' counter starts again.
    pub corrupt_packets: u64,
    /// Frames in which the decoder had to conceal a part of the picture. Not every decoder
    /// notices: a flipped bit can also show as wrong pixels.
    pub concealed_frames: u64,
    /// The file ends before the video does.
    pub early_end: bool,
    /// How often the file's clock jumps or starts again, as where recordings were joined. Frames follow one another
    /// there at the frame rate.
    pub clock_jumps: u64,
    /// The first of these jumps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_clock_jump: Option<ClockJump>,
}

/// A place where a file's clock does not run on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClockJump {
    /// The number of the first frame after it.
    pub frame: u32,
    /// What the clock showed last, in seconds.
    pub from_s: f64,
    /// What it shows at that frame, in seconds.
    pub to_s: f64,
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
        if let Some(ClockJump { frame, from_s, to_s }) = self.first_clock_jump {
            let jumps = self.clock_jumps;
            write!(
                f,
                ", {jumps} clock jumps (the first at frame {frame}, from {from_s:.2} s to {to_s:.2} s)"
            )?;
        }
        Ok(())
    }
}
