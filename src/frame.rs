//! A frame: its number and its pixels.

use std::fmt;

/// Frame rate assumed where neither times nor a rate are known, frames a second.
pub const FALLBACK_FRAME_RATE: f64 = 25.0;

/// The number of a frame in its video: 1-based, in decode order. With aligned crops, the number
/// in the file's name, which may begin at 0.
///
/// ```
/// use abaw::frame::FrameIndex;
///
/// assert_eq!(FrameIndex::FIRST.next().number(), 2);
/// assert_eq!(FrameIndex::new(u32::MAX), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameIndex(u32);

impl FrameIndex {
    /// The first frame of a video.
    pub const FIRST: FrameIndex = FrameIndex(1);

    /// The largest number: tables hold it in 32 bits with a sign. Two years of video at 30 frames a second.
    const LAST: u32 = i32::MAX.unsigned_abs();

    /// The frame of a number; `None` for one that no table can hold.
    pub fn new(number: u32) -> Option<Self> {
        (number <= Self::LAST).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The frame after this one; the last stays.
    pub fn next(self) -> Self {
        Self((self.0 + 1).min(Self::LAST))
    }
}

impl fmt::Display for FrameIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An upright RGB picture, 8 bits a channel, rows tightly packed (`[height, width, 3]`).
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// Takes `width * height * 3` bytes; `None` if the sizes do not fit.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        (rgb.len() == width as usize * height as usize * 3).then_some(Self { width, height, rgb })
    }

    /// A black picture.
    pub fn black(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            rgb: vec![0; width as usize * height as usize * 3],
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, `[height, width, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The bytes, `[height, width, 3]`, without the picture.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The bytes, `[height, width, 3]`, for changes in place.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// Red, green and blue of the pixel at column `x`, row `y` (0-based), which must lie inside.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}
