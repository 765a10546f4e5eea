//! RetinaFace against the original's numbers: a few cases that every clone has (`tests/golden/face/`, its
//! README describes them) and all cases where `../shared/golden` exists.

use std::path::{Path, PathBuf};

use abaw::face::alignment::LandmarkForm;
use abaw::face::prior::priors;
use abaw::face::resize::Resize;
use abaw::face::template::TemplateSet;
use abaw::face::{AlignmentSettings, BoundingBox, Detection, DetectorSettings};
use abaw::frame::Picture;
use abaw::model::retinaface::RetinaFace;
use abaw::model::{Detector, DetectorError};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::support::{golden, read_json, read_picture, root, shared_golden};

/// The weights that `make` fetches.
fn shipped_weights() -> PathBuf {
    let path = root().join("models/retinaface-mobilenet0.25.safetensors");
    assert!(path.exists(), "{} is missing: `make` fetches it", path.display());
    path
}

fn detector(weights: &Path, long_side: u32) -> Detector {
    let settings = DetectorSettings {
        long_side,
        ..DetectorSettings::default()
    };
    Detector::load(weights, Device::Cpu, &settings).unwrap()
}

fn greatest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[])
}

#[derive(Deserialize)]
struct DetectionCases {
    long_side: u32,
    images: Vec<DetectionCase>,
}

#[derive(Deserialize)]
struct DetectionCase {
    file: String,
    detections: Vec<ExpectedFace>,
}

#[derive(Deserialize)]
struct ExpectedFace {
    box_xyxy: [f32; 4],
    score: f32,
    landmarks_xy: [[f32; 2]; 5],
}

/// Greatest distance of any box edge or landmark coordinate in pixels.
fn distance(found: &Detection, expected: &ExpectedFace) -> f32 {
    let BoundingBox { x1, y1, x2, y2 } = found.bounding_box;
    let edges = [x1, y1, x2, y2].into_iter().zip(expected.box_xyxy);
    let points = found
        .landmarks
        .0
        .iter()
        .flat_map(|p| [p.x, p.y])
        .zip(expected.landmarks_xy.into_iter().flatten());
    edges
        .chain(points)
        .map(|(found, expected)| (found - expected).abs())
        .fold(0.0, f32::max)
}

/// Every face of `cases` in `folder`, and no other, is found where the original finds it. All pictures
/// go in at once, so that batches of equal and of unequal sizes are covered.
fn check_detections(weights: &Path, folder: &Path, cases: &str) {
    let cases: DetectionCases = read_json(&folder.join(cases));
    let pictures: Vec<Picture> = cases
        .images
        .iter()
        .map(|case| read_picture(&folder.join(&case.file)))
        .collect();
    let found = detector(weights, cases.long_side)
        .detect(&pictures.iter().collect::<Vec<_>>())
        .unwrap();
    for (case, found) in cases.images.iter().zip(found) {
        assert_eq!(found.len(), case.detections.len(), "{}", case.file);
        for (found, expected) in found.iter().zip(&case.detections) {
            let distance = distance(found, expected);
            println!(
                "{}: {distance:.5} px, score {:.1e}",
                case.file,
                found.score - expected.score
            );
            assert!(distance < 0.005, "{}: {found:?}", case.file);
            assert!(
                (found.score - expected.score).abs() < 1e-5,
                "{}: {found:?}",
                case.file
            );
        }
    }
}

/// Among them one face that is too small, or too dark, at a long side of 320 pixels and found at 640.
#[test]
fn the_shipped_weights_find_what_their_original_finds() {
    check_detections(&shipped_weights(), &golden("face"), "detections_320.json");
    check_detections(&shipped_weights(), &golden("face"), "detections_640.json");
}

#[test]
fn the_official_weights_find_what_the_official_code_finds() {
    if let Some(golden) = shared_golden() {
        check_detections(
            &golden.join("retinaface.safetensors"),
            &golden,
            "retinaface_cases.json",
        );
    }
}

