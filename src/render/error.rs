//! Why a video was not rendered.

use std::io;
use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use crate::video::{VideoError, libav_text};

/// Why a video was not rendered. Nothing has changed at the output.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The input cannot be read.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The input ended before its table.
    #[error("{}: has {frames} frames, its table {rows}: it is not the file that was annotated; annotate it again", path.display())]
    OtherVideo {
        /// The video file.
        path: PathBuf,
        /// Frames that it has.
        frames: u32,
        /// Frames in the table.
        rows: u32,
    },
    /// The output cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This libav has no H.264 encoder.
    #[error(
        "this libavcodec cannot write H.264: it has neither libx264 nor libopenh264; install an FFmpeg with one of them"
    )]
    NoEncoder,
    /// libav failed to encode or to write.
    #[error("libav failed to write the video: {0}")]
    Encode(String),
    /// The canvas cannot be made.
    #[error("no picture to draw on: {0}")]
    Canvas(String),
    /// The user stopped it.
    #[error("stopped; nothing was written")]
    Stopped,
}

impl RenderError {
    /// Adds the path of the output to an error of writing it.
    pub(super) fn at(self, out: &Path) -> Self {
        match self {
            Self::Write { source, .. } => Self::Write {
                path: out.to_owned(),
                source,
            },
            other => other,
        }
    }
}

impl From<ffmpeg::Error> for RenderError {
    fn from(error: ffmpeg::Error) -> Self {
        Self::Encode(libav_text(error))
    }
}

/// An error of the file system, whose path is added by [`RenderError::at`].
impl From<io::Error> for RenderError {
    fn from(source: io::Error) -> Self {
        Self::Write {
            path: PathBuf::new(),
            source,
        }
    }
}
