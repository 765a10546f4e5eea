//! Warping: a square crop of a picture as a similarity sees it.

use super::similarity::Similarity;
use crate::frame::Picture;

/// The crop of `size` x `size` pixels whose pixel (x, y) shows what `to_crop` maps there, sampled
/// bilinearly and rounded; black outside of the picture.
pub fn warp(picture: &Picture, to_crop: &Similarity, size: u32) -> Picture {
    let to_picture = to_crop.inverse();
    let [[step_x, _, _], [step_y, _, _]] = to_picture.matrix();
    let mut crop = Picture::black(size, size);
    for (row, pixels) in crop.rgb_mut().chunks_exact_mut(size as usize * 3).enumerate() {
        let (start_x, start_y) = to_picture.apply((0.0, row as f64));
        for (column, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let x = start_x + step_x * column as f64;
            let y = start_y + step_y * column as f64;
            *pixel = sample(picture, x, y);
        }
    }
    crop
}

/// The colour at a place between pixel centres.
#[inline]
fn sample(picture: &Picture, x: f64, y: f64) -> [u8; 3] {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    if x >= 0.0 && y >= 0.0 && x < width - 1.0 && y < height - 1.0 {
        let (column, row) = (x as i32, y as i32);
        let stride = picture.width() as usize * 3;
        let at = row as usize * stride + column as usize * 3;
        let above = &picture.rgb()[at..][..6];
        let below = &picture.rgb()[at + stride..][..6];
        let (right, down) = ((x - f64::from(column)) as f32, (y - f64::from(row)) as f32);
        std::array::from_fn(|c| blend([above[c], above[c + 3], below[c], below[c + 3]], right, down))
    } else if x > -1.0 && y > -1.0 && x < width && y < height {
        sample_edge(picture, x, y)
    } else {
        [0; 3]
    }
}

/// The colour at a place less than a pixel from the picture's edge.
fn sample_edge(picture: &Picture, x: f64, y: f64) -> [u8; 3] {
    let (column, row) = (x.floor(), y.floor());
    let corner = |dx: f64, dy: f64| pixel_or_black(picture, column + dx, row + dy);
    let corners = [
        corner(0.0, 0.0),
        corner(1.0, 0.0),
        corner(0.0, 1.0),
        corner(1.0, 1.0),
    ];
    let (right, down) = ((x - column) as f32, (y - row) as f32);
    std::array::from_fn(|c| blend(corners.map(|corner| corner[c]), right, down))
}

/// The pixel at a whole column and row, which may lie outside.
fn pixel_or_black(picture: &Picture, column: f64, row: f64) -> [u8; 3] {
    let inside = column >= 0.0
        && row >= 0.0
        && column < f64::from(picture.width())
        && row < f64::from(picture.height());
    if inside {
        picture.pixel(column as u32, row as u32)
    } else {
        [0; 3]
    }
}

/// Blends the values top left, top right, bottom left, bottom right.
#[inline]
fn blend(corners: [u8; 4], right: f32, down: f32) -> u8 {
    let [top_left, top_right, bottom_left, bottom_right] = corners.map(f32::from);
    let top = top_left + (top_right - top_left) * right;
    let bottom = bottom_left + (bottom_right - bottom_left) * right;
    (top + (bottom - top) * down + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Point;

    fn shift(x: f32, y: f32) -> Similarity {
        Similarity::scaling(1.0, Point { x, y }, Point::default()).unwrap()
    }

    fn picture() -> Picture {
        let rgb = (0..5 * 4 * 3).map(|i| (i * 37 % 251 + 1) as u8).collect();
        Picture::from_rgb(5, 4, rgb).unwrap()
    }

    #[test]
    fn whole_pixels_are_copied_and_the_outside_is_black() {
        let crop = warp(&picture(), &shift(-1.0, -1.0), 8);
        for y in 0..8 {
            for x in 0..8 {
                let inside = (1..6).contains(&x) && (1..5).contains(&y);
                let expected = if inside {
                    picture().pixel(x - 1, y - 1)
                } else {
                    [0; 3]
                };
                assert_eq!(crop.pixel(x, y), expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn the_edge_fades_into_black() {
        let crop = warp(&picture(), &shift(-0.5, 0.0), 8);
        let half = |value: u8| (f32::from(value) / 2.0 + 0.5) as u8;
        assert_eq!(crop.pixel(0, 0), picture().pixel(0, 0).map(half));
        assert_eq!(crop.pixel(5, 3), picture().pixel(4, 3).map(half));
        assert_eq!(crop.pixel(6, 0), [0; 3]);
    }

    #[test]
    fn a_picture_without_pixels_gives_black() {
        assert_eq!(
            warp(&Picture::black(0, 0), &shift(0.0, 0.0), 4),
            Picture::black(4, 4)
        );
    }
}
