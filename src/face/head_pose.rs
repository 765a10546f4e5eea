//! The pose of a head from its five landmarks.

use super::{Landmarks, Point};

/// How a head is turned against the camera's axes, degrees: first by the pitch, then the yaw, then the roll.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HeadPose {
    /// Positive: the head's own right ear is down.
    pub roll: f32,
    /// Positive: the chin is up.
    pub pitch: f32,
    /// Positive: the nose points to the picture's right.
    pub yaw: f32,
}

/// The landmarks of a face that looks straight ahead, centimetres: x to the picture's right, y downwards, z away from
/// the camera. Eyes (the middle of both corners) and mouth are those of MediaPipe's canonical face model; the tip of the
/// nose lies where the detector sees it, measured on 400 faces (`docs/quality.md`).
const MODEL: [[f64; 3]; 5] = [
    [-3.151, -2.620, -3.470],
    [3.151, -2.620, -3.470],
    [0.0, 0.730, -7.530],
    [-2.456, 4.343, -4.284],
    [2.456, 4.343, -4.284],
];
/// How much each landmark counts. The corners of the mouth count little: a smile lifts them, and is no nod.
const WEIGHTS: [f64; 5] = [1.0, 1.0, 1.0, 0.13, 0.13];
/// Steps of the fit: it is at its end after half as many.
const STEPS: usize = 12;
/// Step of the numeric derivative, radians.
const NUDGE: f64 = 1e-4;
/// Spread of landmarks in square pixels below which they are in one place.
const LEAST_SPREAD: f64 = 1e-6;

type Matrix = [[f64; 3]; 3];
/// Pitch, yaw and roll, radians, as the picture's axes have them: a roll turns clockwise.
type Angles = [f64; 3];
/// A number for each coordinate of the landmarks.
type Coordinates = [f64; 10];

impl HeadPose {
    /// The pose of a rigid model of a face that fits landmarks of a picture of `width` x `height` pixels best (least
    /// squares) under a scaled orthographic camera, which looks along the ray to the face; then turned to the axis of a
    /// camera whose focal length is the picture's longer side. `None` if all landmarks are in one place or one is no
    /// number.
    pub fn of(landmarks: &Landmarks, width: u32, height: u32) -> Option<Self> {
        let seen = centred(landmarks.0.map(|point| [f64::from(point.x), f64::from(point.y)]));
        let spread: f64 = seen.iter().flatten().map(|value| value * value).sum();
        if !spread.is_finite() || spread < LEAST_SPREAD {
            return None;
        }
        let roll = roll_of(landmarks);
        let fits = [0.0, 0.9, -0.9].map(|yaw| refine([0.0, yaw, roll], &seen));
        let (angles, _) = fits.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let turned = product(&towards(landmarks, width, height), &rotation(angles));
        let [pitch, yaw, roll] = angles_of(&turned).map(|angle| angle.to_degrees() as f32);
        let is_finite = [pitch, yaw, roll].iter().all(|angle| angle.is_finite());
        // The y axis points downwards, so a turn about z is clockwise as one looks.
        let roll = -roll;
        is_finite.then_some(Self { roll, pitch, yaw })
    }
}

/// The rotation from the camera's axis to the ray to a face.
fn towards(landmarks: &Landmarks, width: u32, height: u32) -> Matrix {
    let focal_length = f64::from(width.max(height)).max(1.0);
    let mean = |of: fn(&Point) -> f32| landmarks.0.iter().map(of).map(f64::from).sum::<f64>() / 5.0;
    let x = (mean(|point| point.x) - f64::from(width) / 2.0) / focal_length;
    let y = (mean(|point| point.y) - f64::from(height) / 2.0) / focal_length;
    let (pitch, yaw) = (y.atan2(x.hypot(1.0)), -x.atan());
    product(&rotation([0.0, yaw, 0.0]), &rotation([pitch, 0.0, 0.0]))
}

/// The angle of the way from the middle of the eyes to that of the mouth, against the vertical, which holds in profile.
fn roll_of(landmarks: &Landmarks) -> f64 {
    let [left, right, _, mouth_left, mouth_right] = landmarks.0;
    let x = f64::from(mouth_left.x + mouth_right.x - left.x - right.x);
    let y = f64::from(mouth_left.y + mouth_right.y - left.y - right.y);
    (-x).atan2(y)
}

/// Points about their weighted centre.
fn centred(points: [[f64; 2]; 5]) -> [[f64; 2]; 5] {
    let whole: f64 = WEIGHTS.iter().sum();
    let mean = [0, 1].map(|axis| {
        let weighted = points
            .iter()
            .zip(WEIGHTS)
            .map(|(point, weight)| weight * point[axis]);
        weighted.sum::<f64>() / whole
    });
    points.map(|[x, y]| [x - mean[0], y - mean[1]])
}

