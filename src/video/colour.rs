//! The matrix and range that convert a video's pixels to RGB.

use serde::{Deserialize, Serialize};

use ffmpeg_next as ffmpeg;

use ffmpeg::color::{Range, Space};
use ffmpeg::format::Pixel;
use ffmpeg::{ffi, frame};

/// How YUV or grey pixels are converted to RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour {
    /// The matrix between YUV and RGB.
    pub matrix: ColourMatrix,
    /// The values of black and white.
    pub range: ColourRange,
}

/// The matrix between YUV and RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourMatrix {
    /// ITU-R BT.601: standard definition, PAL and NTSC.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020: ultra high definition.
    Bt2020,
    /// The United States' FCC rules of 1953.
    Fcc,
    /// SMPTE 240M: early high definition.
    Smpte240m,
}

/// The values of black and white in 8 bits; with more bits, in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourRange {
    /// Black 16, white 235.
    Limited,
    /// Black 0, white 255.
    Full,
}

impl Colour {
    /// From a video's tags. Without tags, from the size, as players choose (BT.709 where the longer side has 1280 pixels or
    /// more, or the shorter one more than 576; BT.601 below: mpv's rule, whichever way the picture is held), and from the pixel format
    /// as libav does (grey and `yuvj` are full range, all else limited). Matrices that libswscale
    /// does not have (YCgCo, ICtCp) count as missing tags. `None` for RGB and palettes.
    pub fn choose(space: Space, range: Range, format: Pixel, width: u32, height: u32) -> Option<Self> {
        if is_rgb(format) {
            return None;
        }
        let matrix = match space {
            Space::BT709 => ColourMatrix::Bt709,
            Space::BT470BG | Space::SMPTE170M => ColourMatrix::Bt601,
            Space::BT2020NCL | Space::BT2020CL => ColourMatrix::Bt2020,
            Space::FCC => ColourMatrix::Fcc,
            Space::SMPTE240M => ColourMatrix::Smpte240m,
            _ if width.max(height) >= 1280 || width.min(height) > 576 => ColourMatrix::Bt709,
            _ => ColourMatrix::Bt601,
        };
        let range = match range {
            Range::MPEG => ColourRange::Limited,
            Range::JPEG => ColourRange::Full,
            Range::Unspecified if is_full_range_by_format(format) => ColourRange::Full,
            Range::Unspecified => ColourRange::Limited,
        };
        Some(Self { matrix, range })
    }

    /// As [`Colour::choose`], from a frame.
    pub fn of_frame(frame: &frame::Video) -> Option<Self> {
        Self::choose(
            frame.color_space(),
            frame.color_range(),
            frame.format(),
            frame.width(),
            frame.height(),
        )
    }
}

/// Returns whether pixels are RGB already, directly or by a palette.
pub(super) fn is_rgb(format: Pixel) -> bool {
    // SAFETY: libav's descriptors are constants that live as long as the process.
    let flags = format
        .descriptor()
        .map_or(0, |known| unsafe { (*known.as_ptr()).flags });
    flags & u64::from((ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL).unsigned_abs()) != 0
}

fn is_full_range_by_format(format: Pixel) -> bool {
    let components = format.descriptor().map_or(0, |known| known.nb_components());
    let is_grey = components <= 2;
    let is_yuvj = matches!(
        format,
        Pixel::YUVJ411P | Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ440P | Pixel::YUVJ444P
    );
    is_grey || is_yuvj
}
