//! A video's timeline as numbers: one track a person, and the script that brings them to the page.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::error::ReportError;
use super::highlights::Highlight;
use super::scores::LabelledRun;
use crate::affwild2::FrameLabel;
use crate::face::PersonId;
use crate::finalise::SubjectReader;
use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, ActionUnit, Expression};
use crate::run::VideoId;
use crate::table::{Footer, Row};
use crate::tuning::ThresholdCounts;

/// Seconds by which a frame may miss its place in an even rhythm: containers round to milliseconds.
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
const SPEAKS: u8 = 2;

/// Everything that is drawn of a video.
pub struct Tracks {
    /// The frames of the video, ascending; a place below is one here, from 0.
    pub frames: Vec<FrameIndex>,
    /// Their times in seconds, if all have one and they ascend.
    times: Option<Vec<f64>>,
    fps: Option<f64>,
    /// Places of the first frames of shots.
    cuts: Vec<usize>,
    /// The subject first, then persons in the order of their numbers, then people whom labels name by their side.
    pub tracks: Vec<Track>,
}

/// One person's rows, or those that speak for the video.
pub struct Track {
    /// `Subject`, `Person 0`, or the name in the labels.
    pub name: String,
    /// Place of the first row.
    from: usize,
    /// A row a frame from there on; `None` where the table has none of this person.
    rows: Vec<Option<Row>>,
    /// Labels by place, one a frame of the video.
    labels: Option<Vec<FrameLabel>>,
}

impl Tracks {
    /// Sorts a table's rows by person and puts labels beside them.
    ///
    /// # Errors
    /// As [`SubjectReader::table`].
    pub fn of(
        subjects: &SubjectReader,
        rows: &[Row],
        footer: &Footer,
        labelled: Option<&LabelledRun>,
        id: &VideoId,
    ) -> Result<Self, ReportError> {
        let mut frames = Vec::new();
        let mut times = Some(Vec::new());
        let mut subject = Track::new("Subject".to_owned(), 0);
        let mut persons: BTreeMap<PersonId, Track> = BTreeMap::new();
        for of_frame in rows.chunk_by(|one, next| one.frame == next.frame) {
            let place = frames.len();
            frames.push(of_frame[0].frame);
            times = times.zip(of_frame[0].time_s).and_then(|(mut times, time)| {
                let ascends = times.last().is_none_or(|last| *last < time);
                times.push(time);
                ascends.then_some(times)
            });
            for row in of_frame {
                if row.subject {
                    subject.put(place, row);
                }
                if let Some(person) = row.person {
                    let track = persons
                        .entry(person)
                        .or_insert_with(|| Track::new(format!("Person {}", person.0), place));
                    track.put(place, row);
                }
            }
        }
        let place_of = |frame: FrameIndex| frames.binary_search(&frame).ok();
        let cuts = footer
            .cuts
            .iter()
            .filter_map(|&frame| place_of(FrameIndex::new(frame)?));
        let cuts = cuts.collect();
        let mut tracks = vec![subject];
        // One person alone is the subject.
        if persons.len() > 1 {
            tracks.extend(persons.into_values());
        }
        for labels in labelled.into_iter().flat_map(|labelled| labelled.of(id)) {
            let by_place = labels.by_place(&frames);
            match labels.is_subject {
                true => tracks[0].labels = Some(by_place),
                false => {
                    let mut track = Track::new(labels.name.to_owned(), 0);
                    let table = subjects.table(labels.name)?;
                    for row in table.iter().flat_map(|table| &table.rows) {
                        if let Some(place) = place_of(row.frame) {
                            track.put(place, row);
                        }
                    }
                    track.labels = Some(by_place);
                    tracks.push(track);
                }
            }
        }
        Ok(Self {
            frames,
            times,
            fps: footer.stream["fps"].as_f64(),
            cuts,
            tracks,
        })
    }

    /// Counts, on the labelled frames of all tracks, how often probabilities reach which thresholds.
    pub fn threshold_counts(&self) -> ThresholdCounts {
        let mut counts = ThresholdCounts::default();
        for track in &self.tracks {
            for (place, label) in track.labels.iter().flatten().enumerate() {
                let row = track.row(place);
                if let (Some(units), Some(row)) = (label.all_action_units(), row) {
                    counts.add(units, row.postprocessed.affect.action_units);
                }
            }
        }
        counts
    }

    /// Stretches of the subject's track in which no face was seen.
    pub fn gaps(&self) -> usize {
        let seen = |row: &Option<Row>| row.is_some_and(|row| row.sighting.is_face());
        self.tracks[0]
            .rows
            .chunk_by(|one, next| seen(one) == seen(next))
            .filter(|stretch| !seen(&stretch[0]))
            .count()
    }

