//! From the pixels a decoder gives to RGB: which matrix, which range, and the conversion.

use serde::{Deserialize, Serialize};

use ffmpeg_next as ffmpeg;

use ffmpeg::color::{Range, Space};
use ffmpeg::format::Pixel;
use ffmpeg::software::scaling;
use ffmpeg::{Error, ffi, frame};

use super::VideoFault;

/// How YUV or grey pixels are turned into RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour {
    /// The matrix between YUV and RGB.
    pub matrix: ColourMatrix,
    /// What stands for black and white.
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

/// What stands for black and white in 8 bits; more bits in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourRange {
    /// Black 16, white 235.
    Limited,
    /// Black 0, white 255.
    Full,
}

impl Colour {
    /// From a video's tags and, where they are silent, from the size as players choose (mpv's rule:
    /// BT.709 from 1280 columns or more than 576 rows on, BT.601 below) and from the pixel format
    /// as libav does (grey and `yuvj` are full range, all else limited). Matrices that libswscale
    /// does not have (YCgCo, ICtCp) count as silent. `None` for RGB and palettes.
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
            _ if width >= 1280 || height > 576 => ColourMatrix::Bt709,
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

/// Whether pixels are RGB already, directly or by a palette.
fn is_rgb(format: Pixel) -> bool {
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

/// RGB bytes as libswscale leaves them: rows of `stride` bytes.
pub struct Rgb {
    pub bytes: Vec<u8>,
    pub stride: usize,
}

/// Turns frames into RGB at their own size. Not `Send`: it stays in the thread that made it.
#[derive(Default)]
pub struct Converter {
    scaler: Option<(scaling::Context, Option<Colour>)>,
}

impl Converter {
    /// The frame in RGB.
    pub fn rgb(&mut self, frame: &frame::Video, colour: Option<Colour>) -> Result<Rgb, VideoFault> {
        let scaler = self.scaler_for(frame, colour)?;
        let (width, height) = (frame.width() as usize, frame.height() as usize);

        // libswscale writes whole blocks of pixels: rows that are no multiple of a block get room
        // for one, or it would leave their last pixels out; the last row gets some in any case.
        const BLOCK: usize = 32;
        let stride = 3 * width.next_multiple_of(BLOCK);
        let mut bytes = vec![0; stride * height + 3 * BLOCK];
        let stride_c = libc::c_int::try_from(stride).map_err(|_| Error::InvalidData)?;
        let planes = [
            bytes.as_mut_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        ];
        // SAFETY: the scaler was made for this frame's format and size; `bytes` holds `height` rows
        // of `stride` bytes and a block more; the frame's planes outlive the call.
        let rows = unsafe {
            ffi::sws_scale(
                scaler.as_mut_ptr(),
                (*frame.as_ptr()).data.as_ptr().cast(),
                (*frame.as_ptr()).linesize.as_ptr(),
                0,
                (*frame.as_ptr()).height,
                planes.as_ptr(),
                [stride_c, 0, 0, 0].as_ptr(),
            )
        };
        if usize::try_from(rows) != Ok(height) {
            return Err(Error::InvalidData.into());
        }
        Ok(Rgb { bytes, stride })
    }

    /// The scaler for a frame: the last one, or a new one where format, size or colour changed.
    fn scaler_for(
        &mut self,
        frame: &frame::Video,
        colour: Option<Colour>,
    ) -> Result<&mut scaling::Context, VideoFault> {
        let wanted = scaling::context::Definition {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
        };
        let current = self
            .scaler
            .take()
            .filter(|(scaler, of)| *scaler.input() == wanted && *of == colour);
        let scaler = match current {
            Some(current) => current,
            None => (new_scaler(&wanted, colour)?, colour),
        };
        Ok(&mut self.scaler.insert(scaler).0)
    }
}

/// A scaler that keeps the size. Bilinear matters for the chroma of formats without a direct
/// conversion only.
fn new_scaler(
    from: &scaling::context::Definition,
    colour: Option<Colour>,
) -> Result<scaling::Context, VideoFault> {
    let (format, width, height) = (from.format, from.width, from.height);
    let name = format.descriptor().map_or("unknown", |known| known.name());
    let flags = scaling::Flags::BILINEAR;
    let mut scaler = scaling::Context::get(format, width, height, Pixel::RGB24, width, height, flags)
        .map_err(|_| VideoFault::UnknownPixels(name))?;
    if let Some(Colour { matrix, range }) = colour {
        let table = match matrix {
            ColourMatrix::Bt601 => ffi::SWS_CS_ITU601,
            ColourMatrix::Bt709 => ffi::SWS_CS_ITU709,
            ColourMatrix::Bt2020 => ffi::SWS_CS_BT2020,
            ColourMatrix::Fcc => ffi::SWS_CS_FCC,
            ColourMatrix::Smpte240m => ffi::SWS_CS_SMPTE240M,
        };
        let full = libc::c_int::from(range == ColourRange::Full);
        let one = 1 << 16;
        // SAFETY: the scaler is alive, and the tables are constants of libswscale. RGB out is full
        // range and needs no table of its own; brightness, contrast and saturation stay as they are.
        let set = unsafe {
            let from = ffi::sws_getCoefficients(table);
            let to = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
            ffi::sws_setColorspaceDetails(scaler.as_mut_ptr(), from, full, to, 1, 0, one, one)
        };
        if set < 0 {
            return Err(VideoFault::UnknownPixels(name));
        }
    }
    Ok(scaler)
}
