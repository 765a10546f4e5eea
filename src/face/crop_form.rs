//! How a network takes faces: the form in which a face is cut out of a picture.

use serde::{Deserialize, Serialize};

use super::alignment::{AlignmentSettings, LandmarkForm, align_to_size};
use super::template::TemplateSet;
use super::{BoundingBox, Detection};
use crate::bilinear;
use crate::frame::Picture;

/// The sides of a crop that networks may take, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 16..=1024;
/// How much of a box's side may be added to it on each side; below 0 it is cut.
const MARGINS: std::ops::RangeInclusive<f32> = -0.4..=2.0;

/// How a face is cut out of a picture: a square of `size` times `size` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum CropForm {
    /// Turned and scaled so that the five landmarks lie where templates have them. Templates are of 112x112 pixels;
    /// for another size they are scaled, as InsightFace does.
    Templates {
        /// Which templates.
        templates: TemplateSet,
        /// Width and height in pixels.
        size: u32,
    },
    /// The detector's box, resized: in Pillow `picture.crop(box).resize((size, size), BILINEAR)`, bit for bit. What lies
    /// outside of the picture is black.
    Box {
        /// What is added to the box on each side, in parts of its width and height.
        margin: f32,
        /// What becomes of a box that is not square.
        shape: BoxShape,
        /// Width and height in pixels.
        size: u32,
    },
}

/// How the detector's box, which is higher than wide as a rule, becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxShape {
    /// The picture in it is stretched.
    Stretched,
    /// The shorter side is made as long as the longer one, about the box's centre.
    Square,
}

impl CropForm {
    /// Width and height of the crop in pixels.
    pub fn size(&self) -> u32 {
        match *self {
            CropForm::Templates { size, .. } | CropForm::Box { size, .. } => size,
        }
    }

    /// Refuses sizes and margins beyond use; the error names them.
    pub fn check(&self) -> Result<(), String> {
        if !SIDES.contains(&self.size()) {
            return Err(format!(
                "crop: size {}, but it must be {} to {} pixels",
                self.size(),
                SIDES.start(),
                SIDES.end()
            ));
        }
        match self {
            CropForm::Box { margin, .. } if !MARGINS.contains(margin) => Err(format!(
                "crop: margin {margin}, but it must be {} to {}",
                MARGINS.start(),
                MARGINS.end()
            )),
            _ => Ok(()),
        }
    }

    /// Cuts a face out of a picture. `landmarks`: the form in which landmarks are used, where they are.
    pub fn cut(&self, picture: &Picture, face: &Detection, landmarks: LandmarkForm) -> Picture {
        match *self {
            CropForm::Templates { templates, size } => {
                let settings = AlignmentSettings { templates, landmarks };
                align_to_size(picture, face, &settings, size).0
            }
            CropForm::Box { margin, shape, size } => {
                cut_box(picture, &widened(&face.bounding_box, margin, shape), size)
            }
        }
    }
}

fn widened(face: &BoundingBox, margin: f32, shape: BoxShape) -> BoundingBox {
    let centre = face.centre();
    let (width, height) = (face.x2 - face.x1, face.y2 - face.y1);
    let (width, height) = match shape {
        BoxShape::Stretched => (width, height),
        BoxShape::Square => (width.max(height), width.max(height)),
    };
    let (half_width, half_height) = (width * (0.5 + margin), height * (0.5 + margin));
    BoundingBox {
        x1: centre.x - half_width,
        y1: centre.y - half_height,
        x2: centre.x + half_width,
        y2: centre.y + half_height,
    }
}

