//! Limits for reading videos.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Limits and time-outs for reading a video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoSettings {
    /// Largest frame, in pixels (width x height). The default allows 8K (7680x4320).
    pub max_pixels: u32,
    /// Most frames of a video. The default is a day at 60 frames a second.
    pub max_frames: u32,
    /// Seconds without a frame after which reading a video ends in an error.
    pub stall_seconds: NonZeroU32,
    /// Refuse damaged videos: reading one ends in an error.
    pub strict: bool,
    /// A folder on a local disk: each video is first copied to a file without a name there. Has no influence on
    /// the numbers, so no pipeline file has it.
    #[serde(skip)]
    pub scratch: Option<PathBuf>,
    /// Threads that decode a video. Changes no number, so no pipeline file has it.
    #[serde(skip, default = "one")]
    pub decode_threads: NonZeroU32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Default for VideoSettings {
    fn default() -> Self {
        Self {
            max_pixels: 40_000_000,
            max_frames: 24 * 3600 * 60,
            stall_seconds: const { NonZeroU32::new(60).unwrap() },
            strict: false,
            scratch: None,
            decode_threads: NonZeroU32::MIN,
        }
    }
}
