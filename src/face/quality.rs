//! How good a look at a face was: the pose of the head, how well its landmarks fit a template, how sharp the crop is, how
//! large the face.

use serde::{Deserialize, Serialize};

use super::alignment::{AlignmentSettings, fit};
use super::head_pose::HeadPose;
use super::{FaceError, Landmarks, Point};
use crate::frame::Picture;

/// The quality of one look at a face. A crop that came aligned has only a sharpness.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// The pose of the head; `None` where landmarks make no face.
    pub pose: Option<HeadPose>,
    /// Root mean square distance of the five landmarks from the template after the similarity fit, over the distance
    /// of the eyes.
    pub alignment_error: Option<f32>,
    /// Variance of the crop's Laplacian over the variance of its luma, both at half the size; contrast does not change it:
    /// see [`sharpness`].
    pub sharpness: Option<f32>,
    /// Distance of the eyes in pixels of the frame.
    pub face_px: Option<f32>,
}

/// The `[quality]` table of a pipeline file: a face beyond one of these limits is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualityLimits {
    /// Largest roll to either side, degrees.
    pub max_roll_deg: f32,
    /// Largest pitch up or down, degrees.
    pub max_pitch_deg: f32,
    /// Largest yaw to either side, degrees.
    pub max_yaw_deg: f32,
    /// Largest alignment error, in distances of the eyes.
    pub max_alignment_error: f32,
    /// Least sharpness of the crop, 1.
    pub min_sharpness: f32,
    /// Least distance of the eyes, pixels.
    pub min_face_px: f32,
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            max_roll_deg: 60.0,
            max_pitch_deg: 45.0,
            max_yaw_deg: 50.0,
            max_alignment_error: 0.3,
            min_sharpness: 0.04,
            min_face_px: 8.0,
        }
    }
}

impl QualityLimits {
    /// Refuses limits that are negative or no numbers.
    pub fn check(&self) -> Result<(), FaceError> {
        let limits = [
            ("max_roll_deg", self.max_roll_deg.into()),
            ("max_pitch_deg", self.max_pitch_deg.into()),
            ("max_yaw_deg", self.max_yaw_deg.into()),
            ("max_alignment_error", self.max_alignment_error.into()),
            ("min_sharpness", self.min_sharpness.into()),
            ("min_face_px", self.min_face_px.into()),
        ];
        FaceError::unless(|limit| limit.is_finite() && limit >= 0.0, "0 or above", &limits)
    }

    /// Whether a look is within all limits. What was not measured of a crop is not judged; landmarks that make no face
    /// are not usable.
    pub fn allow(&self, quality: &Quality) -> bool {
        let has_landmarks = quality.face_px.is_some();
        let pose = match quality.pose {
            Some(pose) => {
                pose.roll.abs() <= self.max_roll_deg
                    && pose.pitch.abs() <= self.max_pitch_deg
                    && pose.yaw.abs() <= self.max_yaw_deg
            }
            None => !has_landmarks,
        };
        let at_most = |value: Option<f32>, limit: f32| value.map_or(!has_landmarks, |value| value <= limit);
        pose && at_most(quality.alignment_error, self.max_alignment_error)
            && quality.sharpness.is_none_or(|value| value >= self.min_sharpness)
            && quality.face_px.is_none_or(|value| value >= self.min_face_px)
    }
}

impl Quality {
    /// The quality of a face with its landmarks in a picture and its crop.
    pub fn of_face(
        picture: &Picture,
        landmarks: &Landmarks,
        crop: &Picture,
        settings: &AlignmentSettings,
    ) -> Self {
        let eyes = distance(landmarks.0[0], landmarks.0[1]);
        Self {
            pose: HeadPose::of(landmarks, picture.width(), picture.height()),
            alignment_error: alignment_error(landmarks, settings),
            sharpness: sharpness(crop),
            face_px: Some(eyes),
        }
    }

    /// The quality of a crop that came aligned.
    pub fn of_crop(crop: &Picture) -> Self {
        Self {
            sharpness: sharpness(crop),
            ..Self::default()
        }
    }
}

fn distance(a: Point, b: Point) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// `None` where landmarks fit no template or both eyes are in one place.
fn alignment_error(landmarks: &Landmarks, settings: &AlignmentSettings) -> Option<f32> {
    let (template, to_crop) = fit(landmarks, settings)?;
    let to_picture = to_crop.inverse();
    let pairs = landmarks.0.iter().zip(template.landmarks().0);
    let squares = pairs.map(|(seen, wanted)| {
        let (x, y) = to_picture.apply((f64::from(wanted.x), f64::from(wanted.y)));
        (x - f64::from(seen.x)).powi(2) + (y - f64::from(seen.y)).powi(2)
    });
    let error = (squares.sum::<f64>() / 5.0).sqrt() / f64::from(distance(landmarks.0[0], landmarks.0[1]));
    error.is_finite().then_some(error as f32)
}

/// The variance of the Laplacian (kernel 0 1 0, 1 -4 1, 0 1 0, without the edge's pixels) of the luma (BT.601) at half the
/// size, where what compression adds counts little, over the variance of the luma there. After Pech-Pacheco et al. (ICPR
/// 2000), whose measure is not divided by the contrast. `None` for a picture without any contrast, or smaller than 6x6.
pub fn sharpness(picture: &Picture) -> Option<f32> {
    let (width, height) = (picture.width() as usize / 2, picture.height() as usize / 2);
    if width < 3 || height < 3 {
        return None;
    }
    // Whole numbers: sums do not depend on their order. 128 rounds.
    let luma = |[r, g, b]: [u8; 3]| (77 * i32::from(r) + 150 * i32::from(g) + 29 * i32::from(b) + 128) >> 8;
    let rows = picture.rgb().chunks_exact(picture.width() as usize * 3);
    let mut halved = vec![0; width * height];
    for (y, row) in rows.take(2 * height).enumerate() {
        for (x, pixel) in row.as_chunks::<3>().0.iter().take(2 * width).enumerate() {
            halved[y / 2 * width + x / 2] += luma(*pixel);
        }
    }
    let contrast = Variance::of(halved.iter().copied());
    let mut laplacian = Variance::default();
    for at in width..halved.len() - width {
        if (1..width - 1).contains(&(at % width)) {
            let beside = halved[at - 1] + halved[at + 1] + halved[at - width] + halved[at + width];
            laplacian.add(beside - 4 * halved[at]);
        }
    }
    let ratio = laplacian.get() / contrast.get();
    ratio.is_finite().then_some(ratio as f32)
}

/// The variance of whole numbers.
#[derive(Default)]
struct Variance {
    count: i64,
    sum: i64,
    squares: i64,
}

impl Variance {
    fn of(values: impl Iterator<Item = i32>) -> Self {
        let mut variance = Self::default();
        values.for_each(|value| variance.add(value));
        variance
    }

    fn add(&mut self, value: i32) {
        self.count += 1;
        self.sum += i64::from(value);
        self.squares += i64::from(value * value);
    }

    fn get(&self) -> f64 {
        let count = self.count as f64;
        let mean = self.sum as f64 / count;
        self.squares as f64 / count - mean * mean
    }
}
