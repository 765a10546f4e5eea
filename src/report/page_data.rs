//! The numbers of a video's page as a script, since a page opened from disk may not read files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::highlights::Highlight;
use super::marking::Marking;
use super::tracks::{Track, Tracks};
use crate::affwild2::FrameLabel;
use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, ActionUnit, Affect, Expression};
use crate::table::Row;

/// Seconds by which the times of frames at a constant rate may differ from it: containers round to milliseconds.
const UNEVEN_S: f64 = 1e-3;
/// The same numbers in `assets/data.js`.
const NO_COORDINATE: i16 = i16::MIN;
const NO_BYTE: u8 = u8::MAX;
const NO_UNITS: u16 = u16::MAX;
/// Steps from probability 0 to 1.
const PROBABILITY_STEPS: f32 = 250.0;
/// Steps from coordinate 0 to 1.
const COORDINATE_STEPS: f32 = 10_000.0;
/// Bits of the flags.
const SEEN: u8 = 1;
const IS_SUBJECT: u8 = 2;
const NOT_USABLE: u8 = 4;

/// Returns the data script of a video's page.
pub fn data_script(
    tracks: &Tracks,
    slug: &str,
    highlights: &[&Highlight],
    overlay: bool,
    marking: &Marking,
    weak: &[Expression],
) -> String {
    let files = format!("{slug}.files");
    let script = Script {
        expressions: Expression::ALL.map(Expression::name),
        weak: weak.iter().map(|class| class.index()).collect(),
        units: ActionUnit::ALL.map(ActionUnit::number),
        frames: frame_runs(&tracks.frames),
        time: times(tracks),
        fps: tracks.fps,
        cuts: &tracks.cuts,
        tracks: tracks.tracks.iter().map(track_script).collect(),
        highlights: highlights
            .iter()
            .map(|highlight| HighlightScript {
                track: highlight.track,
                at: highlight.position,
                what: &highlight.what,
                picture: format!("{files}/{}", highlight.picture_name()),
            })
            .collect(),
        overlay: overlay.then(|| format!("{files}/overlay.mp4")),
        marking,
    };
    // Cannot fail: only maps with other keys than texts, and values with their own errors, can.
    let json = serde_json::to_string(&script).unwrap_or_default();
    format!("abaw.video({json});\n")
}

/// Returns runs of consecutive frames as pairs of the first number and the count.
fn frame_runs(frames: &[FrameIndex]) -> Vec<(u32, u32)> {
    frames
        .chunk_by(|one, next| one.next() == *next)
        .map(|run| (run[0].number(), run.len() as u32))
        .collect()
}

fn times(tracks: &Tracks) -> Option<Time> {
    let times = tracks.times.as_ref()?;
    let (start, last) = (*times.first()?, *times.last()?);
    let step = match times.len() {
        1 => tracks.fps.map_or(1.0, f64::recip),
        count => (last - start) / (count - 1) as f64,
    };
    // Nearer to its own frame than to another, also where frames are milliseconds apart.
    let uneven = UNEVEN_S.min(step / 4.0);
    let even = |(position, time): (usize, &f64)| (start + position as f64 * step - time).abs() < uneven;
    let tenths = times.iter().map(|time| ((time - start) * 1e4).round() as u32);
    Some(Time {
        start,
        step,
        tenths: (!times.iter().enumerate().all(even))
            .then(|| encode(tenths.flat_map(u32::to_le_bytes).collect())),
    })
}

fn track_script(track: &Track) -> TrackScript<'_> {
    TrackScript {
        name: &track.name,
        person: track.person.map(|person| person.0),
        from: track.from,
        count: track.by_frame.len(),
        planes: encode(planes(&track.by_frame)),
        labels: track.labels.as_ref().map(|labels| encode(label_planes(labels))),
    }
}

