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
