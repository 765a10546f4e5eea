//! From a decoded frame to an upright picture in RGB with square pixels.

use std::mem::MaybeUninit;

use ffmpeg_next as ffmpeg;

use ffmpeg::format::Pixel;
use ffmpeg::software::scaling::context::Definition;
use ffmpeg::software::scaling::{self};
use ffmpeg::{Error, ffi, frame};

use super::colour::{Colour, ColourMatrix, ColourRange};
use super::error::VideoFault;
use super::orientation::Orientation;
use super::size::FrameSize;
use crate::frame::Picture;

/// libswscale writes whole blocks of pixels. Rows that are no multiple of a block get room for
/// one, or it would leave out their last pixels; the last row gets some in any case.
const BLOCK: usize = 32;

/// Turns frames into upright pictures in RGB. Frames with square pixels are not scaled. Not `Send`.
#[derive(Default)]
pub struct Converter {
    scaler: Option<(scaling::Context, Option<Colour>)>,
    /// Pixels of a frame that is yet to be turned; used again for the next.
    lying: Vec<u8>,
}

impl Converter {
    /// The frame as a picture of the size `shown`. Pixels are written once, twice where they have to be turned.
    pub fn picture(
        &mut self,
        frame: &frame::Video,
        colour: Option<Colour>,
        orientation: Orientation,
        shown: FrameSize,
    ) -> Result<Picture, VideoFault> {
        // Before the turn.
        let (width, height) = orientation.upright_size(shown.width, shown.height);
        let scaler = scaler_for(&mut self.scaler, frame, (width, height), colour)?;
        let picture = if orientation.is_upright() {
            let mut rgb = Vec::new();
            let stride = write_rgb(scaler, frame, &mut rgb)?;
            close_rows(&mut rgb, stride, width as usize, height as usize);
            Picture::from_rgb(width, height, rgb)
        } else {
            let stride = write_rgb(scaler, frame, &mut self.lying)?;
            orientation.turn(&self.lying, stride, width, height)
        };
        // `None` would mean that the lengths above do not fit each other.
        picture.ok_or(Error::Bug.into())
    }
}

/// The last scaler, or a new one where format, size or colour changed.
fn scaler_for<'a>(
    last: &'a mut Option<(scaling::Context, Option<Colour>)>,
    frame: &frame::Video,
    (width, height): (u32, u32),
    colour: Option<Colour>,
) -> Result<&'a mut scaling::Context, VideoFault> {
    let input = Definition {
        format: frame.format(),
        width: frame.width(),
        height: frame.height(),
    };
    let output = Definition {
        format: Pixel::RGB24,
        width,
        height,
    };
    let fitting = last
        .take()
        .filter(|(scaler, of)| *scaler.input() == input && *scaler.output() == output && *of == colour);
    let scaler = match fitting {
        Some(scaler) => scaler,
        None => (new_scaler(&input, &output, colour)?, colour),
    };
    Ok(&mut last.insert(scaler).0)
}

/// A scaler to RGB. At the same size, bilinear is for the chroma of formats that libswscale does not convert directly;
/// otherwise bicubic, as the ffmpeg tool scales.
fn new_scaler(
    input: &Definition,
    output: &Definition,
    colour: Option<Colour>,
) -> Result<scaling::Context, VideoFault> {
    let format = input.format;
    let unknown = || VideoFault::UnknownPixels(format.descriptor().map_or("unknown", |known| known.name()));
    let flags = match (input.width, input.height) == (output.width, output.height) {
        true => scaling::Flags::BILINEAR,
        false => scaling::Flags::BICUBIC,
    };
    let mut scaler = scaling::Context::get(
        format,
        input.width,
        input.height,
        output.format,
        output.width,
        output.height,
        flags,
    )
    .map_err(|_| unknown())?;
    let Some(Colour { matrix, range }) = colour else {
        return Ok(scaler);
    };
    let table = match matrix {
        ColourMatrix::Bt601 => ffi::SWS_CS_ITU601,
        ColourMatrix::Bt709 => ffi::SWS_CS_ITU709,
        ColourMatrix::Bt2020 => ffi::SWS_CS_BT2020,
        ColourMatrix::Fcc => ffi::SWS_CS_FCC,
        ColourMatrix::Smpte240m => ffi::SWS_CS_SMPTE240M,
    };
    let full_range = libc::c_int::from(range == ColourRange::Full);
    let one = 1 << 16;
    // SAFETY: the scaler is alive and the tables are constants of libswscale. RGB out is full range
    // and has no use for its table; brightness 0, contrast 1 and saturation 1 change nothing.
    let set = unsafe {
        let from = ffi::sws_getCoefficients(table);
        let to = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
        ffi::sws_setColorspaceDetails(scaler.as_mut_ptr(), from, full_range, to, 1, 0, one, one)
    };
    if set < 0 { Err(unknown()) } else { Ok(scaler) }
}

