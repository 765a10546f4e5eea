//! Who is the same person: tracks that are joined because their faces look alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PersonId;

/// When two tracks are of one person. The similarity is the cosine between the mean features of two tracks, of the network that
/// tells people apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentitySettings {
    /// Least similarity of two tracks of one person, in [-1, 1]; above 1: tracks are never joined. Measured for dlib's
    /// network (`docs/identity.md`).
    pub same_person: f64,
    /// How much more alike a track must be to this person than to any other of the video.
    pub margin: f64,
    /// Usable looks that a track must have to be joined.
    pub least_looks: u32,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            same_person: SAME_PERSON,
            margin: 0.02,
            least_looks: 5,
        }
    }
}

impl IdentitySettings {
    /// Whether tracks can be joined at all.
    pub fn joins(&self) -> bool {
        self.same_person <= 1.0
    }
}

/// The default of [`IdentitySettings::same_person`].
const SAME_PERSON: f64 = 0.96;

/// The features of a track, summed up, and when it was seen.
#[derive(Debug, Clone, Default)]
pub struct TrackLooks {
    /// Of features of length 1. Whole numbers, so that the order in which looks come does not matter.
    sum: Vec<i64>,
    looks: u32,
}

/// The scale of a feature's numbers in a sum.
const ONE: f64 = (1u64 << 32) as f64;

impl TrackLooks {
    /// Adds a look.
    pub fn add(&mut self, feature: &[f32]) {
        let length = feature
            .iter()
            .map(|&value| f64::from(value).powi(2))
            .sum::<f64>()
            .sqrt();
        if !length.is_normal() {
            return;
        }
        self.sum.resize(feature.len(), 0);
        for (sum, &value) in self.sum.iter_mut().zip(feature) {
            *sum += (f64::from(value) / length * ONE).round() as i64;
        }
        self.looks = self.looks.saturating_add(1);
    }

    fn merge(&mut self, other: &Self) {
        self.sum.resize(other.sum.len().max(self.sum.len()), 0);
        for (sum, more) in self.sum.iter_mut().zip(&other.sum) {
            *sum += more;
        }
        self.looks = self.looks.saturating_add(other.looks);
    }

    /// The cosine between the mean features; -1 where one has none.
    fn similarity(&self, other: &Self) -> f64 {
        let dot = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum::<f64>();
        let cosine =
            dot(&self.sum, &other.sum) / (dot(&self.sum, &self.sum) * dot(&other.sum, &other.sum)).sqrt();
        if cosine.is_finite() { cosine } else { -1.0 }
    }
}

/// A track of a video: the places of its first and last sighting among the frames, and its looks.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its number.
    pub person: PersonId,
    /// First and last frame, by place.
    pub span: (usize, usize),
    /// Its usable looks.
    pub looks: TrackLooks,
}

struct Person {
    id: PersonId,
    spans: Vec<(usize, usize)>,
    looks: TrackLooks,
}

