//! What holds of the tracker whatever comes in.

use std::collections::{BTreeMap, BTreeSet};

use abaw::face::track::{TrackedFace, Tracker, TrackerSettings};
use abaw::face::{BoundingBox, Detection, Landmarks, PersonId, Point};
use abaw::frame::FrameIndex;
use proptest::prelude::*;

/// A face at whole pixels has exact coordinates: all shares are of powers of two.
fn face(x: f32, y: f32, size: f32, score: f32) -> Detection {
    let point = |across: f32, down: f32| Point {
        x: x + size * across,
        y: y + size * down,
    };
    Detection {
        score,
        bounding_box: BoundingBox {
            x1: x - 0.4375 * size,
            y1: y - 0.5625 * size,
            x2: x + 0.4375 * size,
            y2: y + 0.5625 * size,
        },
        landmarks: Landmarks([
            point(-0.1875, -0.125),
            point(0.1875, -0.125),
            point(0.0, 0.0625),
            point(-0.15625, 0.3125),
            point(0.15625, 0.3125),
        ]),
    }
}

fn tracker() -> Tracker {
    Tracker::new(TrackerSettings::default(), Some(25.0))
}

fn frame(number: u32) -> FrameIndex {
    FrameIndex::new(number).unwrap()
}

fn persons(faces: &[TrackedFace]) -> Vec<u16> {
    faces.iter().map(|face| face.person.0).collect()
}

/// Runs frames at 25 a second.
fn run(frames: &[Vec<Detection>]) -> Vec<Vec<TrackedFace>> {
    let mut tracker = tracker();
    let numbered = frames.iter().zip(1..);
    numbered
        .map(|(found, number)| {
            tracker.update(
                frame(number),
                Some(f64::from(number) / 25.0),
                false,
                found.clone(),
            )
        })
        .collect()
}

#[test]
fn settings_out_of_range_are_refused() {
    assert!(TrackerSettings::default().check().is_ok());
    let settings = |text: &str| toml::from_str::<TrackerSettings>(text);
    let refusal = |text: &str| settings(text).unwrap().check().unwrap_err().to_string();
    assert_eq!(
        refusal("max_gap_s = 0.0"),
        "the setting `max_gap_s` must be above 0"
    );
    assert_eq!(
        refusal("[motion]\nspeed = nan"),
        "the setting `motion.speed` must be above 0"
    );
    assert_eq!(
        refusal("birth_gap_s = -1"),
        "the setting `birth_gap_s` must be 0 or above"
    );
    assert!(settings("max_gap = 1.0").is_err());
    assert!(settings("[landmarks]\ncutoff = 1.0").is_err());
}

#[test]
fn a_face_without_a_past_is_someone_new() {
    let mut tracker = tracker();
    assert!(tracker.update(frame(1), Some(0.0), false, vec![]).is_empty());
    // The larger face gets the lower number.
    let two = vec![face(100.0, 100.0, 50.0, 0.9), face(300.0, 100.0, 80.0, 0.7)];
    let faces = tracker.update(frame(2), Some(0.04), false, two);
    assert_eq!(persons(&faces), [0, 1]);
    assert_eq!(faces[0].detection, face(300.0, 100.0, 80.0, 0.7));
    assert!(faces.iter().all(|face| !face.carried));
}

#[test]
fn a_cut_ends_all_tracks() {
    let mut tracker = tracker();
    let found = vec![face(100.0, 100.0, 50.0, 0.9), face(300.0, 100.0, 80.0, 0.9)];
    assert_eq!(
        persons(&tracker.update(frame(1), Some(0.0), false, found.clone())),
        [0, 1]
    );
    assert_eq!(
        persons(&tracker.update(frame(2), Some(0.04), true, found.clone())),
        [2, 3]
    );
    assert_eq!(
        persons(&tracker.update(frame(3), Some(0.08), false, found)),
        [2, 3]
    );
}

