//! Quality of looks beside what OpenCV and MediaPipe measure (`tests/golden/face/make_quality.py`).

use std::collections::BTreeMap;

use abaw::face::quality::sharpness;
use abaw::face::{HeadPose, Landmarks, Point};
use serde::Deserialize;

use crate::support::{golden, read_json, read_picture};

#[derive(Deserialize)]
struct Golden {
    poses: Vec<Face>,
    /// By the name of the picture.
    sharpness: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Face {
    clip: String,
    /// Width and height.
    size: [u32; 2],
    landmarks: [[f32; 2]; 5],
    /// Pitch, yaw, roll, degrees.
    opencv: [f64; 3],
    mediapipe: [f64; 3],
}

/// The mean difference in degrees that the design allows.
const MOST: f64 = 7.0;

#[test]
fn angles_are_those_of_opencv_and_of_mediapipe() {
    let golden: Golden = read_json(&golden("face/quality.json"));
    for clip in ["astronaut", "carphone", "two_people"] {
        let faces: Vec<&Face> = golden.poses.iter().filter(|face| face.clip == clip).collect();
        assert!(faces.len() >= 8, "{clip}");
        let (mut from_opencv, mut from_mediapipe) = ([0.0; 3], [0.0; 3]);
        for face in &faces {
            let landmarks = Landmarks(face.landmarks.map(|[x, y]| Point { x, y }));
            let pose = HeadPose::of(&landmarks, face.size[0], face.size[1]).unwrap();
            let angles = [pose.pitch, pose.yaw, pose.roll].map(f64::from);
            for axis in 0..3 {
                from_opencv[axis] += (angles[axis] - face.opencv[axis]).abs() / faces.len() as f64;
                from_mediapipe[axis] += (angles[axis] - face.mediapipe[axis]).abs() / faces.len() as f64;
            }
        }
        println!(
            "{clip}: pitch, yaw, roll from OpenCV's {from_opencv:.1?}, from MediaPipe's {from_mediapipe:.1?}"
        );
        // A laugh lifts the corners of the mouth, which solvePnP takes for a nod and MediaPipe's mesh does not: so OpenCV's
        // are compared over all angles.
        assert!(
            from_opencv.iter().sum::<f64>() / 3.0 <= MOST,
            "{clip}: from OpenCV's {from_opencv:?}"
        );
        assert!(
            from_mediapipe.iter().all(|angle| *angle <= MOST),
            "{clip}: from MediaPipe's {from_mediapipe:?}"
        );
    }
}

#[test]
fn sharpness_is_that_of_opencv() {
    let expected = read_json::<Golden>(&golden("face/quality.json")).sharpness;
    assert!(expected.len() >= 5);
    for (name, expected) in expected {
        let found = sharpness(&read_picture(&golden(&name))).unwrap();
        // Luma is rounded with other weights in the last bit.
        assert!(
            (f64::from(found) / expected - 1.0).abs() < 0.01,
            "{name}: {found} and {expected}"
        );
    }
}
