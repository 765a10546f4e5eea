//! Why a video cannot be read.

use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use ffmpeg::ffi;

use super::damage::Damage;

/// A video that cannot be read, or not to its end: which one and why, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {fault}")]
pub struct VideoError {
    /// The video.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub fault: VideoFault,
}

/// Why a video cannot be read, or not to its end. Each message tells what to do.
#[derive(Debug, thiserror::Error)]
pub enum VideoFault {
    /// No file has this path.
    #[error("no such file; check the name")]
    Missing,
    /// The operating system did not open it.
    #[error("cannot be opened ({0}); check its permissions")]
    Unopenable(#[source] io::Error),
    /// A folder, a pipe, a device.
    #[error("not a regular file; give a video file")]
    NotRegularFile,
    /// A file of 0 bytes.
    #[error("empty (0 bytes); copy or record it again")]
    Empty,
    /// No known container, or one that is broken from the start.
    #[error("not a video, or broken from its start; check that it plays, or convert it with ffmpeg")]
    NotAVideo,
    /// An MP4 or QuickTime file without its index.
    #[error(
        "its index (moov) is missing or broken: recording or copying was cut off; copy it again or repair it"
    )]
    IndexMissing,
    /// A format that libav can read but that is not a video.
    #[error("not a video but a playlist, an image, a text or the like; give the video file itself")]
    NotAVideoContainer,
    /// Sound only, or sound with a cover picture.
    #[error("holds no video stream (sound or a cover picture only); leave it out")]
    NoVideoStream,
    /// This libav cannot decode the stream.
    #[error("its {codec} stream cannot be decoded ({reason}); convert it with ffmpeg")]
    Undecodable {
        /// The codec's name in libav.
        codec: &'static str,
        /// The message of libav.
        reason: String,
    },
    /// A pixel format that cannot be turned into RGB.
    #[error("its pixels ({0}) cannot be turned into RGB; convert it with ffmpeg")]
    UnknownPixels(&'static str),
    /// Interlaced frames or a high dynamic range that this libavfilter does not bring to a usual picture.
    #[error(
        "cannot be deinterlaced or brought from a high dynamic range to a usual one ({0}); install Debian's libavfilter8, or convert it with ffmpeg"
    )]
    Unfiltered(String),
    /// Frames over [`VideoSettings::max_pixels`](super::VideoSettings::max_pixels).
    #[error(
        "frames of {width}x{height} pixels, over the limit of {max_pixels}; raise max_pixels under [video] in the pipeline file to accept it"
    )]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit, in pixels.
        max_pixels: u32,
    },
    /// More frames than [`VideoSettings::max_frames`](super::VideoSettings::max_frames).
    #[error(
        "more than {0} frames; raise max_frames under [video] in the pipeline file to accept it, or cut it"
    )]
    TooLong(u32),
    /// No frame came for [`VideoSettings::stall_seconds`](super::VideoSettings::stall_seconds).
    #[error(
        "no frame came for {0} seconds; check the disk or the network mount, or raise stall_seconds under [video] in the pipeline file"
    )]
    Stalled(u32),
    /// The operating system failed to read on.
    #[error("reading failed midway ({0}); check the disk or the network mount")]
    ReadFailed(#[source] io::Error),
    /// The video was read to its end without a single frame.
    #[error("no frame could be decoded; check that it plays, or record it again")]
    NoFrames,
    /// Damage, where [`VideoSettings::strict`](super::VideoSettings::strict) refuses it.
    #[error("damaged ({0}) and damaged videos are refused; repair it or allow damage")]
    Damaged(Damage),
    /// libav ran out of memory, or another error of libav.
    #[error("libav failed ({0}); try again with fewer jobs at once")]
    Libav(String),
}

impl From<ffmpeg::Error> for VideoFault {
    fn from(error: ffmpeg::Error) -> Self {
        Self::Libav(libav_text(error))
    }
}

/// Returns the message of libav for an error.
pub(crate) fn libav_text(error: ffmpeg::Error) -> String {
    let mut text = [0; ffi::AV_ERROR_MAX_STRING_SIZE];
    // SAFETY: libav writes a text of at most this size, ended by a zero.
    let text = unsafe {
        ffi::av_strerror(error.into(), text.as_mut_ptr(), text.len());
        CStr::from_ptr(text.as_ptr())
    };
    text.to_string_lossy().into_owned()
}

impl VideoFault {
    pub(super) fn at(self, path: &Path) -> VideoError {
        VideoError {
            path: path.to_owned(),
            fault: self,
        }
    }
}
