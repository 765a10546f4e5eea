//! Warping: a square crop of a picture as a similarity sees it.

use super::similarity::Similarity;
use crate::frame::Picture;

/// The crop of `size` x `size` pixels whose pixel (x, y) shows what `to_crop` maps there, sampled
/// bilinearly and rounded; black outside of the picture.
pub fn warp(picture: &Picture, to_crop: &Similarity, size: u32) -> Picture {
    let to_picture = to_crop.inverse();
    let [[step_x, _, _], [step_y, _, _]] = to_picture.matrix();
    let mut crop = Picture::black(size, size);
    let rows = crop.rgb_mut().chunks_exact_mut(size as usize * 3);
    for (row, pixels) in rows.enumerate() {
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
fn sample(picture: &Picture, x: f64, y: f64) -> [u8; 3] {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    if x >= 0.0 && y >= 0.0 && x < width - 1.0 && y < height - 1.0 {
        let (column, row) = (x as u32, y as u32);
        let stride = picture.width() as usize * 3;
        let at = row as usize * stride + column as usize * 3;
        let above = &picture.rgb()[at..at + 6];
        let below = &picture.rgb()[at + stride..at + stride + 6];
        let corners = [
            [above[0], above[1], above[2]],
            [above[3], above[4], above[5]],
            [below[0], below[1], below[2]],
            [below[3], below[4], below[5]],
        ];
        blend(
            corners,
            (x - f64::from(column)) as f32,
            (y - f64::from(row)) as f32,
        )
    } else if x > -1.0 && y > -1.0 && x < width && y < height {
        let (column, row) = (x.floor(), y.floor());
        let corner = |dx: f64, dy: f64| pixel_or_black(picture, column + dx, row + dy);
        let corners = [
            corner(0.0, 0.0),
            corner(1.0, 0.0),
            corner(0.0, 1.0),
            corner(1.0, 1.0),
        ];
        blend(corners, (x - column) as f32, (y - row) as f32)
    } else {
        [0; 3]
    }
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

/// Blends the pixels top left, top right, bottom left, bottom right.
fn blend([top_left, top_right, bottom_left, bottom_right]: [[u8; 3]; 4], right: f32, down: f32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let across = |left: u8, other: u8| f32::from(left) * (1.0 - right) + f32::from(other) * right;
        let top = across(top_left[channel], top_right[channel]);
        let bottom = across(bottom_left[channel], bottom_right[channel]);
        (top * (1.0 - down) + bottom * down + 0.5) as u8
    })
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