#[test]
fn a_gap_is_measured_in_time_not_in_frames() {
    // The same 20 frames without a face, at 50 and at 10 frames a second.
    for (rate, expected) in [(50.0, 0), (10.0, 1)] {
        for timed in [true, false] {
            let mut tracker = Tracker::new(TrackerSettings::default(), Some(rate));
            let mut last = vec![];
            for number in 1..=40 {
                let time = timed.then_some(f64::from(number) / rate);
                let found = if (11..=30).contains(&number) {
                    vec![]
                } else {
                    vec![face(100.0, 100.0, 50.0, 0.9)]
                };
                last = tracker.update(frame(number), time, false, found);
            }
            assert_eq!(
                persons(&last),
                [expected],
                "{rate} frames a second, timed: {timed}"
            );
        }
    }
}

#[test]
fn a_flicker_does_not_live_as_long_as_a_face() {
    // Seen once, then 0.4 s later in the same place: an established face goes on, a flicker does not.
    for (times_seen, score, expected) in [(10, 0.9, 0), (1, 0.9, 1), (10, 0.65, 1), (40, 0.65, 0)] {
        let mut frames = vec![vec![face(100.0, 100.0, 50.0, score)]; times_seen];
        frames.extend(vec![vec![]; 10]);
        frames.push(vec![face(100.0, 100.0, 50.0, 0.9)]);
        assert_eq!(persons(run(&frames).last().unwrap()), [expected]);
    }
}

#[test]
fn a_carried_face_moves_on_and_comes_back_to_its_person() {
    let mut tracker = tracker();
    for number in 1..=20 {
        tracker.update(
            frame(number),
            None,
            false,
            vec![face(100.0 + 4.0 * number as f32, 100.0, 50.0, 0.9)],
        );
    }
    for number in 21..=24 {
        let carried = tracker.carry(frame(number), None);
        assert_eq!(persons(&carried), [0]);
        assert!(carried[0].carried);
        let truth = face(100.0 + 4.0 * number as f32, 100.0, 50.0, 0.9);
        assert!(carried[0].detection.bounding_box.overlap(&truth.bounding_box) > 0.9);
        let nose = carried[0].landmarks_smoothed.0[2];
        assert!(
            (nose.x - truth.landmarks.0[2].x).abs() < 2.0 && (nose.y - truth.landmarks.0[2].y).abs() < 2.0
        );
    }
    // The detector runs again and finds nobody: nobody is carried on.
    assert!(tracker.update(frame(25), None, false, vec![]).is_empty());
    assert!(tracker.carry(frame(26), None).is_empty());
    let back = tracker.update(frame(27), None, false, vec![face(208.0, 100.0, 50.0, 0.9)]);
    assert_eq!(persons(&back), [0]);
    // Never for longer than `max_gap_s`.
    assert_eq!(persons(&tracker.carry(frame(27 + 25), None)), [0]);
    assert!(tracker.carry(frame(27 + 26), None).is_empty());
}

#[test]
fn numbers_start_again_but_living_ones_are_left_out() {
    let mut tracker = tracker();
    let stays = face(5000.0, 100.0, 50.0, 0.99);
    for number in 1..=66_000 {
        // A face that is somewhere else in each frame, so a new one each time.
        let elsewhere = face((number % 40) as f32 * 100.0, 100.0, 30.0, 0.6);
        let faces = tracker.update(frame(number), None, false, vec![stays, elsewhere]);
        assert_eq!(faces[0].person, PersonId(0));
        assert_eq!(faces[0].detection, stays);
        let expected = (number - 1) % 32_767 + 1;
        assert_eq!(u32::from(faces[1].person.0), expected);
    }
}