/// The best angles near a start, and the sum of squared distances there.
fn refine(mut angles: Angles, seen: &[[f64; 2]; 5]) -> (Angles, f64) {
    let mut residuals = residuals(angles, seen);
    let mut error = sum_of_squares(&residuals);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let mut jacobian: [Coordinates; 3] = [[0.0; 10]; 3];
        for (axis, column) in jacobian.iter_mut().enumerate() {
            let mut nudged = angles;
            nudged[axis] += NUDGE;
            let moved = self::residuals(nudged, seen);
            *column = std::array::from_fn(|at| (moved[at] - residuals[at]) / NUDGE);
        }
        let dot = |a: &Coordinates, b: &Coordinates| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut normal: Matrix =
            std::array::from_fn(|row| std::array::from_fn(|column| dot(&jacobian[row], &jacobian[column])));
        let size = (normal[0][0] + normal[1][1] + normal[2][2]) / 3.0;
        for (axis, row) in normal.iter_mut().enumerate() {
            row[axis] += damping * size;
        }
        let gradient = [0, 1, 2].map(|axis| -dot(&jacobian[axis], &residuals));
        let step = solve(&normal, gradient);
        let next = [0, 1, 2].map(|axis| angles[axis] + step[axis].clamp(-0.5, 0.5));
        let next_residuals = self::residuals(next, seen);
        let next_error = sum_of_squares(&next_residuals);
        if next_error < error {
            (angles, residuals, error) = (next, next_residuals, next_error);
            damping *= 0.3;
        } else {
            damping *= 10.0;
        }
    }
    (angles, error)
}

/// How far the turned model's points are from those seen, with the best scale, in the model's centimetres.
fn residuals(angles: Angles, seen: &[[f64; 2]; 5]) -> Coordinates {
    let turned = turned(angles);
    let (mut dot, mut square) = (0.0, 0.0);
    for ((model, seen), weight) in turned.iter().zip(seen).zip(WEIGHTS) {
        dot += weight * (model[0] * seen[0] + model[1] * seen[1]);
        square += weight * (model[0] * model[0] + model[1] * model[1]);
    }
    // A mirrored face is none: its scale would be negative.
    let scale = (dot / square).max(0.0);
    std::array::from_fn(|at| {
        let (point, axis) = (at / 2, at % 2);
        WEIGHTS[point].sqrt() * (seen[point][axis] - scale * turned[point][axis])
    })
}

/// The model's points about their centre, turned and seen from the front.
fn turned(angles: Angles) -> [[f64; 2]; 5] {
    let [x, y, _] = rotation(angles);
    let dot = |row: [f64; 3], point: [f64; 3]| row[0] * point[0] + row[1] * point[1] + row[2] * point[2];
    centred(MODEL.map(|point| [dot(x, point), dot(y, point)]))
}

/// First the pitch about x (the chin up: what is in front goes up), then the yaw about y (what is in front goes right),
/// then the roll about z (clockwise).
fn rotation([pitch, yaw, roll]: Angles) -> Matrix {
    let ((sin_p, cos_p), (sin_y, cos_y), (sin_r, cos_r)) = (pitch.sin_cos(), yaw.sin_cos(), roll.sin_cos());
    let pitched = [[1.0, 0.0, 0.0], [0.0, cos_p, sin_p], [0.0, -sin_p, cos_p]];
    let yawed = [[cos_y, 0.0, -sin_y], [0.0, 1.0, 0.0], [sin_y, 0.0, cos_y]];
    let rolled = [[cos_r, -sin_r, 0.0], [sin_r, cos_r, 0.0], [0.0, 0.0, 1.0]];
    product(&rolled, &product(&yawed, &pitched))
}

/// The way back from [`rotation`].
fn angles_of(rotation: &Matrix) -> Angles {
    let [[a, ..], [b, ..], [x, y, z]] = *rotation;
    [(-y).atan2(z), x.clamp(-1.0, 1.0).asin(), b.atan2(a)]
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..3).map(|at| a[row][at] * b[at][column]).sum()))
}

fn sum_of_squares(residuals: &Coordinates) -> f64 {
    residuals.iter().map(|residual| residual * residual).sum()
}

