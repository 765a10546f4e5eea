//! Chooses the frames of a video that are shown as pictures.

use super::tracks::{Track, Tracks};
use crate::face::{BoundingBox, PersonId};
use crate::frame::FrameIndex;
use crate::labels::{Affect, Expression};
use crate::table::Row;

/// Tracks with pictures, those with most faces first; the subject always.
const TRACKS: usize = 6;
/// Expressions with a picture a track, the most frequent first.
const EXPRESSIONS_SHOWN: usize = 4;
/// Pictures of a track that are taken at even distances, so that its contact sheet shows all of it.
const EVENLY_SPACED: usize = 6;
/// A track of fewer faces has none of these: its extremes show it all.
const LEAST_FOR_SPACED: usize = 60;
/// An expression must hold in so many of a hundred frames to be shown.
const LEAST_PERCENT: usize = 1;

/// A frame of a track that is shown as a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Highlight {
    /// Position of the track.
    pub track: usize,
    /// Position of the frame.
    pub position: usize,
    /// The frame.
    pub frame: FrameIndex,
    /// Its time in seconds.
    pub time_s: Option<f64>,
    /// The person whose face it is.
    pub person: Option<PersonId>,
    /// The box of the face; `None` for crops.
    pub face: Option<BoundingBox>,
    /// Why: `most positive`, `Happiness`, ...
    pub what: String,
}

impl Highlight {
    /// The file name of its picture.
    pub fn picture_name(&self) -> String {
        let person = self.person.map_or(0, |person| person.0);
        format!("{:07}-{person}.jpg", self.frame.number())
    }
}

/// Returns the contact sheet of each track: the extremes of valence and arousal, the most probable frame of each frequent
/// expression, and looks at even distances, by track and frame. Only frames with a detected face; a frame chosen for several reasons is listed once.
pub fn choose(tracks: &Tracks) -> Vec<Highlight> {
    let mut largest: Vec<usize> = (1..tracks.tracks.len()).collect();
    largest.sort_by_key(|&track| std::cmp::Reverse(tracks.tracks[track].seen()));
    largest.truncate(TRACKS - 1);
    largest.sort_unstable();
    let shown = std::iter::once(0).chain(largest);
    shown
        .flat_map(|track| of_track(track, &tracks.tracks[track]))
        .collect()
}

fn of_track(number: usize, track: &Track) -> Vec<Highlight> {
    let mut highlights: Vec<Highlight> = Vec::new();
    let mut add = |found: Option<(usize, &Row)>, what: &str| {
        let Some((position, row)) = found else { return };
        match highlights
            .iter_mut()
            .find(|highlight| highlight.position == position)
        {
            Some(highlight) => highlight.what += &format!(", {}", what.to_lowercase()),
            None => highlights.push(Highlight {
                track: number,
                position,
                frame: row.frame,
                time_s: row.time_s,
                person: row.person,
                face: row.sighting.location().map(|(face, _)| face),
                what: what.to_owned(),
            }),
        }
    };
    let mut frequent: Vec<(usize, Expression)> = Expression::ALL
        .into_iter()
        .map(|class| (frames_of(track, class), class))
        .filter(|(frames, _)| *frames > 0 && frames * 100 >= track.seen() * LEAST_PERCENT)
        .collect();
    frequent.sort_by_key(|(frames, _)| std::cmp::Reverse(*frames));
    for (_, class) in frequent.into_iter().take(EXPRESSIONS_SHOWN) {
        let surest = highest(
            track,
            |affect| Some(affect.expression?[class.index()]),
            Some(class),
        );
        add(surest, class.name());
    }
    let valence = |affect: &Affect| affect.valence_arousal.map(|point| point.valence);
    let arousal = |affect: &Affect| affect.valence_arousal.map(|point| point.arousal);
    add(highest(track, valence, None), "Most positive");
    add(
        highest(track, |affect| Some(-valence(affect)?), None),
        "Most negative",
    );
    add(highest(track, arousal, None), "Most aroused");
    add(highest(track, |affect| Some(-arousal(affect)?), None), "Calmest");
    let faces: Vec<(usize, &Row)> = track.rows().filter(|(_, row)| row.sighting.is_face()).collect();
    if faces.len() >= LEAST_FOR_SPACED {
        for part in 0..EVENLY_SPACED {
            add(
                faces
                    .get((2 * part + 1) * faces.len() / (2 * EVENLY_SPACED))
                    .copied(),
                "In between",
            );
        }
    }
    highlights.sort_by_key(|highlight| highlight.position);
    highlights
}

fn frames_of(track: &Track, class: Expression) -> usize {
    let rows = track.rows();
    rows.filter(|(_, row)| row.sighting.is_face() && row.postprocessed.expression == Some(class))
        .count()
}

/// The first of the rows with a face, and with an expression if one is given, in which `value` is highest.
fn highest(
    track: &Track,
    value: impl Fn(&Affect) -> Option<f32>,
    class: Option<Expression>,
) -> Option<(usize, &Row)> {
    let mut best: Option<(f32, (usize, &Row))> = None;
    for (position, row) in track.rows() {
        let counts = row.sighting.is_face() && (class.is_none() || row.postprocessed.expression == class);
        let Some(value) = value(&row.postprocessed.affect).filter(|_| counts) else {
            continue;
        };
        if best.is_none_or(|(most, _)| value > most) {
            best = Some((value, (position, row)));
        }
    }
    best.map(|(_, found)| found)
}