#[test]
fn what_is_no_number_is_left_out() {
    let good = face(100.0, 100.0, 50.0, 0.9);
    let mut broken = vec![good; 5];
    broken[0].score = f32::NAN;
    broken[1].bounding_box.x1 = f32::NAN;
    broken[2].bounding_box.y2 = f32::INFINITY;
    broken[3].landmarks.0[4].y = f32::NEG_INFINITY;
    for faces in run(&vec![broken; 5]) {
        assert_eq!(persons(&faces), [0]);
        assert_eq!(faces[0].detection, good);
    }
}

#[test]
fn strange_times_lose_nobody() {
    let mut tracker = tracker();
    let times = [
        0.0,
        0.0,
        -5.0,
        -4.96,
        -4.96,
        3.0,
        2.0,
        f64::NAN,
        1e300,
        -1e300,
        f64::INFINITY,
        0.0,
        1e-300,
        1e-7,
    ];
    for (number, time) in (1..).zip(times) {
        let faces = tracker.update(
            frame(number),
            Some(time),
            false,
            vec![face(100.0, 100.0, 50.0, 0.9)],
        );
        assert_eq!(persons(&faces), [0]);
        let nose = faces[0].landmarks_smoothed.0[2];
        assert!(
            (nose.x - 100.0).abs() < 0.01 && (nose.y - 103.125).abs() < 0.01,
            "{nose:?}"
        );
    }
    // Frame numbers that stand still or go back.
    for number in [3, 3, 1, i32::MAX.unsigned_abs()] {
        assert_eq!(
            persons(&tracker.update(frame(number), None, false, vec![face(100.0, 100.0, 50.0, 0.9)])),
            [0]
        );
    }
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        let mut tracker = Tracker::new(TrackerSettings::default(), Some(rate));
        for number in 1..10 {
            let faces = tracker.update(frame(number), None, false, vec![face(100.0, 100.0, 50.0, 0.9)]);
            assert_eq!(persons(&faces), [0]);
        }
    }
}

#[test]
fn two_hundred_faces() {
    let mut frames = Vec::new();
    for number in 0..30 {
        let step = number as f32;
        frames.push(
            (0..200)
                .map(|i| face((i % 20) as f32 * 60.0 + step, (i / 20) as f32 * 70.0, 40.0, 0.9))
                .collect(),
        );
    }
    let tracked = run(&frames);
    let nose = |face: &TrackedFace| face.detection.landmarks.0[2].x;
    for (first, last) in tracked[0].iter().zip(tracked.last().unwrap()) {
        assert_eq!((first.person, nose(first) + 29.0), (last.person, nose(last)));
    }
}

/// A frame of up to seven faces, empty and degenerate boxes among them.
fn any_frame() -> impl Strategy<Value = Vec<Detection>> {
    let coordinate = prop_oneof![8 => (0..1280).prop_map(|x| x as f32), 1 => Just(-1e6), 1 => Just(3e38)];
    let size = prop_oneof![8 => (20..200).prop_map(|size| size as f32), 1 => Just(0.0), 1 => Just(-30.0)];
    let any_face = (coordinate.clone(), coordinate, size, 0.5f32..1.0)
        .prop_map(|(x, y, size, score)| face(x, y, size, score));
    prop::collection::vec(any_face, 0..8)
}

/// Persons moving about, so that tracks go on from frame to frame.
fn any_scene() -> impl Strategy<Value = Vec<Vec<Detection>>> {
    let person = (100i16..1100, 100i16..600, -12i16..12, -12i16..12, 40u8..160);
    prop::collection::vec(person, 1..6).prop_flat_map(|persons| {
        let shown = prop::collection::vec(
            prop::collection::vec((0u8..10, -4i16..4, -4i16..4), persons.len()),
            5..25,
        );
        shown.prop_map(move |frames| {
            let at = |(number, seen): (usize, &Vec<(u8, i16, i16)>)| {
                let faces = persons.iter().zip(seen).filter(|(_, seen)| seen.0 > 0);
                let step = number as i16;
                faces
                    .map(|(&(x, y, dx, dy, size), &(chance, ex, ey))| {
                        let (x, y) = (x + step * dx + ex, y + step * dy + ey);
                        face(x.into(), y.into(), size.into(), 0.5 + 0.05 * f32::from(chance))
                    })
                    .collect()
            };
            frames.iter().enumerate().map(at).collect()
        })
    })
}

