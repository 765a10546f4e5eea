//! Drawings beside pictures of them that people looked at (`tests/golden/render`).

use std::path::Path;

use super::aligned;
use super::canvas::Canvas;
use super::overlay::{Banner, Overlay};
use crate::face::{AlignmentSettings, BoundingBox, Detection, Landmarks, PersonId, Point};
use crate::frame::{FrameIndex, Picture};
use crate::labels::{Affect, Expression, FinalAffect, ValenceArousal};
use crate::table::{Row, Sighting};

/// Mean difference of a channel, 0 to 255, that another compiler's rounding may cause.
const MEAN: f64 = 0.5;
/// Difference of a channel that shows, and the part of all channels that may have it.
const SHOWS: u8 = 40;
const PART: f64 = 0.002;

/// A bluish picture that gets lighter to the right and downwards.
fn picture() -> Picture {
    let shade = |at: u32| [(at % 640 / 4) as u8, (at / 640 / 2) as u8, 120];
    Picture::from_rgb(640, 400, (0..640 * 400).flat_map(shade).collect()).unwrap()
}

fn row(person: u16, x: f32, subject: bool, valence: f32, expression: Expression) -> Row {
    let at = |dx: f32, dy: f32| Point {
        x: x + dx,
        y: 60.0 + dy,
    };
    let mut probabilities = [0.05; 8];
    probabilities[expression.index()] = 0.65;
    let action_units = std::array::from_fn(|nth| (nth as f32 + 1.0) / 12.0);
    Row {
        frame: FrameIndex::new(42).unwrap(),
        time_s: Some(1.64),
        person: Some(PersonId(person)),
        subject,
        sighting: Sighting::Found(Detection {
            score: 0.99,
            bounding_box: BoundingBox {
                x1: x,
                y1: 60.0,
                x2: x + 90.0,
                y2: 170.0,
            },
            landmarks: Landmarks([
                at(25.0, 40.0),
                at(65.0, 42.0),
                at(45.0, 62.0),
                at(28.0, 84.0),
                at(62.0, 85.0),
            ]),
        }),
        quality: None,
        usable: None,
        raw: Affect::default(),
        postprocessed: FinalAffect {
            affect: Affect {
                valence_arousal: Some(ValenceArousal {
                    valence,
                    arousal: 0.5,
                }),
                expression: Some(probabilities),
                action_units: action_units.map(Some),
                ..Affect::default()
            },
            expression: Some(expression),
            action_units: action_units.map(|probability| Some(probability > 0.5)),
            extra_units: Box::default(),
        },
    }
}

/// Compares a drawing with its golden picture; leaves it among temporary files if they differ.
#[track_caller]
fn assert_as_golden(canvas: &Canvas, name: &str) {
    let (width, height) = (canvas.width(), canvas.height());
    let drawn = image::RgbaImage::from_raw(width, height, canvas.rgba().to_vec()).unwrap();
    let drawn = image::DynamicImage::from(drawn).into_rgb8();
    let kept = std::env::temp_dir().join(format!("abaw-{name}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/render")
        .join(name);
    let golden = image::open(&path)
        .map(image::DynamicImage::into_rgb8)
        .unwrap_or_default();
    let differences: Vec<u8> = drawn
        .iter()
        .zip(golden.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let mean = differences
        .iter()
        .map(|&difference| f64::from(difference))
        .sum::<f64>()
        / differences.len() as f64;
    let part = differences
        .iter()
        .filter(|&&difference| difference > SHOWS)
        .count() as f64
        / differences.len() as f64;
    if drawn.dimensions() != golden.dimensions() || mean > MEAN || part > PART {
        drawn.save(&kept).unwrap();
        panic!(
            "{name}: mean difference {mean:.2}, {part:.4} of it shows; look at {}",
            kept.display()
        );
    }
}

#[test]
fn two_people_who_moved() {
    let mut canvas = Canvas::new(640, 400).unwrap();
    let banner = Banner::new(&mut canvas);
    let mut overlay = Overlay::new(640, 400, banner.height());
    for step in 0..10 {
        canvas.lay(&picture(), 1.0);
        let way = step as f32 / 10.0;
        let rows = [
            row(0, 60.0, true, way, Expression::Happiness),
            row(1, 420.0, false, -way * way, Expression::Sadness),
        ];
        overlay.draw(&mut canvas, &rows, 1.0, 1.0 + f64::from(way) * 0.7);
    }
    banner.draw(&mut canvas);
    assert_as_golden(&canvas, "two_people.png");
}

#[test]
fn an_aligned_face() {
    let (width, height) = aligned::size();
    let mut canvas = Canvas::new(width, height).unwrap();
    let row = row(2, 200.0, true, 0.0, Expression::Neutral);
    aligned::draw(
        &mut canvas,
        &picture(),
        &[row],
        &AlignmentSettings::default(),
        1.64,
    );
    assert_as_golden(&canvas, "aligned.png");
}
