//! Templates: where the landmarks of an aligned face lie in its crop.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Landmarks, Point};

/// Side of an aligned crop in pixels.
pub const CROP_SIZE: u32 = 112;

/// A family of templates. A crop follows the family that the network was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TemplateSet {
    /// DDAMFN's five templates, from profile to profile; a face takes the one it fits best.
    #[default]
    Ddamfn,
    /// ArcFace's single template, which most face recognition networks use.
    Arcface,
}

impl TemplateSet {
    /// The templates of the family.
    pub fn templates(self) -> &'static [Template] {
        match self {
            TemplateSet::Ddamfn => &Template::DDAMFN,
            TemplateSet::Arcface => &[Template::Arcface],
        }
    }
}

/// The name in a pipeline file.
impl fmt::Display for TemplateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TemplateSet::Ddamfn => "ddamfn",
            TemplateSet::Arcface => "arcface",
        })
    }
}

/// A template of 112x112 pixels. Left and right are the picture's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Template {
    /// Turned far to the picture's left.
    LeftProfile,
    /// Turned to the picture's left.
    Left,
    /// Towards the camera.
    Frontal,
    /// Turned to the picture's right.
    Right,
    /// Turned far to the picture's right.
    RightProfile,
    /// The one template of ArcFace.
    Arcface,
}

impl Template {
    /// DDAMFN's templates in the order of the original.
    pub const DDAMFN: [Template; 5] = [
        Template::LeftProfile,
        Template::Left,
        Template::Frontal,
        Template::Right,
        Template::RightProfile,
    ];

    /// The name, such as `left_profile`.
    pub fn name(self) -> &'static str {
        match self {
            Template::LeftProfile => "left_profile",
            Template::Left => "left",
            Template::Frontal => "frontal",
            Template::Right => "right",
            Template::RightProfile => "right_profile",
            Template::Arcface => "arcface",
        }
    }

    /// Where the landmarks lie, in pixels of the crop. Source of the first five: InsightFace's and
    /// DDAMFN's aligners.
    pub fn landmarks(self) -> Landmarks {
        let points = match self {
            Template::LeftProfile => [
                (55.550, 49.477),
                (62.116, 49.339),
                (38.075, 70.237),
                (55.017, 92.262),
                (61.466, 92.979),
            ],
            Template::Left => [
                (47.241, 48.598),
                (72.887, 49.540),
                (40.555, 71.067),
                (47.423, 93.643),
                (71.236, 94.353),
            ],
            Template::Frontal => [
                (33.566, 40.559),
                (78.321, 40.559),
                (55.338, 64.967),
                (38.479, 90.276),
                (73.591, 90.276),
            ],
            Template::Right => [
                (39.516, 49.540),
                (65.162, 48.598),
                (71.849, 71.067),
                (41.167, 94.353),
                (64.980, 93.643),
            ],
            Template::RightProfile => [
                (50.225, 49.339),
                (56.791, 49.477),
                (74.266, 70.237),
                (50.875, 92.979),
                (65.317, 92.262),
            ],
            Template::Arcface => [
                (38.2946, 51.6963),
                (73.5318, 51.5014),
                (56.0252, 71.7366),
                (41.5493, 92.3655),
                (70.7299, 92.2041),
            ],
        };
        Landmarks(points.map(|(x, y)| Point { x, y }))
    }
}