/// The pixels of a box, its edges rounded to whole pixels, at another size; black if it lies outside of the picture or has
/// no area.
fn cut_box(picture: &Picture, face: &BoundingBox, size: u32) -> Picture {
    let edges = [face.x1, face.y1, face.x2, face.y2].map(f32::round);
    // A detector's box is about as large as the picture; what is not is damaged, and would take memory.
    let limit = 4.0 * (picture.width().max(picture.height()) as f32 + 1.0);
    let black = Picture::black(size, size);
    if edges.iter().any(|edge| edge.is_nan() || edge.abs() > limit) {
        return black;
    }
    let [left, top, right, bottom] = edges.map(|edge| edge as i64);
    let (width, height) = (right - left, bottom - top);
    if width < 1 || height < 1 {
        return black;
    }
    let mut pixels = vec![0; (width * height * 3) as usize];
    let columns = left.max(0)..right.min(picture.width().into());
    for row in top.max(0)..bottom.min(picture.height().into()) {
        if columns.is_empty() {
            break;
        }
        let from = ((row * i64::from(picture.width()) + columns.start) * 3) as usize;
        let to = (((row - top) * width + columns.start - left) * 3) as usize;
        let bytes = ((columns.end - columns.start) * 3) as usize;
        pixels[to..to + bytes].copy_from_slice(&picture.rgb()[from..from + bytes]);
    }
    Picture::from_rgb(width as u32, height as u32, pixels)
        .and_then(|cut| bilinear::resize_picture(cut, size, size))
        .unwrap_or(black)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::alignment::align;
    use crate::face::template::Template;
    use crate::face::{Landmarks, Point};

    /// Each pixel another colour.
    fn picture() -> Picture {
        let rgb = (0..200 * 160 * 3).map(|at| (at * 7 % 251 + 1) as u8).collect();
        Picture::from_rgb(200, 160, rgb).unwrap()
    }

    fn face(x1: f32, y1: f32, x2: f32, y2: f32) -> Detection {
        let points = Template::Frontal.landmarks().0;
        Detection {
            score: 1.0,
            bounding_box: BoundingBox { x1, y1, x2, y2 },
            landmarks: Landmarks(points.map(|Point { x, y }| Point { x: x1 + x, y: y1 + y })),
        }
    }

    fn boxed(margin: f32, shape: BoxShape, size: u32) -> CropForm {
        CropForm::Box { margin, shape, size }
    }

    #[test]
    fn a_box_of_the_crops_size_is_copied_and_the_outside_is_black() {
        let form = boxed(0.0, BoxShape::Stretched, 32);
        let crop = form.cut(&picture(), &face(-10.4, 140.0, 21.6, 172.0), LandmarkForm::Float);
        for y in 0..32 {
            for x in 0..32 {
                let expected = match (x >= 10, y < 20) {
                    (true, true) => picture().pixel(x - 10, y + 140),
                    _ => [0; 3],
                };
                assert_eq!(crop.pixel(x, y), expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn margins_and_shapes_widen_the_box_about_its_centre() {
        let narrow = face(60.0, 40.0, 80.0, 80.0);
        let cut = |form: CropForm| form.cut(&picture(), &narrow, LandmarkForm::Float);
        let square = cut(boxed(0.0, BoxShape::Square, 40));
        assert_eq!(square.pixel(0, 0), picture().pixel(50, 40));
        let wide = cut(boxed(0.25, BoxShape::Square, 60));
        assert_eq!(wide.pixel(0, 0), picture().pixel(40, 30));
        assert_eq!(wide.pixel(59, 59), picture().pixel(99, 89));
    }

    #[test]
    fn templates_are_those_of_the_alignment_and_scale() {
        let face = face(30.0, 20.0, 142.0, 132.0);
        let form = |size| CropForm::Templates {
            templates: TemplateSet::Ddamfn,
            size,
        };
        let aligned = align(&picture(), &face, &AlignmentSettings::default()).0;
        assert_eq!(form(112).cut(&picture(), &face, LandmarkForm::Float), aligned);
        // At twice the size every other pixel is one of those.
        let double = form(224).cut(&picture(), &face, LandmarkForm::Float);
        for at in [10, 40, 77, 110] {
            let (large, small) = (double.pixel(2 * at, 2 * at), aligned.pixel(at, at));
            let apart = large.iter().zip(small).map(|(a, b)| a.abs_diff(b)).max();
            assert!(apart <= Some(1), "{large:?} is not {small:?}");
        }
    }

    #[test]
    fn boxes_beyond_reason_are_black() {
        let form = boxed(0.0, BoxShape::Stretched, 16);
        for (x1, x2) in [(0.0, f32::NAN), (-1e9, 1e9), (5.0, 5.0), (900.0, 990.0)] {
            let crop = form.cut(&picture(), &face(x1, 0.0, x2, 20.0), LandmarkForm::Float);
            assert_eq!(crop, Picture::black(16, 16), "{x1} {x2}");
        }
    }
}
