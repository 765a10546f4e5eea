//! Selects the subject of a video: the person whose rows are submitted.

use std::collections::BTreeMap;

use super::{BoundingBox, PersonId};

/// A side of the picture, as its viewer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The picture's left.
    Left,
    /// The picture's right.
    Right,
}

/// How the subject of a video is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectRule {
    /// The person with the most face area over time.
    LargestFace,
    /// The person on this side, where two are seen together. Aff-Wild2 names the annotations of two
    /// people in one video `<video>_left` and `<video>_right`.
    OnSide(Side),
    /// This person, in the frames in which they are.
    Person(PersonId),
}

impl SubjectRule {
    /// The rule that a video's name (its id, without an extension) asks for by its ending.
    pub fn from_video_name(name: &str) -> Self {
        if name.ends_with("_left") {
            SubjectRule::OnSide(Side::Left)
        } else if name.ends_with("_right") {
            SubjectRule::OnSide(Side::Right)
        } else {
            SubjectRule::LargestFace
        }
    }

    /// The rule that the name of labels asks for: also `<video>_person3`, for the labels of person 3 of a video.
    pub fn from_label_name(name: &str) -> Self {
        let number = name
            .rsplit_once("_person")
            .and_then(|(_, number)| number.parse().ok());
        number.map_or_else(
            || Self::from_video_name(name),
            |number| SubjectRule::Person(PersonId(number)),
        )
    }
}

/// Sums over a video from which its subject is chosen: a few numbers a person.
#[derive(Debug, Clone, Default)]
pub struct Subjects {
    presences: BTreeMap<PersonId, Presence>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Presence {
    frames: u32,
    /// Face area summed over frames, square pixels.
    area: f64,
    /// How far the face was to the right of the middle between the two largest faces, summed over
    /// the frames in which it was one of them, pixels. Negative: to the left.
    to_the_right: f64,
}

impl Presence {
    /// A false alarm, by its length beside that of the video's longest track.
    fn is_fleeting(&self, longest: u32) -> bool {
        self.frames < FLEETING_FRAMES && self.frames < longest / 10
    }

    fn side(&self) -> Option<Side> {
        if self.to_the_right < 0.0 {
            Some(Side::Left)
        } else if self.to_the_right > 0.0 {
            Some(Side::Right)
        } else {
            None
        }
    }
}

/// A face seen in fewer frames may be a false alarm, and does not count in who is on which side.
const FLEETING_FRAMES: u32 = 10;

impl Subjects {
    /// Nobody seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the faces found in one frame, in any order of frames. Faces not found there (filled
    /// from neighbours) are left out.
    pub fn observe(&mut self, faces: &[(PersonId, BoundingBox)]) {
        let area = |face: &(PersonId, BoundingBox)| f64::from(face.1.area());
        let mut faces: Vec<_> = faces.iter().filter(|face| area(face).is_finite()).collect();
        for face in &faces {
            let presence = self.presences.entry(face.0).or_default();
            presence.frames = presence.frames.saturating_add(1);
            presence.area += area(face);
        }
        faces.sort_by(|a, b| area(b).total_cmp(&area(a)).then(a.0.cmp(&b.0)));
        if let [first, second, ..] = faces[..] {
            let centre = |face: &(PersonId, BoundingBox)| f64::from(face.1.centre().x);
            let to_the_right = (centre(first) - centre(second)) / 2.0;
            if to_the_right.is_finite() {
                self.presences.entry(first.0).or_default().to_the_right += to_the_right;
                self.presences.entry(second.0).or_default().to_the_right -= to_the_right;
            }
        }
    }

    /// The same sums where tracks are joined: for each that is, the person whom it is of.
    pub fn joined(self, joined: &BTreeMap<PersonId, PersonId>) -> Self {
        let mut presences: BTreeMap<PersonId, Presence> = BTreeMap::new();
        for (track, presence) in self.presences {
            let person = joined.get(&track).copied().unwrap_or(track);
            let sums = presences.entry(person).or_default();
            sums.frames = sums.frames.saturating_add(presence.frames);
            sums.area += presence.area;
            sums.to_the_right += presence.to_the_right;
        }
        Self { presences }
    }