    /// The data script of the page.
    pub fn script(&self, slug: &str, highlights: &[&Highlight], overlay: bool) -> String {
        let files = format!("{slug}.files");
        let script = Script {
            expressions: Expression::ALL.map(Expression::name),
            units: ActionUnit::ALL.map(ActionUnit::number),
            frames: self.runs(),
            time: self.time(),
            fps: self.fps,
            cuts: &self.cuts,
            tracks: self.tracks.iter().map(Track::script).collect(),
            highlights: highlights
                .iter()
                .map(|highlight| HighlightScript {
                    track: highlight.track,
                    at: highlight.place,
                    what: &highlight.what,
                    picture: format!("{files}/{}", highlight.picture_name()),
                })
                .collect(),
            overlay: overlay.then(|| format!("{files}/overlay.mp4")),
        };
        // Only maps with keys that are no text and values that refuse can fail; there are none.
        let json = serde_json::to_string(&script).unwrap_or_default();
        format!("abaw.video({json});\n")
    }

    /// Consecutive frames as pairs of the first and their count.
    fn runs(&self) -> Vec<(u32, u32)> {
        self.frames
            .chunk_by(|one, next| one.next() == *next)
            .map(|run| (run[0].number(), run.len() as u32))
            .collect()
    }

    fn time(&self) -> Option<Time> {
        let times = self.times.as_ref()?;
        let (start, last) = (*times.first()?, *times.last()?);
        let step = match times.len() {
            1 => self.fps.map_or(1.0, f64::recip),
            count => (last - start) / (count - 1) as f64,
        };
        let even = |(place, time): (usize, &f64)| (start + place as f64 * step - time).abs() < UNEVEN_S;
        let tenths = times.iter().map(|time| ((time - start) * 1e4).round() as u32);
        Some(Time {
            start,
            step,
            tenths: (!times.iter().enumerate().all(even))
                .then(|| encode(tenths.flat_map(u32::to_le_bytes).collect())),
        })
    }
}

impl Track {
    fn new(name: String, from: usize) -> Self {
        Self {
            name,
            from,
            rows: Vec::new(),
            labels: None,
        }
    }

    /// Adds a row at a place behind all others.
    fn put(&mut self, place: usize, row: &Row) {
        if self.rows.is_empty() {
            self.from = place;
        }
        // A table in which one person stands twice in a frame shows the last of them.
        self.rows.truncate(place.saturating_sub(self.from));
        self.rows.resize(place - self.from, None);
        self.rows.push(Some(*row));
    }

    /// The row at a place of the video.
    pub fn row(&self, place: usize) -> Option<&Row> {
        self.rows.get(place.checked_sub(self.from)?)?.as_ref()
    }

    /// Rows with their places.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        let placed = (self.from..).zip(&self.rows);
        placed.filter_map(|(place, row)| Some((place, row.as_ref()?)))
    }

    /// Frames in which the face was seen.
    pub fn seen(&self) -> usize {
        self.rows().filter(|(_, row)| row.sighting.is_face()).count()
    }

    fn script(&self) -> TrackScript<'_> {
        TrackScript {
            name: &self.name,
            from: self.from,
            count: self.rows.len(),
            planes: encode(self.planes()),
            labels: self.labels.as_ref().map(|labels| encode(label_planes(labels))),
        }
    }

    /// One number after the other over all rows, so that each is an array in the page: valence, arousal (i16),
    /// decisions (u16, a bit a unit), flags, the face's score, the expression's class, eight expressions,
    /// twelve units (u8).
    fn planes(&self) -> Vec<u8> {
        let rows = &self.rows;
        let mut bytes = Vec::with_capacity(rows.len() * 29);
        let affect = |row: &Option<Row>| row.map(|row| row.postprocessed.affect);
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
            let units = row.and_then(|row| row.postprocessed.action_units);
            bytes.extend(units.map_or(NO_UNITS, bits).to_le_bytes());
        }
        bytes.extend(rows.iter().map(|row| match row {
            None => 0,
            Some(row) => u8::from(row.sighting.is_face()) * SEEN + u8::from(row.subject) * SPEAKS,
        }));
        bytes.extend(
            rows.iter()
                .map(|row| probability(row.and_then(|row| row.sighting.score()))),
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
            bytes.extend(rows.iter().map(|row| {
                let probabilities = affect(row).and_then(|affect| affect.action_units);
                probability(probabilities.map(|all| all[unit.index()]))
            }));
        }
        bytes
    }
}

/// As [`Track::planes`]: valence, arousal (i16), units, which of them are labelled (u16), class (u8).
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
    units: [u8; ACTION_UNITS],
    frames: Vec<(u32, u32)>,
    time: Option<Time>,
    fps: Option<f64>,
    cuts: &'a [usize],
    tracks: Vec<TrackScript<'a>>,
    #[serde(rename = "moments")]
    highlights: Vec<HighlightScript<'a>>,
    overlay: Option<String>,
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
