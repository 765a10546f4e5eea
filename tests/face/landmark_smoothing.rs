//! What smoothing does to landmarks: less jitter, and how much lag for it.

use std::f64::consts::TAU;

use abaw::face::track::{Tracker, TrackerSettings};
use abaw::face::{BoundingBox, Detection, Landmarks, Point};
use abaw::frame::FrameIndex;

use crate::random::Random;

const FRAME_RATE: f64 = 25.0;
const SIZE: f64 = 120.0;
const EYE_DISTANCE: f64 = 0.4 * SIZE;

/// A face centred at `x`, turned to the side by `turn` and rolled by `roll` radians.
fn face(x: f64, turn: f64, roll: f64) -> Detection {
    let y = 300.0;
    let point = |across: f64, down: f64, ahead: f64| {
        let across = across * turn.cos() + ahead * turn.sin();
        Point {
            x: (x + SIZE * (across * roll.cos() - down * roll.sin())) as f32,
            y: (y + SIZE * (across * roll.sin() + down * roll.cos())) as f32,
        }
    };
    Detection {
        score: 0.99,
        bounding_box: BoundingBox {
            x1: (x - 0.43 * SIZE) as f32,
            y1: (y - 0.58 * SIZE) as f32,
            x2: (x + 0.43 * SIZE) as f32,
            y2: (y + 0.58 * SIZE) as f32,
        },
        landmarks: Landmarks([
            point(-0.2, -0.12, 0.1),
            point(0.2, -0.12, 0.1),
            point(0.0, 0.08, 0.25),
            point(-0.16, 0.3, 0.1),
            point(0.16, 0.3, 0.1),
        ]),
    }
}

type Coordinates = [f64; 10];

fn coordinates(landmarks: &Landmarks) -> Coordinates {
    std::array::from_fn(|i| {
        let point = landmarks.0[i / 2];
        f64::from(if i % 2 == 0 { point.x } else { point.y })
    })
}

struct Course {
    truth: Vec<Coordinates>,
    raw: Vec<Coordinates>,
    smoothed: Vec<Coordinates>,
}

/// Follows a face for 40 s; `noise` of landmarks in eye distances, that of the box 2 % of its size.
fn follow(motion: impl Fn(f64) -> Detection, noise: f64) -> Course {
    let mut random = Random(7);
    let mut tracker = Tracker::new(TrackerSettings::default(), Some(FRAME_RATE));
    let mut course = Course {
        truth: vec![],
        raw: vec![],
        smoothed: vec![],
    };
    for frame in 0..1000 {
        let time = f64::from(frame) / FRAME_RATE;
        let truth = motion(time);
        let mut seen = truth;
        for point in &mut seen.landmarks.0 {
            point.x += (noise * EYE_DISTANCE * random.normal()) as f32;
            point.y += (noise * EYE_DISTANCE * random.normal()) as f32;
        }
        let BoundingBox { x1, y1, x2, y2 } = &mut seen.bounding_box;
        for side in [x1, y1, x2, y2].into_iter().filter(|_| noise > 0.0) {
            *side += (0.02 * SIZE * random.normal()) as f32;
        }
        let faces = tracker.update(FrameIndex::new(frame + 1).unwrap(), Some(time), false, vec![seen]);
        assert_eq!(faces[0].detection, seen, "the detection itself stays raw");
        course.truth.push(coordinates(&truth.landmarks));
        course.raw.push(coordinates(&seen.landmarks));
        course.smoothed.push(coordinates(&faces[0].landmarks_smoothed));
    }
    course
}

fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value * value, count + 1));
    (sum / f64::from(count)).sqrt()
}

fn differences<'a>(a: &'a [Coordinates], b: &'a [Coordinates]) -> impl Iterator<Item = f64> + 'a {
    a.iter()
        .zip(b)
        .flat_map(|(a, b)| (0..10).map(move |i| a[i] - b[i]))
}

impl Course {
    /// Root mean square error, in eye distances.
    fn error(&self, of: &[Coordinates]) -> f64 {
        root_mean_square(differences(of, &self.truth)) / EYE_DISTANCE
    }

    /// Root mean square of what the error changes from frame to frame, in eye distances.
    fn jitter(&self, of: &[Coordinates]) -> f64 {
        let error: Vec<f64> = differences(of, &self.truth).collect();
        root_mean_square(error.iter().zip(&error[10..]).map(|(a, b)| a - b)) / EYE_DISTANCE
    }

    /// By how many seconds the smoothed landmarks come late: the least squares fit of
    /// `smoothed - truth = -lag * velocity`.
    fn lag(&self) -> f64 {
        let (mut along, mut square) = (0.0, 0.0);
        for frame in 1..self.truth.len() - 1 {
            for i in 0..10 {
                let velocity = (self.truth[frame + 1][i] - self.truth[frame - 1][i]) * FRAME_RATE / 2.0;
                along += velocity * (self.truth[frame][i] - self.smoothed[frame][i]);
                square += velocity * velocity;
            }
        }
        along / square
    }
}

fn walk(t: f64) -> Detection {
    face(200.0 + 240.0 * t, 0.2, 0.0)
}

fn turn(t: f64) -> Detection {
    face(300.0, 0.7 * (TAU * 0.7 * t).sin(), 0.0)
}

fn roll(t: f64) -> Detection {
    face(300.0, 0.0, 0.4 * (TAU * 0.7 * t).sin())
}

#[test]
fn a_still_face_is_steadier_and_nearer_the_truth() {
    for noise in [0.007, 0.02, 0.05] {
        let course = follow(|_| face(300.0, 0.1, 0.05), noise);
        let (raw, smoothed) = (course.error(&course.raw), course.error(&course.smoothed));
        let ratio = course.jitter(&course.smoothed) / course.jitter(&course.raw);
        println!("noise {noise}: error {raw:.4} -> {smoothed:.4}, jitter x {ratio:.2}");
        assert!(ratio < 0.7);
        assert!(smoothed < 0.8 * raw);
    }
}

#[test]
fn a_moving_face_is_not_held_back() {
    for (name, motion, most) in [
        ("walk", walk as fn(f64) -> Detection, 0.001),
        ("turn", turn, 0.040),
        ("roll", roll, 0.040),
    ] {
        let lag = follow(motion, 0.0).lag();
        println!("{name}: lag {:.1} ms", 1000.0 * lag);
        assert!(lag.abs() < most);
        for noise in [0.02, 0.05] {
            let course = follow(motion, noise);
            let (raw, smoothed) = (course.error(&course.raw), course.error(&course.smoothed));
            println!("{name}, noise {noise}: error {raw:.4} -> {smoothed:.4}");
            assert!(smoothed < raw);
        }
    }
}

#[test]
fn off_means_as_detected() {
    let mut settings = TrackerSettings::default();
    settings.landmarks.enabled = false;
    let mut tracker = Tracker::new(settings, None);
    let mut random = Random(3);
    for frame in 1..50 {
        let seen = face(300.0 + 40.0 * random.normal(), 0.3 * random.normal(), 0.0);
        for face in tracker.update(FrameIndex::new(frame).unwrap(), None, false, vec![seen]) {
            let (raw, smoothed) = (
                coordinates(&seen.landmarks),
                coordinates(&face.landmarks_smoothed),
            );
            assert!((0..10).all(|i| (raw[i] - smoothed[i]).abs() < 1e-3));
        }
    }
}
