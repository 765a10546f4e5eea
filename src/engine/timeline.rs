//! A video's sightings in order of time, and the rows that they become.

use std::collections::BTreeMap;

use crate::face::identity::{IdentitySettings, Track, TrackLooks, same_persons};
use crate::face::subject::Ranking;
use crate::face::{PersonId, Quality};
use crate::frame::FrameIndex;
use crate::labels::{Affect, FinalAffect};
use crate::table::{Row, Sighting};

/// Everything that was seen in a video, frame by frame, in decode order.
#[derive(Debug, Default)]
pub struct Timeline {
    frames: Vec<(FrameIndex, Option<f64>)>,
    cuts: Vec<FrameIndex>,
    faces: Vec<Face>,
}

#[derive(Debug)]
struct Face {
    /// Place in `frames`.
    at: usize,
    /// The number of its track.
    track: PersonId,
    /// Whose it is: the number of the person's first track.
    person: PersonId,
    sighting: Sighting,
    quality: Quality,
    raw: Affect,
}

/// The place of a face in its timeline, for the numbers that come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaceSlot(usize);

impl FaceSlot {
    /// Faces of the video that were added before it.
    pub fn number(self) -> u64 {
        self.0 as u64
    }
}

impl Timeline {
    /// Adds the next frame; `cut` if a new shot begins with it.
    pub fn push_frame(&mut self, frame: FrameIndex, time_s: Option<f64>, cut: bool) {
        self.frames.push((frame, time_s));
        if cut {
            self.cuts.push(frame);
        }
    }

    /// Adds a face to the newest frame, of which there must be one.
    pub fn push_face(&mut self, track: PersonId, sighting: Sighting, quality: Quality) -> FaceSlot {
        self.faces.push(Face {
            at: self.frames.len().saturating_sub(1),
            track,
            person: track,
            sighting,
            quality,
            raw: Affect::default(),
        });
        FaceSlot(self.faces.len() - 1)
    }

    /// Stores the networks' outputs for a face.
    pub fn set_raw(&mut self, slot: FaceSlot, raw: Affect) {
        if let Some(face) = self.faces.get_mut(slot.0) {
            face.raw = raw;
        }
    }

    /// For each track the positions, among the frames, of its first and its last sighting.
    pub fn spans(&self) -> BTreeMap<PersonId, (usize, usize)> {
        let mut spans: BTreeMap<PersonId, (usize, usize)> = BTreeMap::new();
        for face in &self.faces {
            spans.entry(face.track).or_insert((face.at, face.at)).1 = face.at;
        }
        spans
    }

    /// Joins tracks of one person, by their looks, under the number of the first; for each that was joined the number it
    /// has now.
    pub fn join(
        &mut self,
        mut looks: BTreeMap<PersonId, TrackLooks>,
        settings: &IdentitySettings,
    ) -> BTreeMap<PersonId, PersonId> {
        let tracks = self.spans().into_iter().map(|(person, span)| Track {
            person,
            span,
            looks: looks.remove(&person).unwrap_or_default(),
        });
        let joined = same_persons(tracks.collect(), settings);
        for face in &mut self.faces {
            face.person = joined.get(&face.track).copied().unwrap_or(face.track);
        }
        joined
    }

    /// All faces: where each is kept, its frame, its person; by frame, then by person.
    pub fn faces(&self) -> Vec<(FaceSlot, FrameIndex, PersonId)> {
        let face = |(at, face): (usize, &Face)| (FaceSlot(at), self.frames[face.at].0, face.person);
        let mut faces: Vec<_> = self.faces.iter().enumerate().map(face).collect();
        faces.sort_by_key(|(_, frame, person)| (*frame, *person));
        faces
    }

    /// Frames so far.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// First frames of shots, but for the video's first.
    pub fn cuts(&self) -> &[FrameIndex] {
        &self.cuts
    }

