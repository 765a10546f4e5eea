//! How a face moves: a Kalman filter on its box.

use serde::{Deserialize, Serialize};

use super::BoundingBox;

/// What is expected of a face's motion. A "size" is the face's own: the root of its box's area.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MotionSettings {
    /// Usual speed of a face, sizes a second (standard deviation of each component).
    pub speed: f64,
    /// Usual growth or shrinkage of a face, a second: 0.3 means by about 30 %.
    pub growth: f64,
    /// How long a motion lasts, seconds: a predicted speed decays with this time constant.
    pub persistence_s: f64,
    /// Error of a detected box, sizes (standard deviation of each coordinate).
    pub box_noise: f64,
}

impl Default for MotionSettings {
    fn default() -> Self {
        Self {
            speed: 1.0,
            growth: 0.3,
            persistence_s: 4.0,
            box_noise: 0.06,
        }
    }
}

/// Smallest width and height of a box in pixels: an empty box still has a scale.
const LEAST_SIDE: f64 = 1.0;

/// A face's place, size and speed, with their uncertainties.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    x: Coordinate,
    y: Coordinate,
    ln_width: Coordinate,
    ln_height: Coordinate,
}

impl Motion {
    /// A face seen for the first time; its speed is unknown.
    pub fn new(seen: &BoundingBox, settings: &MotionSettings) -> Self {
        let seen = Measured::of(seen);
        let noise = settings.box_noise;
        let place = |at| Coordinate::new(at, seen.size() * noise, seen.size() * settings.speed);
        let extent = |at| Coordinate::new(at, noise, settings.growth);
        Self {
            x: place(seen.x),
            y: place(seen.y),
            ln_width: extent(seen.ln_width),
            ln_height: extent(seen.ln_height),
        }
    }

    /// Moves on by `seconds`, positive or zero.
    pub fn advance(&mut self, seconds: f64, settings: &MotionSettings) {
        let persistence = settings.persistence_s;
        let speed = self.size() * settings.speed;
        self.x.advance(seconds, speed, persistence);
        self.y.advance(seconds, speed, persistence);
        self.ln_width.advance(seconds, settings.growth, persistence);
        self.ln_height.advance(seconds, settings.growth, persistence);
    }

    /// Takes in a detected box.
    pub fn correct(&mut self, seen: &BoundingBox, settings: &MotionSettings) {
        let seen = Measured::of(seen);
        let noise = settings.box_noise;
        self.x.correct(seen.x, seen.size() * noise);
        self.y.correct(seen.y, seen.size() * noise);
        self.ln_width.correct(seen.ln_width, noise);
        self.ln_height.correct(seen.ln_height, noise);
    }

    /// How unlikely it is that a detected box is this face: minus the logarithm of its Gaussian
    /// likelihood, shifted so that a certain prediction that comes true costs 0.
    ///
    /// `stray` (sizes) and `size_stray` (logarithm) are what a face may do besides its predicted
    /// motion, standard deviations. The more uncertain the prediction, the dearer the best match,
    /// so a face just seen goes before one lost for a while.
    pub fn surprise(&self, seen: &BoundingBox, stray: f64, size_stray: f64) -> f64 {
        let seen = Measured::of(seen);
        let size = self.size();
        self.x.surprise(seen.x, size * stray)
            + self.y.surprise(seen.y, size * stray)
            + self.ln_width.surprise(seen.ln_width, size_stray)
            + self.ln_height.surprise(seen.ln_height, size_stray)
    }

    /// The box where the face should be now.
    pub fn bounding_box(&self) -> BoundingBox {
        let (half_width, half_height) = (self.width() / 2.0, self.height() / 2.0);
        BoundingBox {
            x1: (self.x.position - half_width) as f32,
            y1: (self.y.position - half_height) as f32,
            x2: (self.x.position + half_width) as f32,
            y2: (self.y.position + half_height) as f32,
        }
    }

    /// A point of the picture in the box's own measure: (0, 0) is its middle, (±0.5, ±0.5) its corners.
    pub fn to_box(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            (x - self.x.position) / self.width(),
            (y - self.y.position) / self.height(),
        ]
    }

    /// The point of the picture, in pixels, at a place in the box's own measure.
    pub fn to_picture(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.x.position + x * self.width(),
            self.y.position + y * self.height(),
        ]
    }

    /// The root of the box's area, pixels.
    pub fn size(&self) -> f64 {
        ((self.ln_width.position + self.ln_height.position) / 2.0).exp()
    }

    fn width(&self) -> f64 {
        self.ln_width.position.exp()
    }

    fn height(&self) -> f64 {
        self.ln_height.position.exp()
    }
}

/// A detected box in the filter's coordinates.
struct Measured {
    x: f64,
    y: f64,
    ln_width: f64,
    ln_height: f64,
}

impl Measured {
    fn of(seen: &BoundingBox) -> Self {
        let [x1, y1, x2, y2] = [seen.x1, seen.y1, seen.x2, seen.y2].map(f64::from);
        Self {
            x: (x1 + x2) / 2.0,
            y: (y1 + y2) / 2.0,
            ln_width: (x2 - x1).max(LEAST_SIDE).ln(),
            ln_height: (y2 - y1).max(LEAST_SIDE).ln(),
        }
    }

    fn size(&self) -> f64 {
        ((self.ln_width + self.ln_height) / 2.0).exp()
    }
}

/// One coordinate with its velocity. The velocity is an Ornstein-Uhlenbeck process: it decays to
/// zero with a time constant and is driven by noise, so that neither it nor its uncertainty grows
/// without bound while a face is out of sight.
#[derive(Debug, Clone, Copy)]
struct Coordinate {
    position: f64,
    velocity: f64,
    position_variance: f64,
    velocity_variance: f64,
    covariance: f64,
}

impl Coordinate {
    fn new(position: f64, error: f64, speed: f64) -> Self {
        Self {
            position,
            velocity: 0.0,
            position_variance: error * error,
            velocity_variance: speed * speed,
            covariance: 0.0,
        }
    }

    /// `speed` is the velocity's standard deviation at rest, `persistence` its time constant.
    fn advance(&mut self, seconds: f64, speed: f64, persistence: f64) {
        let steps = seconds / persistence;
        let kept = (-steps).exp();
        let reach = persistence * (1.0 - kept);
        let drive = speed * speed;
        self.position += reach * self.velocity;
        self.velocity *= kept;
        self.position_variance += 2.0 * reach * self.covariance
            + reach * reach * self.velocity_variance
            + drive * persistence * persistence * (2.0 * steps - 3.0 + 4.0 * kept - kept * kept).max(0.0);
        self.covariance =
            kept * (self.covariance + reach * self.velocity_variance) + drive * reach * (1.0 - kept);
        self.velocity_variance = kept * kept * self.velocity_variance + drive * (1.0 - kept * kept);
    }

    fn correct(&mut self, seen: f64, error: f64) {
        let variance = self.position_variance + error * error;
        let gain = self.position_variance / variance;
        let velocity_gain = self.covariance / variance;
        let surprise = seen - self.position;
        self.position += gain * surprise;
        self.velocity += velocity_gain * surprise;
        self.velocity_variance -= velocity_gain * self.covariance;
        self.covariance *= 1.0 - gain;
        self.position_variance *= 1.0 - gain;
    }

    fn surprise(&self, seen: f64, stray: f64) -> f64 {
        let least = stray * stray;
        let variance = self.position_variance + least;
        let off = seen - self.position;
        0.5 * (off * off / variance + (variance / least).ln())
    }
}
