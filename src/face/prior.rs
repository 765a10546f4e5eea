//! Priors (anchors): the boxes, laid out over the network's input in a fixed pattern, relative to
//! which RetinaFace gives boxes and landmarks.

use super::{BoundingBox, Landmarks, Point};

/// Stride of the cells, in pixels of the network's input, and sizes of the two priors of each.
const LEVELS: [(u32, [f32; 2]); 3] = [(8, [16.0, 32.0]), (16, [64.0, 128.0]), (32, [256.0, 512.0])];
/// Scale of the offsets of centres and landmarks, and of the logarithms of sizes.
const VARIANCES: [f32; 2] = [0.1, 0.2];

/// A square, in pixels of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// In pixels of the network's input.
    pub centre: Point,
    /// Side in pixels.
    pub size: f32,
}

/// All priors of an input of `width` x `height` pixels, level after level, rows top to bottom, cells
/// left to right, small size before large.
pub fn priors(width: u32, height: u32) -> Vec<Prior> {
    let mut priors = Vec::new();
    for (stride, sizes) in LEVELS {
        for row in 0..height.div_ceil(stride) {
            for column in 0..width.div_ceil(stride) {
                let centre = Point {
                    x: (column as f32 + 0.5) * stride as f32,
                    y: (row as f32 + 0.5) * stride as f32,
                };
                priors.extend(sizes.map(|size| Prior { centre, size }));
            }
        }
    }
    priors
}

impl Prior {
    /// The box that the network's four numbers mean: offset of the centre and logarithm of the size.
    pub fn bounding_box(&self, [x, y, width, height]: [f32; 4]) -> BoundingBox {
        let centre = self.point(x, y);
        let width = self.size * (width * VARIANCES[1]).exp();
        let height = self.size * (height * VARIANCES[1]).exp();
        let (x1, y1) = (centre.x - width / 2.0, centre.y - height / 2.0);
        BoundingBox {
            x1,
            y1,
            x2: x1 + width,
            y2: y1 + height,
        }
    }

    /// The landmarks that the network's ten numbers mean, x and y in turn.
    pub fn landmarks(&self, offsets: [f32; 10]) -> Landmarks {
        Landmarks(std::array::from_fn(|i| {
            self.point(offsets[2 * i], offsets[2 * i + 1])
        }))
    }

    fn point(&self, x: f32, y: f32) -> Point {
        Point {
            x: self.centre.x + x * VARIANCES[0] * self.size,
            y: self.centre.y + y * VARIANCES[0] * self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_an_input_that_no_stride_divides() {
        // 35 x 40, 18 x 20 and 9 x 10 cells: the count in the golden case of 273 x 320 pixels.
        assert_eq!(priors(273, 320).len(), 3700);
        assert_eq!(priors(1, 1).len(), 6);
    }

    #[test]
    fn offsets_are_scaled_by_the_variances() {
        let prior = Prior {
            centre: Point { x: 100.0, y: 50.0 },
            size: 16.0,
        };
        let found = prior.bounding_box([1.0, -1.0, 0.0, 5.0 * 2f32.ln()]);
        let expected = [101.6 - 8.0, 48.4 - 16.0, 101.6 + 8.0, 48.4 + 16.0];
        for (found, expected) in [found.x1, found.y1, found.x2, found.y2].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let Landmarks(points) = prior.landmarks([0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0]);
        assert_eq!(points[0], prior.centre);
        assert!((points[1].x - 101.6).abs() < 1e-4 && (points[1].y - 53.2).abs() < 1e-4);
        assert!((points[4].x - 98.4).abs() < 1e-4);
    }
}