#[test]
fn input_priors_and_raw_outputs_are_the_official_ones() {
    let Some(golden) = shared_golden() else { return };
    let network = RetinaFace::load(&golden.join("retinaface.safetensors"), Device::Cpu).unwrap();
    let cases = Tensor::read_safetensors(golden.join("retinaface_cases.safetensors")).unwrap();
    let case = |name: &str| &cases.iter().find(|(other, _)| other == name).unwrap().1;
    for (name, file) in [("a", "one_face.png"), ("b", "one_face_not_multiple_of_32.png")] {
        let input = case(&format!("{name}.input"));
        let picture = read_picture(&golden.join("images").join(file));
        let resize = Resize::to_long_side(picture.width(), picture.height(), 320);
        let (width, height) = (i64::from(resize.width()), i64::from(resize.height()));
        let mut resized = vec![0.0f32; (width * height * 3) as usize];
        resize.write(&picture, &mut resized);
        let resized = Tensor::from_slice(&resized)
            .view([1, height, width, 3])
            .permute([0, 3, 1, 2]);
        let difference = greatest_difference(&resized, input);
        assert!(difference < 1e-3, "{file}: input {difference}");

        let laid_out: Vec<f32> = priors(resize.width(), resize.height())
            .iter()
            .flat_map(|p| {
                let (width, height) = (width as f32, height as f32);
                [
                    p.centre.x / width,
                    p.centre.y / height,
                    p.size / width,
                    p.size / height,
                ]
            })
            .collect();
        let laid_out = Tensor::from_slice(&laid_out).view([-1, 4]);
        assert!(greatest_difference(&laid_out, case(&format!("{name}.priors"))) < 1e-6);

        let predictions = network.forward(input).unwrap();
        let scores = case(&format!("{name}.conf")).select(2, 1);
        for (what, found, expected, tolerance) in [
            ("conf", &predictions.scores, &scores, 2e-5),
            ("loc", &predictions.boxes, case(&format!("{name}.loc")), 3e-4),
            (
                "landms",
                &predictions.landmarks,
                case(&format!("{name}.landms")),
                3e-4,
            ),
        ] {
            let difference = greatest_difference(found, expected);
            println!(
                "{file}: {what} {difference:.1e}, input {:.1e}",
                greatest_difference(&resized, input)
            );
            assert!(difference < tolerance, "{file}: {what} {difference}");
        }
    }
}

/// What is found must not hang on which pictures happen to share a batch.
#[test]
fn faces_are_the_same_alone_in_any_batch_and_on_any_thread() {
    let several = read_picture(&golden("face/images/several_faces.png"));
    let mut flipped = several.clone();
    flipped.rgb_mut().reverse();
    let portrait = read_picture(&golden("face/images/portrait_odd_size.png"));
    let pictures = [
        &flipped,
        &portrait,
        &several,
        &several,
        &Picture::black(0, 0),
        &flipped,
        &several,
    ];
    let detector = detector(&shipped_weights(), 320);
    let together = detector.detect(&pictures).unwrap();
    let fork = detector.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (picture, together) in pictures.iter().zip(&together) {
                assert_eq!(&fork.detect(&[picture]).unwrap()[0], together);
            }
        });
    });
}

#[test]
fn pictures_of_any_shape_are_looked_at() {
    let detector = detector(&shipped_weights(), 320);
    for (width, height) in [(1, 1), (1, 700), (2000, 2), (33, 31)] {
        assert_eq!(
            detector.detect(&[&Picture::black(width, height)]).unwrap(),
            [vec![]]
        );
    }
    assert!(detector.detect(&[]).unwrap().is_empty());
}

#[test]
fn a_file_that_is_no_retinaface_is_refused_with_the_reason() {
    let load = |path: &Path| {
        Detector::load(path, Device::Cpu, &DetectorSettings::default())
            .err()
            .unwrap()
    };
    assert!(matches!(
        load(Path::new("/nowhere.safetensors")),
        DetectorError::Unreadable { .. }
    ));
    assert!(matches!(
        load(&root().join("Cargo.toml")),
        DetectorError::Unreadable { .. }
    ));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.safetensors");
    let mut tensors = Tensor::read_safetensors(shipped_weights()).unwrap();
    let at = tensors
        .iter()
        .position(|(name, _)| name == "fpn.merge1.0.weight")
        .unwrap();
    tensors[at].1 = Tensor::zeros([64, 64, 1, 1], (Kind::Float, Device::Cpu));
    Tensor::write_safetensors(&tensors, &path).unwrap();
    assert!(
        load(&path)
            .to_string()
            .contains("`fpn.merge1.0.weight` has shape [64, 64, 1, 1]"),
        "{}",
        load(&path)
    );
    tensors.truncate(at);
    Tensor::write_safetensors(&tensors, &path).unwrap();
    assert!(
        load(&path).to_string().contains("` is missing"),
        "{}",
        load(&path)
    );
}

#[test]
fn settings_out_of_range_or_unknown_are_refused() {
    let refused =
        |settings: DetectorSettings| Detector::load(&shipped_weights(), Device::Cpu, &settings).is_err();
    assert!(!refused(DetectorSettings::default()));
    assert!(refused(DetectorSettings {
        long_side: 31,
        ..Default::default()
    }));
    assert!(refused(DetectorSettings {
        confidence: f32::NAN,
        ..Default::default()
    }));
    assert!(refused(DetectorSettings {
        overlap: 1.1,
        ..Default::default()
    }));

    let read = |text: &str| toml::from_str::<DetectorSettings>(text);
    assert!(read("batch = 0").is_err());
    assert_eq!(read("long_side = 320").unwrap().long_side, 320);
    assert!(read("longside = 320").is_err());
    let read = |text: &str| toml::from_str::<AlignmentSettings>(text);
    let official = AlignmentSettings {
        templates: TemplateSet::Ddamfn,
        landmarks: LandmarkForm::Truncated,
    };
    assert_eq!(
        read("templates = \"ddamfn\"\nlandmarks = \"truncated\"").unwrap(),
        official
    );
    assert!(read("templates = \"vggface\"").is_err());
}