/// Joins tracks into persons: for each track that is of an earlier person the number of that one. In the order of their
/// beginnings each track goes to the person whom it is most like, if it is alike enough, clearly more alike than to all
/// others, and that person is nowhere seen beside it.
pub fn same_persons(mut tracks: Vec<Track>, settings: &IdentitySettings) -> BTreeMap<PersonId, PersonId> {
    tracks.sort_by_key(|track| (track.span, track.person));
    let mut persons: Vec<Person> = Vec::new();
    let mut joined = BTreeMap::new();
    for track in tracks {
        let mut alike: Vec<(f64, usize)> = persons
            .iter()
            .enumerate()
            .filter(|(_, person)| person.looks.looks >= settings.least_looks)
            .map(|(at, person)| (person.looks.similarity(&track.looks), at))
            .collect();
        alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let next = alike.get(1).map_or(-1.0, |(similarity, _)| *similarity);
        let best = alike.first().filter(|(similarity, at)| {
            let apart = |span: &(usize, usize)| span.1 < track.span.0 || track.span.1 < span.0;
            track.looks.looks >= settings.least_looks
                && *similarity >= settings.same_person
                && *similarity >= next + settings.margin
                && persons[*at].spans.iter().all(apart)
        });
        match best {
            Some((_, at)) => {
                let person = &mut persons[*at];
                person.spans.push(track.span);
                person.looks.merge(&track.looks);
                joined.insert(track.person, person.id);
            }
            None => persons.push(Person {
                id: track.person,
                spans: vec![track.span],
                looks: track.looks,
            }),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: IdentitySettings = IdentitySettings {
        same_person: 0.8,
        margin: 0.1,
        least_looks: 3,
    };

    /// A track of `looks` looks at a face that looks like `feature`.
    fn track(person: u16, span: (usize, usize), feature: &[f32], looks: u32) -> Track {
        let mut all = TrackLooks::default();
        for _ in 0..looks {
            all.add(feature);
        }
        Track {
            person: PersonId(person),
            span,
            looks: all,
        }
    }

    fn joined(tracks: Vec<Track>) -> Vec<(u16, u16)> {
        let joined = same_persons(tracks, &SETTINGS);
        joined
            .into_iter()
            .map(|(track, person)| (track.0, person.0))
            .collect()
    }

    const ANN: [f32; 3] = [1.0, 0.0, 0.1];
    const BOB: [f32; 3] = [0.0, 1.0, 0.0];
    /// As like Ann as Bob.
    const EVE: [f32; 3] = [0.7, 0.7, 0.0];

    #[test]
    fn who_comes_back_has_the_first_number() {
        let tracks = vec![
            track(0, (0, 9), &ANN, 9),
            track(1, (0, 30), &BOB, 20),
            track(2, (20, 29), &ANN, 9),
            track(3, (40, 50), &BOB, 9),
            track(4, (60, 70), &ANN, 9),
        ];
        assert_eq!(joined(tracks), [(2, 0), (3, 1), (4, 0)]);
    }

    #[test]
    fn in_doubt_nobody_is_joined() {
        // Seen beside each other; few looks; like two persons at once; like nobody.
        assert_eq!(
            joined(vec![track(0, (0, 9), &ANN, 9), track(1, (9, 20), &ANN, 9)]),
            []
        );
        assert_eq!(
            joined(vec![track(0, (0, 9), &ANN, 2), track(1, (10, 20), &ANN, 9)]),
            []
        );
        let twins = vec![
            track(0, (0, 9), &ANN, 9),
            track(1, (0, 9), &ANN, 9),
            track(2, (20, 29), &ANN, 9),
        ];
        assert_eq!(joined(twins), []);
        assert_eq!(
            joined(vec![track(0, (0, 9), &ANN, 9), track(1, (20, 29), &EVE, 9)]),
            []
        );
        assert_eq!(
            joined(vec![track(0, (0, 9), &[], 0), track(1, (20, 29), &[], 0)]),
            []
        );
    }

    proptest! {
        #[test]
        fn the_order_of_looks_does_not_matter(looks in prop::collection::vec(prop::array::uniform4(-5f32..5.0), 1..20)) {
            let sum = |looks: &mut dyn Iterator<Item = &[f32; 4]>| {
                let mut all = TrackLooks::default();
                looks.for_each(|look| all.add(look));
                (all.sum, all.looks)
            };
            prop_assert_eq!(sum(&mut looks.iter()), sum(&mut looks.iter().rev()));
        }

        #[test]
        fn no_two_tracks_of_a_person_overlap(
            spans in prop::collection::vec((0usize..50, 0usize..10, 0usize..2), 0..12),
        ) {
            let tracks: Vec<Track> = spans.iter().enumerate().map(|(at, &(start, length, who))| {
                track(at as u16, (start, start + length), [&ANN, &BOB][who], 5)
            }).collect();
            let joined = same_persons(tracks.clone(), &SETTINGS);
            let person = |track: &Track| joined.get(&track.person).copied().unwrap_or(track.person);
            for (at, one) in tracks.iter().enumerate() {
                for other in tracks[at + 1..].iter().filter(|other| person(other) == person(one)) {
                    prop_assert!(one.span.1 < other.span.0 || other.span.1 < one.span.0);
                }
            }
        }
    }
}
