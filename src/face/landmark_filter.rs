//! Landmarks made steadier over time.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::motion::Motion;
use super::{Landmarks, Point};

/// How landmarks are smoothed within a track, before alignment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LandmarkSmoothing {
    /// Off: landmarks stay as detected.
    pub enabled: bool,
    /// Cutoff of the low pass on a head that does not turn, hertz. Lower is steadier.
    pub cutoff_hz: f64,
    /// How much quicker a turning head is followed: hertz more for each face size a second that the
    /// landmarks move about their centre (root mean square over coordinates).
    pub cutoff_per_speed: f64,
    /// Cutoff of the low pass on that speed, hertz: noise shall not look like a turn.
    pub speed_cutoff_hz: f64,
}

impl Default for LandmarkSmoothing {
    fn default() -> Self {
        Self {
            enabled: true,
            cutoff_hz: 2.0,
            cutoff_per_speed: 20.0,
            speed_cutoff_hz: 1.0,
        }
    }
}

/// Five points about their common centre, in face sizes.
type Shape = [[f64; 2]; 5];

/// The one-euro filter (Casiez, Roussel and Vogel 2012) on the shape of a face's landmarks: their
/// places about their common centre. The centre itself is taken as detected, so a face that moves
/// through the picture is never held back; being a mean of five points it is steady enough. One
/// speed serves for all five points: it is less noisy than ten, and a head turns as a whole.
#[derive(Debug, Clone)]
pub(super) struct LandmarkFilter {
    /// In the measure of the tracked box.
    centre: [f64; 2],
    steady: Shape,
    raw: Shape,
    velocity: Shape,
}

impl LandmarkFilter {
    /// Starts with the landmarks of a face seen for the first time.
    pub fn new(seen: &Landmarks, face: &Motion) -> Self {
        let (centre, shape) = measure(seen, face);
        Self {
            centre,
            steady: shape,
            raw: shape,
            velocity: [[0.0; 2]; 5],
        }
    }

    /// Takes in detected landmarks, `seconds` (positive) after the last.
    pub fn correct(&mut self, seen: &Landmarks, face: &Motion, seconds: f64, settings: &LandmarkSmoothing) {
        let (centre, shape) = measure(seen, face);
        let velocity = zip(&shape, &self.raw, |now, before| (now - before) / seconds);
        let weight_of_speed = weight(settings.speed_cutoff_hz, seconds);
        self.velocity = zip(&self.velocity, &velocity, |old, new| {
            old + weight_of_speed * (new - old)
        });
        let speed = (self.velocity.iter().flatten().map(|v| v * v).sum::<f64>() / 10.0).sqrt();
        let weight = if settings.enabled {
            weight(settings.cutoff_hz + settings.cutoff_per_speed * speed, seconds)
        } else {
            1.0
        };
        self.steady = zip(&self.steady, &shape, |old, new| old + weight * (new - old));
        self.raw = shape;
        self.centre = centre;
    }

    /// The steady landmarks in the picture, in pixels.
    pub fn landmarks(&self, face: &Motion) -> Landmarks {
        let centre = face.to_picture(self.centre);
        let size = face.size();
        Landmarks(self.steady.map(|[x, y]| Point {
            x: (centre[0] + x * size) as f32,
            y: (centre[1] + y * size) as f32,
        }))
    }
}

/// The centre of landmarks in the measure of a box, and their shape.
fn measure(seen: &Landmarks, face: &Motion) -> ([f64; 2], Shape) {
    let points = seen.0.map(|point| [f64::from(point.x), f64::from(point.y)]);
    let centre = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / 5.0);
    let size = face.size();
    let shape = points.map(|[x, y]| [(x - centre[0]) / size, (y - centre[1]) / size]);
    (face.to_box(centre), shape)
}

/// How much a first-order low pass takes of a new value that comes `seconds` after the last.
fn weight(cutoff_hz: f64, seconds: f64) -> f64 {
    1.0 - (-TAU * cutoff_hz * seconds).exp()
}

fn zip(a: &Shape, b: &Shape, of: impl Fn(f64, f64) -> f64) -> Shape {
    std::array::from_fn(|point| std::array::from_fn(|axis| of(a[point][axis], b[point][axis])))
}
