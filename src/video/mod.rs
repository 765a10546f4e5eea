//! Reads the frames of a video file in decode order, upright, with square pixels and in RGB, and counts its damage.
//!
//! ```text
//! path -> packet_reader (checks, packets) -> reader (decoding, damage) -> filters (interlaced, high dynamic range)
//!      -> clock (times), convert (RGB, square pixels, upright) -> Frame
//! ```
//!
//! A [`VideoReader`] numbers frames in the order in which the decoder outputs them (what
//! `ffprobe -count_frames` counts). Times, colours and rotation are those that
//! players take from the file, and everything broken is counted in [`Damage`].

mod clock;
mod colour;
mod containers;
mod convert;
mod damage;
mod error;
mod facts;
mod filters;
mod orientation;
mod own_film;
mod packet_reader;
mod reader;
mod record;
mod settings;
mod size;
mod sound;
mod stall_guard;
mod still;
mod truncation;

pub use clock::ClockSegment;
pub use colour::{Colour, ColourMatrix, ColourRange};
pub use containers::is_video_name;
pub use damage::{ClockJump, Damage};
pub(crate) use error::libav_text;
pub use error::{VideoError, VideoFault};
pub use facts::StreamFacts;
pub use own_film::{FILM_COMMENT, is_own_film};
pub use packet_reader::probe;
pub use reader::{Frame, VideoReader};
pub use record::FrameRecord;
pub use settings::VideoSettings;
pub use size::{FrameSize, PixelAspect, SizeInUse};
pub use sound::SoundReader;
pub use still::Stills;

use ffmpeg_next as ffmpeg;

/// Stops libav from writing to stderr, for the whole process. Its messages are in [`Damage`]
/// and [`VideoError`]. The command calls it once, before any video is opened.
pub fn silence_libav() {
    ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
}

/// Returns the versions of the libav libraries of this process, for example
/// `libavformat 59.27.100, libavcodec 59.37.100, libavfilter 8.44.100, libswscale 6.7.100, libavutil 57.28.100`.
pub fn libav_versions() -> String {
    let text = |version: u32| format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
    format!(
        "libavformat {}, libavcodec {}, libavfilter {}, libswscale {}, libavutil {}",
        text(ffmpeg::format::version()),
        text(ffmpeg::codec::version()),
        text(ffmpeg::filter::version()),
        text(ffmpeg::software::scaling::version()),
        text(ffmpeg::util::version()),
    )
}

/// Returns the folder that libavcodec was loaded from.
pub fn libav_folder() -> Option<std::path::PathBuf> {
    crate::loaded_library::folder(ffmpeg::ffi::avcodec_version as *const () as usize)
}
