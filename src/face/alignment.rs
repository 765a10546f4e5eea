//! Alignment: the crop of a face in which its landmarks lie where the network expects them.

use serde::{Deserialize, Serialize};

use super::similarity::Similarity;
use super::template::{CROP_SIZE, Template, TemplateSet};
use super::warp::warp;
use super::{BoundingBox, Detection, Landmarks, Point};
use crate::frame::Picture;

/// How faces are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentSettings {
    /// Where landmarks are brought to. It must be as in the training of the network: weights that
    /// name other templates in their metadata cause a warning.
    pub templates: TemplateSet,
    /// What is done to landmarks first.
    pub landmarks: LandmarkForm,
}

/// The form in which landmarks are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LandmarkForm {
    /// As they are.
    #[default]
    Float,
    /// Cut to whole pixels towards zero, as DDAMFN's own aligner does.
    Truncated,
}

/// The face's crop, 112x112 pixels, and the template it was aligned to.
///
/// Landmarks that fit no template (all in one place, not finite) give `None` and the square around the
/// middle of the bounding box, as wide as the box's longer side; black if the box has no area.
pub fn align(
    picture: &Picture,
    face: &Detection,
    settings: &AlignmentSettings,
) -> (Picture, Option<Template>) {
    align_to_size(picture, face, settings, CROP_SIZE)
}

/// As [`align`], of `size` x `size` pixels: the templates are scaled.
pub fn align_to_size(
    picture: &Picture,
    face: &Detection,
    settings: &AlignmentSettings,
    size: u32,
) -> (Picture, Option<Template>) {
    match fit(&face.landmarks, settings) {
        Some((template, to_crop)) => {
            let to_size = to_crop.scaled(f64::from(size) / f64::from(CROP_SIZE));
            (warp(picture, &to_size, size), Some(template))
        }
        None => (crop(picture, &face.bounding_box, size), None),
    }
}

/// The template that the landmarks fit best, the first of equals, and the similarity that brings them
/// there; `None` if they fit none.
pub fn fit(landmarks: &Landmarks, settings: &AlignmentSettings) -> Option<(Template, Similarity)> {
    let landmarks = match settings.landmarks {
        LandmarkForm::Float => *landmarks,
        LandmarkForm::Truncated => Landmarks(landmarks.0.map(|Point { x, y }| Point {
            x: x.trunc(),
            y: y.trunc(),
        })),
    };
    let fitted = |&template: &Template| {
        let to_crop = Similarity::estimate(&landmarks, &template.landmarks())?;
        Some((
            template,
            to_crop,
            to_crop.misfit(&landmarks, &template.landmarks()),
        ))
    };
    let best = settings
        .templates
        .templates()
        .iter()
        .filter_map(fitted)
        .min_by(|a, b| a.2.total_cmp(&b.2));
    best.map(|(template, to_crop, _)| (template, to_crop))
}

fn crop(picture: &Picture, bounding_box: &BoundingBox, size: u32) -> Picture {
    let BoundingBox { x1, y1, x2, y2 } = *bounding_box;
    let side = (x2 - x1).max(y2 - y1);
    let middle = (size as f32 - 1.0) / 2.0;
    let to_crop = Similarity::scaling(
        f64::from(size) / f64::from(side),
        bounding_box.centre(),
        Point { x: middle, y: middle },
    );
    match to_crop {
        Some(to_crop) if side > 0.0 => warp(picture, &to_crop, size),
        _ => Picture::black(size, size),
    }
}