/// Returns each column of all rows after the other, so that the page has an array of each: valence, arousal (i16),
/// decisions (u16, one bit for each unit), flags, the face's score, the expression's class, eight expressions,
/// twelve units (u8).
fn planes(rows: &[Option<Row>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * 29);
    let point = |row: &Option<Row>| affect(row).and_then(|affect| affect.valence_arousal);
    for row in rows {
        let valence = point(row).map(|point| point.valence);
        bytes.extend(coordinate(valence).to_le_bytes());
    }
    for row in rows {
        let arousal = point(row).map(|point| point.arousal);
        bytes.extend(coordinate(arousal).to_le_bytes());
    }
    for row in rows {
        let units = row.as_ref().map(|row| row.postprocessed.action_units);
        let units = units.filter(|units| units.iter().any(Option::is_some));
        let units = units.map(|units| units.map(|present| present == Some(true)));
        bytes.extend(units.map_or(NO_UNITS, bits).to_le_bytes());
    }
    bytes.extend(rows.iter().map(|row| match row {
        None => 0,
        Some(row) => {
            u8::from(row.sighting.is_face()) * SEEN
                + u8::from(row.subject) * IS_SUBJECT
                + u8::from(row.usable == Some(false)) * NOT_USABLE
        }
    }));
    bytes.extend(
        rows.iter()
            .map(|row| probability(row.as_ref().and_then(|row| row.sighting.score()))),
    );
    let class = |row: &Row| row.postprocessed.expression.map(|class| class.index() as u8);
    bytes.extend(
        rows.iter()
            .map(|row| row.as_ref().and_then(class).unwrap_or(NO_BYTE)),
    );
    for expression in Expression::ALL {
        bytes.extend(rows.iter().map(|row| {
            let probabilities = affect(row).and_then(|affect| affect.expression);
            probability(probabilities.map(|all| all[expression.index()]))
        }));
    }
    for unit in ActionUnit::ALL {
        bytes.extend(
            rows.iter()
                .map(|row| probability(affect(row).and_then(|affect| affect.action_units[unit.index()]))),
        );
    }
    bytes
}

fn affect(row: &Option<Row>) -> Option<&Affect> {
    row.as_ref().map(|row| &row.postprocessed.affect)
}

/// As [`planes`]: valence, arousal (i16), units, which of them are labelled (u16), class (u8).
fn label_planes(labels: &[FrameLabel]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(labels.len() * 9);
    for label in labels {
        let valence = label.valence_arousal.map(|point| point.valence);
        bytes.extend(coordinate(valence).to_le_bytes());
    }
    for label in labels {
        let arousal = label.valence_arousal.map(|point| point.arousal);
        bytes.extend(coordinate(arousal).to_le_bytes());
    }
    for label in labels {
        bytes.extend(bits(label.action_units.map(|unit| unit == Some(true))).to_le_bytes());
    }
    for label in labels {
        bytes.extend(bits(label.action_units.map(|unit| unit.is_some())).to_le_bytes());
    }
    bytes.extend(
        labels
            .iter()
            .map(|label| label.expression.map_or(NO_BYTE, |class| class.index() as u8)),
    );
    bytes
}

fn coordinate(value: Option<f32>) -> i16 {
    value.map_or(NO_COORDINATE, |value| {
        (value.clamp(-1.0, 1.0) * COORDINATE_STEPS).round() as i16
    })
}

fn probability(value: Option<f32>) -> u8 {
    value.map_or(NO_BYTE, |value| {
        (value.clamp(0.0, 1.0) * PROBABILITY_STEPS).round() as u8
    })
}

fn bits(units: [bool; ACTION_UNITS]) -> u16 {
    let set = units.iter().enumerate().filter(|(_, active)| **active);
    set.fold(0, |bits, (unit, _)| bits | 1 << unit)
}

fn encode(bytes: Vec<u8>) -> String {
    STANDARD.encode(bytes)
}

#[derive(Serialize)]
struct Script<'a> {
    expressions: [&'static str; Expression::ALL.len()],
    /// Class numbers of the expressions that the networks seldom tell right.
    weak: Vec<usize>,
    units: [u8; ACTION_UNITS],
    frames: Vec<(u32, u32)>,
    time: Option<Time>,
    fps: Option<f64>,
    cuts: &'a [usize],
    tracks: Vec<TrackScript<'a>>,
    #[serde(rename = "moments")]
    highlights: Vec<HighlightScript<'a>>,
    overlay: Option<String>,
    marking: &'a Marking<'a>,
}

/// When frames are shown: each `step` seconds from `start`, or at `tenths` of a millisecond after it (base64 of u32).
#[derive(Serialize)]
struct Time {
    start: f64,
    step: f64,
    tenths: Option<String>,
}

#[derive(Serialize)]
struct TrackScript<'a> {
    name: &'a str,
    person: Option<u16>,
    from: usize,
    count: usize,
    planes: String,
    labels: Option<String>,
}

#[derive(Serialize)]
struct HighlightScript<'a> {
    track: usize,
    at: usize,
    what: &'a str,
    picture: String,
}