proptest! {
    #[test]
    fn every_face_has_a_row_and_its_own_person(frames in prop::collection::vec(any_frame(), 1..20), carry in prop::collection::vec(0u8..4, 20)) {
        let mut tracker = tracker();
        let mut number = 0;
        let mut numbered = |tracker: &mut Tracker, found: Option<Vec<Detection>>| {
            number += 1;
            match found {
                Some(found) => tracker.update(frame(number), Some(f64::from(number) / 25.0), false, found),
                None => tracker.carry(frame(number), Some(f64::from(number) / 25.0)),
            }
        };
        for (found, carry) in frames.iter().zip(carry) {
            let faces = numbered(&mut tracker, Some(found.clone()));
            prop_assert_eq!(faces.len(), found.len());
            for seen in found {
                let times = |detections: &mut dyn Iterator<Item = Detection>| detections.filter(|other| other == seen).count();
                prop_assert_eq!(times(&mut faces.iter().map(|face| face.detection)), times(&mut found.iter().copied()));
            }
            let now: BTreeSet<_> = faces.iter().map(|face| face.person).collect();
            prop_assert_eq!(now.len(), faces.len());
            prop_assert!(faces.is_sorted_by_key(|face| face.person));
            for _ in 0..carry {
                let carried = numbered(&mut tracker, None);
                let still: Vec<_> = carried.iter().map(|face| face.person).collect();
                prop_assert_eq!(still, now.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_order_of_detections_does_not_matter(scene in any_scene(), seed in any::<u64>()) {
        let shuffled: Vec<Vec<Detection>> = scene.iter().enumerate().map(|(number, found)| {
            let mut found = found.clone();
            let by = (seed as usize).wrapping_add(number);
            if !found.is_empty() {
                let length = found.len();
                found.rotate_left(by % length);
                if by.is_multiple_of(2) { found.reverse(); }
            }
            found
        }).collect();
        prop_assert_eq!(run(&scene), run(&shuffled));
    }

    #[test]
    fn where_the_picture_begins_does_not_matter(scene in any_scene(), dx in -500i16..500, dy in -500i16..500) {
        let moved: Vec<Vec<Detection>> = scene.iter().map(|found| found.iter().map(|seen| {
            let mut seen = *seen;
            let BoundingBox { x1, y1, x2, y2 } = &mut seen.bounding_box;
            for x in [x1, x2] { *x += f32::from(dx); }
            for y in [y1, y2] { *y += f32::from(dy); }
            for point in &mut seen.landmarks.0 { point.x += f32::from(dx); point.y += f32::from(dy); }
            seen
        }).collect()).collect();
        let who = |tracked: Vec<Vec<TrackedFace>>| tracked.iter().map(|faces| {
            let nose = |face: &TrackedFace| (face.detection.score.to_bits(), face.person);
            faces.iter().map(nose).collect::<BTreeSet<_>>()
        }).collect::<Vec<_>>();
        prop_assert_eq!(who(run(&scene)), who(run(&moved)));
    }

    #[test]
    fn who_walks_alone_keeps_one_number(x in 100i16..600, dx in -15i16..15, dy in -10i16..10, size in 60u8..200) {
        let path = (0..50i16).map(|step| vec![face((x + step * dx).into(), (300 + step * dy).into(), size.into(), 0.9)]);
        let mut seen: BTreeMap<PersonId, usize> = BTreeMap::new();
        for faces in run(&path.collect::<Vec<_>>()) {
            *seen.entry(faces[0].person).or_default() += 1;
        }
        prop_assert_eq!(seen.len(), 1);
    }
}