    /// The rows of the table, without final numbers: a row a frame and person, those of a person
    /// from the first to the last sighting of each of its tracks, and one row for a frame without anybody. The subject of
    /// a frame is the person there that stands first in `ranking`.
    pub fn into_rows(self, ranking: &Ranking) -> Vec<Row> {
        let spans = self.spans();
        let mut faces = self.faces.into_iter().peekable();
        // Those in the picture, each with the position of its track's last sighting.
        let mut present: BTreeMap<PersonId, (usize, Option<Face>)> = BTreeMap::new();
        let mut rows = Vec::with_capacity(self.frames.len());
        for (at, &(frame, time_s)) in self.frames.iter().enumerate() {
            while let Some(face) = faces.next_if(|face| face.at == at) {
                let end = spans.get(&face.track).map_or(at, |span| span.1);
                present.insert(face.person, (end, Some(face)));
            }
            let first = present.keys().next().copied();
            let subject = ranking.subject(present.keys().copied()).or(first);
            if present.is_empty() {
                rows.push(row(frame, time_s, None, None));
            }
            for (&person, (_, face)) in &mut present {
                let mut of_person = row(frame, time_s, Some(person), face.take());
                of_person.subject = subject == Some(person);
                rows.push(of_person);
            }
            present.retain(|_, (end, _)| *end > at);
        }
        rows
    }
}

fn row(frame: FrameIndex, time_s: Option<f64>, person: Option<PersonId>, face: Option<Face>) -> Row {
    let (sighting, quality, raw) = match face {
        Some(face) => (face.sighting, Some(face.quality), face.raw),
        None => (Sighting::Missing, None, Affect::default()),
    };
    Row {
        frame,
        time_s,
        person,
        subject: true,
        sighting,
        quality,
        usable: None,
        raw,
        postprocessed: FinalAffect::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::BoundingBox;
    use crate::face::subject::{SubjectRule, Subjects};
    use proptest::prelude::*;

    fn timeline_of(seen: &[Vec<u16>]) -> Timeline {
        let mut timeline = Timeline::default();
        let mut frame = FrameIndex::FIRST;
        for persons in seen {
            timeline.push_frame(frame, None, false);
            for &person in persons {
                timeline.push_face(PersonId(person), Sighting::Crop, Quality::default());
            }
            frame = frame.next();
        }
        timeline
    }

    /// Persons by the number of times they are named.
    fn ranking_of(persons: &[u16]) -> Ranking {
        let face = BoundingBox {
            x2: 10.0,
            y2: 10.0,
            ..BoundingBox::default()
        };
        let mut subjects = Subjects::new();
        for &person in persons {
            subjects.observe(&[(PersonId(person), face)]);
        }
        subjects.rank(SubjectRule::LargestFace)
    }

    fn summary(rows: &[Row]) -> Vec<(u32, Option<u16>, bool, bool)> {
        rows.iter()
            .map(|row| {
                (
                    row.frame.number(),
                    row.person.map(|id| id.0),
                    row.subject,
                    row.sighting.is_face(),
                )
            })
            .collect()
    }

    #[test]
    fn gaps_of_a_person_and_frames_without_anybody_have_rows() {
        let timeline = timeline_of(&[vec![], vec![0], vec![], vec![0, 1], vec![1], vec![]]);
        let rows = timeline.into_rows(&ranking_of(&[0, 1, 1]));
        assert_eq!(
            summary(&rows),
            [
                (1, None, true, false),
                (2, Some(0), true, true),
                (3, Some(0), true, false),
                (4, Some(0), false, true),
                (4, Some(1), true, true),
                (5, Some(1), true, true),
                (6, None, true, false),
            ]
        );
    }

    proptest! {
        #[test]
        fn every_frame_has_one_subject_and_no_sighting_is_lost(
            seen in proptest::collection::vec(proptest::collection::btree_set(0u16..5, 0..4), 0..60),
        ) {
            let seen: Vec<Vec<u16>> = seen.into_iter().map(|persons| persons.into_iter().collect()).collect();
            let rows = timeline_of(&seen).into_rows(&ranking_of(&[]));
            for (at, persons) in seen.iter().enumerate() {
                let here: Vec<&Row> = rows.iter().filter(|row| row.frame.number() as usize == at + 1).collect();
                prop_assert_eq!(here.iter().filter(|row| row.subject).count(), 1);
                let found = here.iter().filter(|row| row.sighting.is_face()).count();
                prop_assert_eq!(found, persons.len());
            }
        }
    }
}