    /// All persons seen, in order of priority as subject.
    ///
    /// By area: the largest total first; of equals the lower number. By side: those on that side
    /// before those never seen beside another, before those on the other side, before fleeting
    /// ones (fewer than 10 frames, and than a tenth of the longest track); by area among
    /// themselves. A person is on the left who was so on average over the frames in which he was
    /// one of the two largest faces, so a moment alone does not count.
    pub fn rank(&self, rule: SubjectRule) -> Ranking {
        let longest = self
            .presences
            .values()
            .map(|presence| presence.frames)
            .max()
            .unwrap_or(0);
        let distance = |person: PersonId, presence: &Presence| match (rule, presence.side()) {
            (SubjectRule::LargestFace, _) => 0,
            (SubjectRule::Person(wanted), _) => usize::from(person != wanted),
            (SubjectRule::OnSide(_), _) if presence.is_fleeting(longest) => 3,
            (SubjectRule::OnSide(wanted), Some(side)) if side == wanted => 0,
            (SubjectRule::OnSide(_), None) => 1,
            (SubjectRule::OnSide(_), Some(_)) => 2,
        };
        let mut order: Vec<_> = self.presences.iter().collect();
        order.sort_by(|(p, a), (q, b)| {
            distance(**p, a)
                .cmp(&distance(**q, b))
                .then(b.area.total_cmp(&a.area))
        });
        let places = order.into_iter().enumerate();
        Ranking(places.map(|(place, (person, _))| (*person, place)).collect())
    }
}

/// The order in which a video's persons are its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking(BTreeMap<PersonId, usize>);

impl Ranking {
    /// The subject of a frame, of the persons present there; `None` if none was ever observed.
    pub fn subject(&self, present: impl IntoIterator<Item = PersonId>) -> Option<PersonId> {
        let ranked = present
            .into_iter()
            .filter_map(|person| Some((self.0.get(&person)?, person)));
        ranked.min().map(|(_, person)| person)
    }

