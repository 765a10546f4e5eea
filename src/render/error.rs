//! Why a video was not rendered.

use std::io;
use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use crate::video::VideoError;

/// A video was not rendered; nothing has changed at the output.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The input cannot be read.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The input ended before its table.
    #[error("{}: has {frames} frames, its table {rows}: it is not the file that was annotated; annotate it again", path.display())]
    OtherVideo { path: PathBuf, frames: u32, rows: u32 },
    /// The output cannot be written.
    #[error("{}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// This libav has no H.264 encoder.
    #[error("this libavcodec cannot write H.264 (libx264 is missing); install Debian's libavcodec59")]
    NoEncoder,
    /// libav failed to encode or to write.
    #[error("libav failed to write the video: {0}")]
    Encode(String),
    /// There is nothing to draw on.
    #[error("no picture to draw on: {0}")]
    Canvas(String),
    /// Somebody asked to stop.
    #[error("stopped; nothing was written")]
    Stopped,
}

impl RenderError {
    /// The same, with the output named where it is to blame.
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
        Self::Encode(error.to_string())
    }
}

/// A failure of the file system within the writing, before it is known where.
impl From<io::Error> for RenderError {
    fn from(source: io::Error) -> Self {
        Self::Write {
            path: PathBuf::new(),
            source,
        }
    }
}
