//! The size of a frame: as it is stored, and as it is shown with square pixels.

use ffmpeg_next as ffmpeg;

use ffmpeg::Rational;
use serde::{Deserialize, Serialize};

use super::orientation::Orientation;

/// Pixels that are more often as wide as high, or as high as wide, than this are a wrong tag: the widest that are in use
/// are 2:1 (anamorphic lenses, half of a stereo picture).
const WIDEST: i64 = 8;

/// The shape of a stored pixel: its width to its height, in lowest terms. Square where nothing is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelAspect(u32, u32);

impl PixelAspect {
    /// A pixel as wide as high.
    pub const SQUARE: Self = Self(1, 1);

    /// From libav's ratio; 0 or less is no statement.
    pub(super) fn new(ratio: Rational) -> Self {
        let ratio = ratio.reduce();
        let (width, height) = (i64::from(ratio.numerator()), i64::from(ratio.denominator()));
        let is_plausible = width > 0 && height > 0 && width <= WIDEST * height && height <= WIDEST * width;
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if is_plausible => Self(width, height),
            _ => Self::SQUARE,
        }
    }

    /// Width and height of the pixel in lowest terms, for example (64, 45).
    pub fn ratio(self) -> (u32, u32) {
        (self.0, self.1)
    }

    /// The pixel after a quarter turn.
    fn turned(self) -> Self {
        Self(self.1, self.0)
    }

    /// Columns of square pixels that are as wide as so many columns of these.
    fn square_columns(self, columns: u32) -> u32 {
        let (width, height) = (u64::from(self.0), u64::from(self.1));
        let rounded = (2 * u64::from(columns) * width + height) / (2 * height);
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    }
}

/// The size of a frame, as it is shown and as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameSize {
    /// Width of the upright frame in square pixels.
    pub width: u32,
    /// Height of the upright frame in square pixels.
    pub height: u32,
    /// Width of the decoded frame, before it is turned, in its own pixels.
    pub stored_width: u32,
    /// Height of the decoded frame, before it is turned, in its own pixels.
    pub stored_height: u32,
    /// The shape of a stored pixel.
    pub pixel_aspect: PixelAspect,
}

impl FrameSize {
    /// The size of a decoded frame. The rows of the upright frame stay as they are, and its width is brought to square pixels,
    /// as ffplay does.
    pub(super) fn new(
        stored_width: u32,
        stored_height: u32,
        pixel_aspect: PixelAspect,
        orientation: Orientation,
    ) -> Self {
        let (columns, height) = orientation.upright_size(stored_width, stored_height);
        let upright_pixel = match orientation.is_transposed() {
            true => pixel_aspect.turned(),
            false => pixel_aspect,
        };
        Self {
            width: upright_pixel.square_columns(columns),
            height,
            stored_width,
            stored_height,
            pixel_aspect,
        }
    }
}

/// A size that frames of a video have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeInUse {
    /// The size.
    #[serde(flatten)]
    pub size: FrameSize,
    /// The number of the first frame of this size.
    pub first_frame: u32,
    /// How many frames have it.
    pub frames: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stored: (u32, u32), aspect: (i32, i32), orientation: Orientation) -> (u32, u32) {
        let aspect = PixelAspect::new(Rational(aspect.0, aspect.1));
        let size = FrameSize::new(stored.0, stored.1, aspect, orientation);
        (size.width, size.height)
    }

    #[test]
    fn pixels_become_square() {
        let upright = Orientation::default();
        assert_eq!(shown((450, 480), (64, 45), upright), (640, 480));
        assert_eq!(shown((720, 576), (16, 11), upright), (1047, 576));
        assert_eq!(shown((720, 480), (8, 9), upright), (640, 480));
        assert_eq!(shown((176, 144), (128, 117), upright), (193, 144));
        assert_eq!(shown((640, 480), (2, 2), upright), (640, 480));
        // A row of the upright frame is a column of the stored one.
        assert_eq!(shown((480, 450), (45, 64), Orientation::clockwise()), (640, 480));
    }

    #[test]
    fn absent_and_absurd_ratios_mean_square_pixels() {
        for aspect in [
            (0, 1),
            (1, 0),
            (0, 0),
            (-4, 3),
            (4, -3),
            (9, 1),
            (1, 9),
            (65535, 1),
            (1, i32::MAX),
        ] {
            assert_eq!(
                shown((64, 48), aspect, Orientation::default()),
                (64, 48),
                "{aspect:?}"
            );
        }
        assert_eq!(shown((1, 48), (1, 8), Orientation::default()), (1, 48));
    }
}
