//! Which way up a frame is.

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::packet::side_data::Type as StreamSideData;
use ffmpeg::frame::side_data::Type as FrameSideData;
use ffmpeg::{Stream, frame};

use crate::frame::Picture;

/// How decoded pixels are laid out upright: one of the eight turns and mirrorings of a rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orientation {
    /// Rows become columns.
    transposed: bool,
    /// Then columns run from right to left.
    flip_x: bool,
    /// Then rows run from bottom to top.
    flip_y: bool,
}

impl Orientation {
    /// From a display matrix `[a b u; c d v; x y w]`, which takes a decoded pixel (p, q) to
    /// (a p + c q, b p + d q) on the screen, y down. An angle between right angles counts as the
    /// nearest one. A matrix of nothing but zeros turns nothing.
    fn from_matrix(matrix: [i32; 9]) -> Self {
        let [a, b, _, c, d, ..] = matrix;
        let straight = i64::from(a).abs() + i64::from(d).abs();
        let crossed = i64::from(b).abs() + i64::from(c).abs();
        if crossed > straight {
            Self {
                transposed: true,
                flip_x: c < 0,
                flip_y: b < 0,
            }
        } else {
            Self {
                transposed: false,
                flip_x: a < 0,
                flip_y: d < 0,
            }
        }
    }

    /// From side data: nine native-endian 32-bit numbers.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let numbers: &[[u8; 4]; 9] = bytes.as_chunks().0.first_chunk()?;
        Some(Self::from_matrix(numbers.map(i32::from_ne_bytes)))
    }

    /// What the container says of all frames.
    pub fn of_stream(stream: &Stream) -> Self {
        let matrix = stream
            .side_data()
            .find(|data| data.kind() == StreamSideData::DisplayMatrix);
        matrix
            .and_then(|data| Self::from_bytes(data.data()))
            .unwrap_or_default()
    }

    /// What a frame says of itself, which goes before what the container says.
    pub fn of_frame(frame: &frame::Video) -> Option<Self> {
        frame
            .side_data(FrameSideData::DisplayMatrix)
            .and_then(|data| Self::from_bytes(data.data()))
    }

    /// Degrees of the clockwise turn: 0, 90, 180 or 270.
    pub fn rotation(self) -> u16 {
        match (self.transposed, self.flip_x, self.flip_y) {
            (false, _, false) => 0,
            (true, true, _) => 90,
            (false, _, true) => 180,
            (true, false, _) => 270,
        }
    }

    /// Whether frames are mirrored left to right, before the turn.
    pub fn mirrored(self) -> bool {
        self.transposed ^ self.flip_x ^ self.flip_y
    }

    /// Width and height after the turn.
    pub fn upright_size(self, width: u32, height: u32) -> (u32, u32) {
        if self.transposed {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Lays out decoded pixels upright. `rgb` holds `height` rows of `stride` bytes, of which the
    /// first `3 * width` are pixels. `None` if it holds less.
    pub fn apply(self, mut rgb: Vec<u8>, stride: usize, width: u32, height: u32) -> Option<Picture> {
        let (columns, rows) = (width as usize, height as usize);
        if self == Self::default() {
            for row in 1..rows {
                rgb.copy_within(row * stride..row * stride + 3 * columns, row * 3 * columns);
            }
            rgb.truncate(rows * 3 * columns);
            return Picture::from_rgb(width, height, rgb);
        }

        // Upright pixel (0, 0) in `rgb`, and the way from a pixel to its right and lower neighbour.
        let (from_right, from_bottom) = if self.transposed {
            (self.flip_y, self.flip_x)
        } else {
            (self.flip_x, self.flip_y)
        };
        let origin = if from_right { 3 * (columns - 1) } else { 0 }
            + if from_bottom { stride * (rows - 1) } else { 0 };
        let across = if from_right { -3 } else { 3 };
        let down = if from_bottom {
            -(stride as isize)
        } else {
            stride as isize
        };
        let (right, below) = if self.transposed {
            (down, across)
        } else {
            (across, down)
        };

        let (width, height) = self.upright_size(width, height);
        let mut upright = Picture::black(width, height);
        for (y, row) in upright.rgb_mut().chunks_exact_mut(3 * width as usize).enumerate() {
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let at = origin.wrapping_add_signed(y as isize * below + x as isize * right);
                *pixel = *rgb.get(at..)?.first_chunk()?;
            }
        }
        Some(upright)
    }
}