    /// All persons, the first choice first.
    pub fn persons(&self) -> Vec<PersonId> {
        let mut persons: Vec<_> = self.0.keys().copied().collect();
        persons.sort_by_key(|person| self.0[person]);
        persons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: PersonId = PersonId(0);
    const B: PersonId = PersonId(1);
    const C: PersonId = PersonId(2);
    const LEFT: SubjectRule = SubjectRule::OnSide(Side::Left);
    const RIGHT: SubjectRule = SubjectRule::OnSide(Side::Right);

    fn face(person: PersonId, x: f32, size: f32) -> (PersonId, BoundingBox) {
        let bounding_box = BoundingBox {
            x1: x - size / 2.0,
            y1: 100.0,
            x2: x + size / 2.0,
            y2: 100.0 + size,
        };
        (person, bounding_box)
    }

    fn watch(frames: &[(usize, &[(PersonId, BoundingBox)])]) -> Subjects {
        let mut subjects = Subjects::new();
        for (times, faces) in frames {
            for _ in 0..*times {
                subjects.observe(faces);
            }
        }
        subjects
    }

    #[test]
    fn names_ask_for_sides() {
        assert_eq!(SubjectRule::from_video_name("10-60-1280x720_left"), LEFT);
        assert_eq!(SubjectRule::from_video_name("set/10-60-1280x720_right"), RIGHT);
        assert_eq!(SubjectRule::from_video_name("left"), SubjectRule::LargestFace);
        assert_eq!(
            SubjectRule::from_video_name("_left/video1"),
            SubjectRule::LargestFace
        );
    }

    #[test]
    fn area_over_time_counts_not_the_largest_face() {
        let subjects = watch(&[(10, &[face(A, 100.0, 50.0)]), (1, &[face(B, 300.0, 100.0)])]);
        let ranking = subjects.rank(SubjectRule::LargestFace);
        assert_eq!(ranking.persons(), [A, B]);
        assert_eq!(ranking.subject([B]), Some(B));
        assert_eq!(ranking.subject([B, A]), Some(A));
        assert_eq!(ranking.subject([C]), None);
        assert_eq!(ranking.subject([]), None);
    }

    #[test]
    fn sides_are_told_where_both_are_seen() {
        // A sits left of B; alone, A walks far to the right, and stays there longer.
        let both = [face(A, 200.0, 100.0), face(B, 600.0, 120.0)];
        let subjects = watch(&[(20, &both), (80, &[face(A, 900.0, 100.0)])]);
        assert_eq!(subjects.rank(LEFT).subject([A, B]), Some(A));
        assert_eq!(subjects.rank(RIGHT).subject([A, B]), Some(B));
    }

    #[test]
    fn one_person_is_the_subject_of_both_sides() {
        let subjects = watch(&[(20, &[face(A, 900.0, 100.0)])]);
        assert_eq!(subjects.rank(LEFT).subject([A]), Some(A));
        assert_eq!(subjects.rank(RIGHT).subject([A]), Some(A));
    }

    #[test]
    fn a_broken_track_keeps_its_side() {
        // After a gap the person on the left is C.
        let subjects = watch(&[
            (50, &[face(A, 200.0, 100.0), face(B, 600.0, 100.0)]),
            (10, &[face(C, 210.0, 100.0), face(B, 600.0, 100.0)]),
        ]);
        assert_eq!(subjects.rank(LEFT).subject([B, C]), Some(C));
        assert_eq!(subjects.rank(RIGHT).subject([B, C]), Some(B));
    }

    #[test]
    fn a_small_face_in_the_background_moves_nobody() {
        let subjects = watch(&[(
            50,
            &[face(C, 20.0, 20.0), face(A, 300.0, 100.0), face(B, 600.0, 100.0)],
        )]);
        assert_eq!(subjects.rank(LEFT).subject([A, B, C]), Some(A));
        assert_eq!(subjects.rank(RIGHT).subject([A, B, C]), Some(B));
    }

    #[test]
    fn a_false_alarm_has_no_side() {
        // Only A is a person; something left of A looks like a face for a moment.
        let subjects = watch(&[
            (100, &[face(A, 300.0, 100.0)]),
            (2, &[face(C, 100.0, 90.0), face(A, 300.0, 100.0)]),
        ]);
        assert_eq!(subjects.rank(LEFT).subject([A, C]), Some(A));
        assert_eq!(subjects.rank(RIGHT).subject([A, C]), Some(A));
    }

    #[test]
    fn boxes_that_are_no_numbers_are_left_out() {
        let subjects = watch(&[(
            1,
            &[
                face(A, f32::NAN, 10.0),
                face(B, 1.0, f32::INFINITY),
                face(C, 1.0, 5.0),
            ],
        )]);
        assert_eq!(
            subjects.rank(SubjectRule::LargestFace).subject([A, B, C]),
            Some(C)
        );
    }

    proptest! {
        #[test]
        fn left_and_right_differ_where_two_are_seen(xs in prop::collection::vec((0f32..1000.0, 0f32..1000.0), 1..20)) {
            let mut subjects = Subjects::new();
            for (a, b) in &xs {
                subjects.observe(&[face(A, *a, 100.0), face(B, *b, 90.0)]);
            }
            let apart: f32 = xs.iter().map(|(a, b)| b - a).sum();
            prop_assume!(apart.abs() > 1.0);
            let left = if apart > 0.0 { A } else { B };
            let right = if apart > 0.0 { B } else { A };
            prop_assert_eq!(subjects.rank(LEFT).subject([A, B]), Some(left));
            prop_assert_eq!(subjects.rank(RIGHT).subject([A, B]), Some(right));
        }
    }
}