/// Cramer's rule; zeros where the matrix has no inverse.
fn solve(matrix: &Matrix, right: [f64; 3]) -> [f64; 3] {
    let determinant = |m: &Matrix| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = determinant(matrix);
    if !whole.is_normal() {
        return [0.0; 3];
    }
    [0, 1, 2].map(|column| {
        let mut replaced = *matrix;
        for (row, value) in replaced.iter_mut().zip(right) {
            row[column] = value;
        }
        determinant(&replaced) / whole
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture so large that the ray to every face is the camera's axis.
    const SIDE: u32 = 1 << 22;

    /// The landmarks of the model in a pose, degrees, in the middle of the picture.
    fn seen(pitch: f64, yaw: f64, roll: f64, scale: f64) -> Landmarks {
        let middle = f64::from(SIDE) / 2.0;
        let points = turned([pitch, yaw, -roll].map(f64::to_radians));
        // Rounding of so large numbers would show.
        Landmarks(points.map(|[x, y]| Point {
            x: (middle + (scale * x * 4.0).round() / 4.0) as f32,
            y: (middle + (scale * y * 4.0).round() / 4.0) as f32,
        }))
    }

    fn wrapped(degrees: f64) -> f64 {
        degrees - 360.0 * (degrees / 360.0).round()
    }

    proptest! {
        #[test]
        fn the_pose_of_the_model_is_found_again(
            pitch in -40f64..40.0, yaw in -75f64..75.0, roll in -179f64..179.0, scale in 20f64..60.0,
        ) {
            let found = HeadPose::of(&seen(pitch, yaw, roll, scale), SIDE, SIDE).unwrap();
            prop_assert!((f64::from(found.pitch) - pitch).abs() < 1.5, "{found:?}");
            prop_assert!((f64::from(found.yaw) - yaw).abs() < 1.5, "{found:?}");
            prop_assert!(wrapped(f64::from(found.roll) - roll).abs() < 1.5, "{found:?}");
        }

        #[test]
        fn any_landmarks_have_finite_angles_or_none(bits in prop::array::uniform10(any::<u32>())) {
            let points = std::array::from_fn(|at| Point {
                x: f32::from_bits(bits[2 * at]),
                y: f32::from_bits(bits[2 * at + 1]),
            });
            if let Some(HeadPose { roll, pitch, yaw }) = HeadPose::of(&Landmarks(points), 640, 360) {
                prop_assert!([roll, pitch, yaw].iter().all(|angle| angle.is_finite() && angle.abs() <= 180.0));
            }
        }
    }

    #[test]
    fn signs_are_those_of_the_table() {
        let with = |nose: (f32, f32), right_eye_down: f32| {
            let points = [
                (30.0, 40.0 + right_eye_down),
                (80.0, 40.0 - right_eye_down),
                (55.0 + nose.0, 65.0 + nose.1),
                (37.0, 92.0),
                (73.0, 92.0),
            ];
            HeadPose::of(&Landmarks(points.map(|(x, y)| Point { x, y })), 110, 130).unwrap()
        };
        assert!(
            with((12.0, 0.0), 0.0).yaw > 15.0,
            "the nose to the picture's right"
        );
        assert!(with((-12.0, 0.0), 0.0).yaw < -15.0);
        let (up, level, down) = (
            with((0.0, -12.0), 0.0),
            with((0.0, 0.0), 0.0),
            with((0.0, 10.0), 0.0),
        );
        assert!(
            up.pitch > level.pitch + 10.0 && down.pitch < level.pitch - 10.0,
            "the chin up"
        );
        // Turned counter-clockwise by 45 degrees: the eye at the picture's left is down.
        let tilted = [(0.0, 0.0), (35.4, -35.4), (35.4, 0.0), (42.4, 31.1), (67.9, 5.7)];
        let tilted = Landmarks(tilted.map(|(x, y)| Point { x, y }));
        let pose = HeadPose::of(&tilted, 70, 0).unwrap();
        assert!(
            (pose.roll - 45.0).abs() < 3.0,
            "the head's right ear down: {pose:?}"
        );
    }

    #[test]
    fn a_face_beside_the_axis_that_faces_the_camera_looks_inwards() {
        let frontal = |x: f32| {
            Landmarks(turned([0.0; 3]).map(|[dx, dy]| Point {
                x: x + 10.0 * dx as f32,
                y: 360.0 + 10.0 * dy as f32,
            }))
        };
        let yaw = |x: f32| HeadPose::of(&frontal(x), 1280, 720).unwrap().yaw;
        assert!(yaw(640.0).abs() < 1.0);
        let expected = (500.0f32 / 1280.0).atan().to_degrees();
        assert!((yaw(140.0) - expected).abs() < 1.0 && (yaw(1140.0) + expected).abs() < 1.0);
    }
}
