//! The rotation and mirroring of frames.

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
    /// nearest one. A matrix of zeros is no turn.
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

    /// Reads the orientation of all frames from the container.
    pub fn of_stream(stream: &Stream) -> Self {
        let matrix = stream
            .side_data()
            .find(|data| data.kind() == StreamSideData::DisplayMatrix);
        matrix
            .and_then(|data| Self::from_bytes(data.data()))
            .unwrap_or_default()
    }

    /// Reads the orientation of one frame, which overrides that of the container.
    pub fn of_frame(frame: &frame::Video) -> Option<Self> {
        frame
            .side_data(FrameSideData::DisplayMatrix)
            .and_then(|data| Self::from_bytes(data.data()))
    }

    /// Returns the degrees of the clockwise turn: 0, 90, 180 or 270.
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

    /// Whether rows of the decoded frame are columns of the upright one.
    pub fn is_transposed(self) -> bool {
        self.transposed
    }

    /// Whether frames are upright as they are.
    pub fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// Lays out decoded pixels upright. `rgb` holds `height` rows of `stride` bytes, of which the
    /// first `3 * width` are pixels. `None` if it holds less.
    pub fn turn(self, rgb: &[u8], stride: usize, width: u32, height: u32) -> Option<Picture> {
        // The upright picture's first pixel in `rgb`, and the distances from a pixel to its right and to
        // its lower neighbour.
        let (from_right, from_bottom) = if self.transposed {
            (self.flip_y, self.flip_x)
        } else {
            (self.flip_x, self.flip_y)
        };
        let first_column = if from_right {
            3 * (width as usize).checked_sub(1)?
        } else {
            0
        };
        let first_row = if from_bottom {
            stride * (height as usize).checked_sub(1)?
        } else {
            0
        };
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
        let mut row_start = first_row + first_column;
        for row in upright.rgb_mut().chunks_exact_mut(3 * width as usize) {
            let mut at = row_start;
            for pixel in row.as_chunks_mut::<3>().0 {
                *pixel = *rgb.get(at..)?.first_chunk()?;
                at = at.wrapping_add_signed(right);
            }
            row_start = row_start.wrapping_add_signed(below);
        }
        Some(upright)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i32 = 1 << 16;

    impl Orientation {
        /// A quarter turn, as a phone held upright writes it.
        pub fn clockwise() -> Self {
            Self::from_matrix([0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30])
        }
    }

    fn named(rotation: u16, mirrored: bool) -> Orientation {
        let signs = [-ONE, 0, ONE];
        let all = (0..81).map(|n| [n / 27, n / 9 % 3, n / 3 % 3, n % 3].map(|at: usize| signs[at]));
        all.filter(|[a, b, c, d]| a.abs() + b.abs() == ONE && c.abs() + d.abs() == ONE && a.abs() == d.abs())
            .map(|[a, b, c, d]| Orientation::from_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30]))
            .find(|found| (found.rotation(), found.mirrored()) == (rotation, mirrored))
            .unwrap()
    }

    fn letters(picture: &Picture) -> Vec<String> {
        let text: String = picture.rgb().chunks(3).map(|pixel| pixel[0] as char).collect();
        text.as_bytes()
            .chunks(picture.width() as usize)
            .map(|row| String::from_utf8_lossy(row).into())
            .collect()
    }

    #[test]
    fn turns_and_mirrors() {
        // a b c
        // d e f
        let rgb: Vec<u8> = b"abcdef".iter().flat_map(|&letter| [letter; 3]).collect();
        for (rotation, mirrored, upright) in [
            (0, false, vec!["abc", "def"]),
            (90, false, vec!["da", "eb", "fc"]),
            (180, false, vec!["fed", "cba"]),
            (270, false, vec!["cf", "be", "ad"]),
            (0, true, vec!["cba", "fed"]),
            (90, true, vec!["fc", "eb", "da"]),
            (180, true, vec!["def", "abc"]),
            (270, true, vec!["ad", "be", "cf"]),
        ] {
            let picture = named(rotation, mirrored).turn(&rgb, 9, 3, 2).unwrap();
            assert_eq!(letters(&picture), upright, "{rotation} {mirrored}");
        }
    }

    #[test]
    fn zero_and_short_matrices_turn_nothing() {
        assert!(Orientation::from_matrix([0; 9]).is_upright());
        assert_eq!(Orientation::from_bytes(&[0; 35]), None);
    }

    proptest! {
        #[test]
        fn any_angle_counts_as_the_nearest_right_one(degrees in -360_i32..720) {
            let away = degrees.rem_euclid(90);
            prop_assume!(away != 45);
            let angle = f64::from(degrees).to_radians();
            let [sin, cos] = [angle.sin(), angle.cos()].map(|part| (part * f64::from(ONE)).round() as i32);
            let found = Orientation::from_matrix([cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30]);
            let nearest = (f64::from(degrees) / 90.0).round() as i32 * 90;
            prop_assert_eq!(i32::from(found.rotation()), nearest.rem_euclid(360));
            prop_assert!(!found.mirrored());
        }
    }
}
