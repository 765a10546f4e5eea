//! Reads pictures that are no video: photographs, upright as their EXIF tag asks for, and animated WebP, which libav does
//! not decode.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Duration;

use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageReader, RgbImage};

use crate::frame::Picture;

/// Frames a second of a photograph: it has one frame, and settings in seconds need a rate.
const RATE_OF_ONE: f64 = 1.0;

/// The pictures of a file, one after the other.
pub struct Photograph {
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
    /// Frames a second.
    pub rate: f64,
    /// The first picture and the seconds for which it is shown.
    first: Option<(Picture, f64)>,
    others: Option<image::Frames<'static>>,
    /// When the next picture begins, seconds from the first.
    next_s: f64,
}

impl Photograph {
    /// Opens a file of `.jpg`, `.png`, `.webp`, `.bmp`, `.tif`, by its content. `max_pixels`: larger pictures are refused.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn open(path: &Path, max_pixels: u32) -> Result<Self, String> {
        let words = |error: &dyn std::error::Error| error.to_string();
        if is_animated_webp(path) {
            let file = File::open(path).map_err(|error| words(&error))?;
            let decoder = WebPDecoder::new(BufReader::new(file)).map_err(|error| words(&error))?;
            check_size(decoder.dimensions(), max_pixels)?;
            let mut frames = decoder.into_frames();
            let first = frames.next().ok_or("it has no picture")?;
            let (picture, shown_s) = of_frame(first.map_err(|error| words(&error))?)?;
            return Ok(Self {
                width: picture.width(),
                height: picture.height(),
                rate: 1.0 / shown_s,
                first: Some((picture, shown_s)),
                others: Some(frames),
                next_s: 0.0,
            });
        }
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        let decoder = reader.map_err(|error| words(&error))?.into_decoder();
        let mut decoder = decoder.map_err(|error| words(&error))?;
        check_size(decoder.dimensions(), max_pixels)?;
        let orientation = decoder.orientation().map_err(|error| words(&error))?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|error| words(&error))?;
        image.apply_orientation(orientation);
        let picture = picture(image.into_rgb8())?;
        Ok(Self {
            width: picture.width(),
            height: picture.height(),
            rate: RATE_OF_ONE,
            first: Some((picture, 1.0 / RATE_OF_ONE)),
            others: None,
            next_s: 0.0,
        })
    }

    /// Whether it moves.
    pub fn is_animated(&self) -> bool {
        self.others.is_some()
    }

    /// The next picture, with the seconds from the first; `None` at the end.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn next_picture(&mut self) -> Result<Option<(f64, Picture)>, String> {
        let next = match self.first.take() {
            Some(first) => Some(first),
            None => match self.others.as_mut().and_then(Iterator::next) {
                Some(frame) => Some(of_frame(frame.map_err(|error| error.to_string())?)?),
                None => None,
            },
        };
        Ok(next.map(|(picture, shown_s)| {
            let begins_s = self.next_s;
            self.next_s += shown_s;
            (begins_s, picture)
        }))
    }
}

/// Whether a file is a WebP that moves: its header has the flag for animation (bit 1 of byte 20, RFC 9649).
pub fn is_animated_webp(path: &Path) -> bool {
    let mut head = [0; 21];
    let is_file = path.metadata().is_ok_and(|file| file.is_file());
    let read = is_file
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok();
    read && head.starts_with(b"RIFF") && &head[8..16] == b"WEBPVP8X" && head[20] & 2 != 0
}

/// Whether a file's EXIF tag asks to turn it.
pub fn is_turned(bytes: &[u8]) -> bool {
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let decoder = reader.ok().and_then(|reader| reader.into_decoder().ok());
    let orientation = decoder.and_then(|mut decoder| decoder.orientation().ok());
    orientation.is_some_and(|orientation| orientation != image::metadata::Orientation::NoTransforms)
}

fn check_size((width, height): (u32, u32), max_pixels: u32) -> Result<(), String> {
    match u64::from(width) * u64::from(height) > max_pixels.into() {
        true => Err(format!(
            "{width}x{height} pixels, more than video.max_pixels ({max_pixels})"
        )),
        false => Ok(()),
    }
}

fn of_frame(frame: image::Frame) -> Result<(Picture, f64), String> {
    let shown = Duration::from(frame.delay()).as_secs_f64();
    let rgb = DynamicImage::ImageRgba8(frame.into_buffer()).into_rgb8();
    // A duration of 0 means as fast as a player likes; browsers take a tenth of a second.
    Ok((picture(rgb)?, if shown > 0.0 { shown } else { 0.1 }))
}

fn picture(image: RgbImage) -> Result<Picture, String> {
    let (width, height) = image.dimensions();
    let picture = Picture::from_rgb(width, height, image.into_raw()).filter(|_| width > 0 && height > 0);
    picture.ok_or_else(|| "the image has no pixels".to_owned())
}