/// Writes a frame's pixels as RGB into `rgb`, in place of what it holds. Returns the bytes of a row.
fn write_rgb(
    scaler: &mut scaling::Context,
    frame: &frame::Video,
    rgb: &mut Vec<u8>,
) -> Result<usize, VideoFault> {
    let (width, height) = (scaler.output().width as usize, scaler.output().height as usize);
    let stride = 3 * width.next_multiple_of(BLOCK);
    let length = stride * height + 3 * BLOCK;
    rgb.clear();
    rgb.reserve(length);
    let none = std::ptr::null_mut();
    let planes = [rgb.as_mut_ptr(), none, none, none];
    let strides = [
        libc::c_int::try_from(stride).map_err(|_| Error::InvalidData)?,
        0,
        0,
        0,
    ];
    // SAFETY: the scaler was made for this frame's format and size, the frame's planes live through
    // the call, and `rgb` has room for the `height` rows of `stride` bytes that it writes and a block more.
    let rows = unsafe {
        let frame = &*frame.as_ptr();
        let source = frame.data.as_ptr().cast();
        let source_strides = frame.linesize.as_ptr();
        ffi::sws_scale(
            scaler.as_mut_ptr(),
            source,
            source_strides,
            0,
            frame.height,
            planes.as_ptr(),
            strides.as_ptr(),
        )
    };
    if usize::try_from(rows) == Ok(height) {
        let tight = 3 * width;
        for (row, bytes) in rgb.spare_capacity_mut()[..length].chunks_mut(stride).enumerate() {
            // What libswscale may have left out: the room at the end of a row and behind the last.
            let room = if row < height { tight } else { 0 };
            let room = room.min(bytes.len());
            bytes[room..].fill(MaybeUninit::new(0));
        }
        // SAFETY: libswscale has written `tight` bytes of each of the `height` rows, and the loop all else.
        unsafe { rgb.set_len(length) };
        Ok(stride)
    } else {
        Err(Error::InvalidData.into())
    }
}

/// Moves rows of `stride` bytes together, so that each has its pixels only.
fn close_rows(rgb: &mut Vec<u8>, stride: usize, width: usize, height: usize) {
    let tight = 3 * width;
    if stride > tight {
        for row in 1..height {
            rgb.copy_within(row * stride..row * stride + tight, row * tight);
        }
    }
    rgb.truncate(height * tight);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::size::PixelAspect;
    use ffmpeg::Rational;

    /// A frame of one colour.
    fn plain(format: Pixel, width: u32, height: u32, planes: &[u8]) -> frame::Video {
        let mut frame = frame::Video::new(format, width, height);
        for (plane, &value) in planes.iter().enumerate() {
            frame.data_mut(plane).fill(value);
        }
        frame
    }

    fn picture(
        converter: &mut Converter,
        frame: &frame::Video,
        colour: Option<Colour>,
        turn: Orientation,
        aspect: PixelAspect,
    ) -> Picture {
        let shown = FrameSize::new(frame.width(), frame.height(), aspect, turn);
        let picture = converter.picture(frame, colour, turn, shown).unwrap();
        assert_eq!((picture.width(), picture.height()), (shown.width, shown.height));
        picture
    }

    /// libswscale leaves out or overruns the ends of rows when they lack room.
    #[test]
    fn every_pixel_of_any_size_is_written() {
        let turns = [Orientation::default(), Orientation::clockwise()];
        let aspects = [Rational(64, 45), Rational(8, 9)].map(PixelAspect::new);
        let mut converter = Converter::default();
        for format in [Pixel::YUV420P, Pixel::YUV422P, Pixel::YUV444P] {
            for width in 1..=70 {
                for height in [1, 2, 3, 8, 17] {
                    let frame = plain(format, width, height, &[180, 90, 200]);
                    let colour = Colour::of_frame(&frame);
                    for (turn, aspect) in turns
                        .into_iter()
                        .zip(aspects)
                        .chain(turns.map(|turn| (turn, PixelAspect::SQUARE)))
                    {
                        let picture = picture(&mut converter, &frame, colour, turn, aspect);
                        // BT.601, limited range: Y 180, U 90, V 200.
                        let wanted = [306.0_f32.min(255.0), 147.2, 114.2];
                        for pixel in picture.rgb().chunks(3) {
                            for (got, wanted) in pixel.iter().zip(wanted) {
                                assert!(
                                    (f32::from(*got) - wanted).abs() < 3.0,
                                    "{format:?} {width}x{height}: {pixel:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn scaler_follows_colour_and_size() {
        let mut converter = Converter::default();
        let frame = plain(Pixel::YUV420P, 32, 32, &[100, 90, 200]);
        let in_range = |range| {
            Some(Colour {
                matrix: ColourMatrix::Bt709,
                range,
            })
        };
        let mut red = |colour, frame| {
            picture(
                &mut converter,
                frame,
                colour,
                Orientation::default(),
                PixelAspect::SQUARE,
            )
            .pixel(3, 3)[0]
        };
        let limited = red(in_range(ColourRange::Limited), &frame);
        let full = red(in_range(ColourRange::Full), &frame);
        assert_eq!(red(in_range(ColourRange::Limited), &frame), limited);
        // 1.164 (100 - 16) + 1.793 (200 - 128) and 100 + 1.575 (200 - 128).
        assert!(
            limited.abs_diff(227) <= 2 && full.abs_diff(213) <= 2,
            "{limited} {full}"
        );
        let small = plain(Pixel::YUV420P, 16, 8, &[16, 128, 128]);
        assert!(red(in_range(ColourRange::Limited), &small) <= 1);
    }
}
