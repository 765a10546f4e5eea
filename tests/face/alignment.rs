//! Alignment against the original's numbers: a few cases that every clone has (`tests/golden/face/`, its
//! README describes them) and all cases where `../shared/golden` exists.

use std::path::Path;

use abaw::face::alignment::{LandmarkForm, fit};
use abaw::face::template::{Template, TemplateSet};
use abaw::face::{AlignmentSettings, BoundingBox, Detection, Landmarks, Point, align};
use abaw::frame::Picture;
use serde::Deserialize;

use crate::support::{golden, read_json, read_picture, shared_golden};

fn landmarks(points: [[f32; 2]; 5]) -> Landmarks {
    Landmarks(points.map(|[x, y]| Point { x, y }))
}

#[derive(Deserialize)]
struct AlignmentCases {
    sets: Vec<AlignmentSet>,
    crops: Vec<CropCase>,
}

#[derive(Deserialize)]
struct AlignmentSet {
    name: String,
    variants: Variants,
}

#[derive(Deserialize)]
struct Variants {
    int: AlignmentCase,
    float: AlignmentCase,
}

#[derive(Deserialize)]
struct AlignmentCase {
    landmarks: [[f32; 2]; 5],
    template: Option<String>,
    matrix: Option<[[f64; 3]; 2]>,
}

#[derive(Deserialize)]
struct CropCase {
    set: String,
    variant: String,
    source: String,
    file: String,
}

/// Template, matrix and crop of every case in `folder` are the official ones. The landmarks of `int`
/// are those of `float` cut to whole pixels.
fn check_alignment(folder: &Path) {
    let cases: AlignmentCases = read_json(&folder.join("alignment.json"));
    for set in &cases.sets {
        for (form, expected) in [
            (LandmarkForm::Float, &set.variants.float),
            (LandmarkForm::Truncated, &set.variants.int),
        ] {
            let settings = AlignmentSettings {
                templates: TemplateSet::Ddamfn,
                landmarks: form,
            };
            let found = fit(&landmarks(set.variants.float.landmarks), &settings);
            assert_eq!(
                found.map(|(template, _)| template.name()),
                expected.template.as_deref(),
                "{}",
                set.name
            );
            assert_eq!(found.is_some(), expected.matrix.is_some(), "{}", set.name);
            if let (Some((_, found)), Some(expected)) = (found, expected.matrix) {
                check_matrix(&set.name, found.matrix(), expected);
            }
        }
    }
    for case in &cases.crops {
        let set = cases.sets.iter().find(|set| set.name == case.set).unwrap();
        let form = if case.variant == "int" {
            LandmarkForm::Truncated
        } else {
            LandmarkForm::Float
        };
        let settings = AlignmentSettings {
            templates: TemplateSet::Ddamfn,
            landmarks: form,
        };
        let face = Detection {
            score: 1.0,
            bounding_box: BoundingBox::default(),
            landmarks: landmarks(set.variants.float.landmarks),
        };
        let (crop, _) = align(&read_picture(&folder.join(&case.source)), &face, &settings);
        let expected = read_picture(&folder.join(&case.file));
        let worst = crop
            .rgb()
            .iter()
            .zip(expected.rgb())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        let unequal = crop
            .rgb()
            .iter()
            .zip(expected.rgb())
            .filter(|(a, b)| a != b)
            .count();
        println!(
            "{}: {worst} grey levels, {unequal} of {} values differ",
            case.file,
            crop.rgb().len()
        );
        assert!(worst <= 1, "{}", case.file);
    }
}

fn check_matrix(name: &str, found: [[f64; 3]; 2], expected: [[f64; 3]; 2]) {
    for (found, expected) in found.iter().zip(expected) {
        for (column, tolerance) in [1e-4, 1e-4, 1e-3].into_iter().enumerate() {
            let difference = (found[column] - expected[column]).abs();
            assert!(
                difference < tolerance,
                "{name}: column {column} differs by {difference}"
            );
        }
    }
}

#[test]
fn alignment_is_the_official_one() {
    check_alignment(&golden("face"));
}

#[test]
fn alignment_is_the_official_one_in_all_cases() {
    if let Some(golden) = shared_golden() {
        check_alignment(&golden);
    }
}

#[test]
fn arcface_has_one_template() {
    let settings = AlignmentSettings {
        templates: TemplateSet::Arcface,
        landmarks: LandmarkForm::Float,
    };
    // Twice the template's size and 10 pixels to the right: half of it, and 5 to the left, leads back.
    let face = Landmarks(Template::Arcface.landmarks().0.map(|p| Point {
        x: 2.0 * p.x + 10.0,
        y: 2.0 * p.y,
    }));
    let (template, to_crop) = fit(&face, &settings).unwrap();
    assert_eq!(template, Template::Arcface);
    check_matrix("arcface", to_crop.matrix(), [[0.5, 0.0, -5.0], [0.0, 0.5, 0.0]]);
}

/// A face whose landmarks mean nothing is cut out by its box; it never stops a run.
#[test]
fn landmarks_without_a_similarity_fall_back_to_the_box() {
    let picture = read_picture(&golden("face/images/upscaled.png"));
    let bounding_box = BoundingBox {
        x1: 10.0,
        y1: 20.0,
        x2: 122.0,
        y2: 76.0,
    };
    for landmarks in [
        [Point { x: 50.1, y: 50.1 }; 5],
        [Point { x: f32::NAN, y: 0.0 }; 5],
        [Point {
            x: f32::INFINITY,
            y: 1.0,
        }; 5],
    ] {
        let face = Detection {
            score: 0.9,
            bounding_box,
            landmarks: Landmarks(landmarks),
        };
        let (crop, template) = align(&picture, &face, &AlignmentSettings::default());
        assert_eq!(template, None);
        // The box is as wide as the crop and its middle is (66, 48), so pixel (0, 0) is (10.5, -7.5).
        assert_eq!(crop.pixel(0, 6), [0; 3]);
        let between = [(10, 40), (11, 40), (10, 41), (11, 41)].map(|(x, y)| picture.pixel(x, y));
        for channel in 0..3 {
            let mean = between.iter().map(|pixel| f32::from(pixel[channel])).sum::<f32>() / 4.0;
            assert!((f32::from(crop.pixel(0, 48)[channel]) - mean).abs() <= 0.5);
        }
    }
    let nothing = Detection {
        score: 0.9,
        bounding_box: BoundingBox::default(),
        landmarks: Landmarks::default(),
    };
    let (crop, template) = align(&picture, &nothing, &AlignmentSettings::default());
    assert_eq!((crop, template), (Picture::black(112, 112), None));
}
