//! The words over a film that shows meaningless numbers.

use super::canvas::{Anchor, Area, Canvas, Colour};
use super::overlay::unit_of;
use crate::face::Point;

const TEXT: &str = "UNTRAINED WEIGHTS: the numbers mean nothing";
const BACK: Colour = Colour([176, 0, 32, 235]);
/// Height of the letters in units, where the picture is wide enough.
const SIZE: f32 = 20.0;

/// A band along the upper edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Banner {
    size: f32,
}

impl Banner {
    /// As large as it can be read and fits in.
    pub fn new(canvas: &mut Canvas) -> Self {
        let fitting = canvas.width() as f32 / canvas.text_width(TEXT, SIZE).max(1.0) * SIZE * 0.94;
        Self {
            size: (SIZE * unit_of(canvas.width(), canvas.height())).min(fitting),
        }
    }

    /// Rows that it covers.
    pub fn height(self) -> f32 {
        (self.size * 1.5).ceil()
    }

    /// Draws it.
    pub fn draw(self, canvas: &mut Canvas) {
        let area = Area {
            x: 0.0,
            y: 0.0,
            width: canvas.width() as f32,
            height: self.height(),
        };
        canvas.fill(area, BACK);
        let middle = Point {
            x: area.width / 2.0,
            y: area.height * 0.72,
        };
        canvas.text(TEXT, middle, Anchor::Middle, self.size, Colour::WHITE);
    }
}
