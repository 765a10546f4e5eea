//! Landmarks made steadier over time.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::Landmarks;
use super::motion::Motion;

/// How landmarks are smoothed within a track, before alignment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LandmarkSmoothing {
    /// Off: landmarks stay as detected.
    pub enabled: bool,
    /// What is kept of a face at rest: movements slower than this many hertz. Lower is steadier.
    pub cutoff_hz: f64,
    /// How much faster the filter follows a turning face: hertz more for each box width a second
    /// that the landmarks move within the box. Higher follows quicker.
    pub cutoff_per_speed: f64,
    /// The speed within the box is itself smoothed to this many hertz, so that noise looks slow.
    pub speed_cutoff_hz: f64,
}

impl Default for LandmarkSmoothing {
    fn default() -> Self {
        Self {
            enabled: true,
            cutoff_hz: 2.0,
            cutoff_per_speed: 10.0,
            speed_cutoff_hz: 1.0,
        }
    }
}

/// Five points in the box's own measure.
type Shape = [[f64; 2]; 5];

/// The one-euro filter (Casiez, Roussel and Vogel 2012) on a face's landmarks, measured in the
/// tracked box so that a face that only moves through the picture is not held back. One speed
/// for all five points: it is less noisy than ten, and a head turns as a whole.
#[derive(Debug, Clone)]
pub(super) struct LandmarkFilter {
    steady: Shape,
    raw: Shape,
    velocity: Shape,
}

impl LandmarkFilter {
    /// Starts with the landmarks of a face seen for the first time.
    pub fn new(seen: &Landmarks, face: &Motion) -> Self {
        let shape = seen.0.map(|point| face.to_box(point));
        Self {
            steady: shape,
            raw: shape,
            velocity: [[0.0; 2]; 5],
        }
    }

    /// Takes in detected landmarks, `seconds` (positive) after the last.
    pub fn correct(&mut self, seen: &Landmarks, face: &Motion, seconds: f64, settings: &LandmarkSmoothing) {
        let shape = seen.0.map(|point| face.to_box(point));
        if !settings.enabled {
            self.steady = shape;
            return;
        }
        let velocity = zip(&shape, &self.raw, |now, before| (now - before) / seconds);
        let weight = weight(settings.speed_cutoff_hz, seconds);
        self.velocity = zip(&self.velocity, &velocity, |old, new| old + weight * (new - old));
        self.raw = shape;
        let speed = (self.velocity.iter().flatten().map(|v| v * v).sum::<f64>() / 10.0).sqrt();
        let weight = self::weight(settings.cutoff_hz + settings.cutoff_per_speed * speed, seconds);
        self.steady = zip(&self.steady, &shape, |old, new| old + weight * (new - old));
    }

    /// The steady landmarks in the picture, in pixels.
    pub fn landmarks(&self, face: &Motion) -> Landmarks {
        Landmarks(self.steady.map(|point| face.to_picture(point)))
    }
}

/// How much a first-order low pass takes of a new value that comes `seconds` after the last.
fn weight(cutoff_hz: f64, seconds: f64) -> f64 {
    1.0 - (-TAU * cutoff_hz * seconds).exp()
}

fn zip(a: &Shape, b: &Shape, of: impl Fn(f64, f64) -> f64) -> Shape {
    std::array::from_fn(|point| std::array::from_fn(|axis| of(a[point][axis], b[point][axis])))
}
