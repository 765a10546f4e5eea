//! Marks: what a person marked on the timeline of a report's page, as the page saves it.
//!
//! ```json
//! {
//!   "format": "abaw marks", "version": 1, "annotator": "anna", "saved": "2026-01-31T12:00:00.000Z",
//!   "run": "mine", "settings_hash": "8f...", "video": "batch1/interview", "axis": "seconds",
//!   "marks": [
//!     { "person": "subject", "begin": 1.2, "end": 2.0, "what": "expression", "label": "Happiness" },
//!     { "person": 0, "begin": 1.2, "end": 2.0, "what": "action_unit", "label": "AU4", "present": false },
//!     { "person": 0, "begin": 1.2, "end": 2.0, "what": "valence", "curve": [[1.2, 0.1], [1.96, 0.4]] },
//!     { "person": 0, "begin": 0.0, "end": 4.0, "what": "as_predicted" }
//!   ]
//! }
//! ```
//!
//! `begin` belongs to a mark, `end` does not: it is where the next frame begins. On the axis of seconds both are on the clock of the
//! table's `time_s`; a table without times has the axis of frames, by their numbers. Of two marks of one thing, the later in
//! the list counts. What is not marked is not annotated.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::annotated::AnnotatedVideo;
use super::annotators::{Version, VideoAnnotations};
use super::corrections::{Corrections, PersonLabels};
use super::error::ExportError;
use super::vocabulary::{action_unit_in, expression_in};
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, ActionUnit, Expression, ValenceArousal};

/// The name of the format.
pub const MARKS_FORMAT: &str = "abaw marks";
/// Its version, which is read; files of other versions are refused.
pub const MARKS_VERSION: u32 = 1;

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Document {
    annotator: String,
    saved: Timestamp,
    settings_hash: String,
    video: String,
    axis: Axis,
    marks: Vec<Mark>,
}

/// What `begin` and `end` count.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Axis {
    Seconds,
    Frames,
}

#[derive(Deserialize)]
struct Mark {
    person: MarkedPerson,
    begin: f64,
    end: f64,
    #[serde(flatten)]
    content: Content,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum MarkedPerson {
    Number(u16),
    Word(Word),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// In each frame the subject of the video.
    Subject,
}

#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Content {
    Expression {
        label: String,
    },
    ActionUnit {
        label: String,
        present: bool,
    },
    Valence {
        curve: Vec<(f64, f64)>,
    },
    Arousal {
        curve: Vec<(f64, f64)>,
    },
    /// Whatever is not marked otherwise is as the table has it.
    AsPredicted,
}

/// Reads what a page saved: the marks of one video by one annotator.
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let text = std::fs::read(path).map_err(ExportError::file(path))?;
    let document = parse(&text).map_err(ExportError::foreign(path))?;
    let video = document.video.clone();
    let version = Version {
        annotator: document.annotator.clone(),
        changed: Some(document.saved),
        corrections: Box::new(move |video| corrections(&document, video)),
        replaces: false,
    };
    Ok(vec![VideoAnnotations::new(Some(video), vec![version])])
}

fn parse(text: &[u8]) -> Result<Document, String> {
    let not_marks = |error| format!("not marks that were saved on a page of `abaw report`: {error}");
    let head: Head = serde_json::from_slice(text).map_err(not_marks)?;
    if head.format != MARKS_FORMAT {
        return Err(format!(
            "the format is `{}`, expected `{MARKS_FORMAT}`",
            head.format
        ));
    }
    if head.version != MARKS_VERSION {
        return Err(format!(
            "marks of version {}; this program reads version {MARKS_VERSION}",
            head.version
        ));
    }
    serde_json::from_slice(text).map_err(not_marks)
}

/// What is marked of a person in a frame.
#[derive(Clone, Copy, Default)]
struct Marked {
    valence: Option<f32>,
    arousal: Option<f32>,
    expression: Option<Expression>,
    action_units: [Option<bool>; ACTION_UNITS],
    as_predicted: bool,
}

/// The value that a mark gives a frame.
enum Value<'a> {
    Expression(Expression),
    ActionUnit(ActionUnit, bool),
    Valence(&'a [(f64, f64)]),
    Arousal(&'a [(f64, f64)]),
    AsPredicted,
}

fn corrections(document: &Document, video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let place = Place::of(document.axis, video)?;
    let mut people: BTreeMap<PersonId, Vec<Marked>> = BTreeMap::new();
    let (mut too_short, mut of_nobody) = (0_u64, 0_u64);
    for mark in &document.marks {
        let value = value_of(mark)?;
        let Some(frames) = place.frames(mark)? else {
            too_short += 1;
            continue;
        };
        for at in frames {
            let person = match mark.person {
                MarkedPerson::Word(Word::Subject) => video.subject[at],
                MarkedPerson::Number(number) => {
                    let person = PersonId(number);
                    let known = video.people.contains_key(&person);
                    Some(known.then_some(person).ok_or_else(|| {
                        format!("a mark of person {number}, who is not in the table of this run")
                    })?)
                }
            };
            let Some(person) = person else {
                of_nobody += 1;
                continue;
            };
            let marked = people
                .entry(person)
                .or_insert_with(|| vec![Marked::default(); count]);
            marked[at].set(&value, place.of_frame(at));
        }
    }
    let mut corrections = Corrections::default();
    let mut halves = 0;
    for (person, mut marked) in people {
        for (at, marked) in marked.iter_mut().enumerate() {
            if marked.as_predicted {
                let row = video.people.get(&person).and_then(|rows| rows[at].as_ref());
                row.into_iter().for_each(|row| marked.fill(row));
            }
            halves += u64::from(marked.valence.is_some() != marked.arousal.is_some());
        }
        corrections.people.insert(Some(person), labels(&marked));
    }
    let notes = [
        (too_short, "marks shorter than half a frame are left out"),
        (
            of_nobody,
            "marked frames are left out, since nobody is the subject in them",
        ),
        (
            halves,
            "frames have a mark of one of valence and arousal only, and no label of the two",
        ),
    ];
    let notes = notes.iter().filter(|(number, _)| *number > 0);
    corrections
        .notes
        .extend(notes.map(|(number, what)| format!("{number} {what}")));
    if document.settings_hash != video.settings_hash {
        corrections.notes.push(
            "the marks were made on a run with other settings: persons may have other numbers there, and what was taken \
             as predicted is as this run predicts it"
                .to_owned(),
        );
    }
    Ok(corrections)
}

fn value_of(mark: &Mark) -> Result<Value<'_>, String> {
    let curve = |curve: &'_ [(f64, f64)]| match curve {
        [] => Err("a curve without points".to_owned()),
        points if points.iter().any(|(_, value)| !(-1.0..=1.0).contains(value)) => {
            Err("a curve outside of [-1, 1]".to_owned())
        }
        points if points.windows(2).any(|pair| pair[0].0 >= pair[1].0) => {
            Err("a curve whose points do not follow one another".to_owned())
        }
        _ => Ok(()),
    };
    match &mark.content {
        Content::Expression { label } => {
            let found = expression_in(label).map(Value::Expression);
            let names = || Expression::ALL.map(Expression::name).join(", ");
            found.ok_or_else(|| format!("unknown expression `{label}`; expected {}", names()))
        }
        Content::ActionUnit { label, present } => {
            let found = action_unit_in(label).map(|unit| Value::ActionUnit(unit, *present));
            found.ok_or_else(|| format!("unknown action unit `{label}`"))
        }
        Content::Valence { curve: points } => curve(points).map(|()| Value::Valence(points)),
        Content::Arousal { curve: points } => curve(points).map(|()| Value::Arousal(points)),
        Content::AsPredicted => Ok(Value::AsPredicted),
    }
}

impl Marked {
    /// `place` is that of the frame on the axis of the marks.
    fn set(&mut self, value: &Value, place: f64) {
        match value {
            Value::Expression(expression) => self.expression = Some(*expression),
            Value::ActionUnit(unit, present) => self.action_units[unit.index()] = Some(*present),
            Value::Valence(curve) => self.valence = Some(height(curve, place)),
            Value::Arousal(curve) => self.arousal = Some(height(curve, place)),
            Value::AsPredicted => self.as_predicted = true,
        }
    }

    /// Takes from a row what is not marked.
    fn fill(&mut self, row: &crate::table::Row) {
        let predicted = &row.postprocessed;
        let point = predicted.affect.valence_arousal;
        self.valence = self.valence.or(point.map(|point| point.valence));
        self.arousal = self.arousal.or(point.map(|point| point.arousal));
        self.expression = self.expression.or(predicted.expression);
        for (unit, present) in self.action_units.iter_mut().zip(predicted.action_units) {
            *unit = unit.or(present);
        }
    }
}

/// The height of a curve of at least one point: straight between points, level before the first and after the last.
fn height(curve: &[(f64, f64)], place: f64) -> f32 {
    let after = curve.partition_point(|(at, _)| *at <= place);
    let value = match (after.checked_sub(1).map(|before| curve[before]), curve.get(after)) {
        (Some((begin, from)), Some(&(end, to))) => from + (to - from) * (place - begin) / (end - begin),
        (Some((_, value)), None) | (None, Some(&(_, value))) => value,
        (None, None) => 0.0,
    };
    (value as f32).clamp(-1.0, 1.0)
}

/// A task of which nothing is marked has no labels.
fn labels(marked: &[Marked]) -> PersonLabels {
    let point = |marked: &Marked| {
        let (valence, arousal) = marked.valence.zip(marked.arousal)?;
        Some(ValenceArousal { valence, arousal })
    };
    let has = |is: &dyn Fn(&Marked) -> bool| marked.iter().any(is);
    PersonLabels {
        valence_arousal: has(&|one| point(one).is_some()).then(|| marked.iter().map(point).collect()),
        expression: has(&|one| one.expression.is_some())
            .then(|| marked.iter().map(|one| one.expression).collect()),
        action_units: has(&|one| one.action_units.iter().any(Option::is_some))
            .then(|| marked.iter().map(|one| one.action_units).collect()),
    }
}

/// Where the frames of a video are on the axis of its marks.
struct Place<'a> {
    video: &'a AnnotatedVideo,
    axis: Axis,
    /// What the axis shows at the start of the file.
    zero: f64,
}

impl<'a> Place<'a> {
    fn of(axis: Axis, video: &'a AnnotatedVideo) -> Result<Self, String> {
        let zero = match axis {
            Axis::Frames => 0.0,
            Axis::Seconds => {
                let start_s = video.times.file_start_s();
                start_s.ok_or("the marks are in seconds, but the table of this run has no times")?
            }
        };
        Ok(Self { video, axis, zero })
    }

    fn of_frame(&self, at: usize) -> f64 {
        match self.axis {
            Axis::Frames => f64::from(self.video.frames[at].number()),
            Axis::Seconds => self.zero + self.video.times.start_s(at),
        }
    }

    /// The frames of a mark; `None` if it is too short for one. It may end up to a frame after the last.
    fn frames(&self, mark: &Mark) -> Result<Option<RangeInclusive<usize>>, String> {
        let Some(last) = self.video.frames.len().checked_sub(1) else {
            return Ok(None);
        };
        let (first, after, frame) = match self.axis {
            Axis::Frames => (self.of_frame(0), self.of_frame(last) + 1.0, 1.0),
            Axis::Seconds => {
                let end = self.zero + self.video.times.start_s(last + 1);
                (self.of_frame(0), end, 1.0 / self.video.rate)
            }
        };
        let (begin, end) = (mark.begin, mark.end);
        if end < begin || begin < first - frame || end > after + frame {
            let unit = match self.axis {
                Axis::Frames => "frames",
                Axis::Seconds => "seconds",
            };
            return Err(format!(
                "a mark from {begin} to {end} {unit}, but the video is from {first} to {after}"
            ));
        }
        Ok(match self.axis {
            Axis::Seconds => self.video.times.frames(begin - self.zero, end - self.zero),
            Axis::Frames => {
                let at = |number: f64| {
                    let frames = &self.video.frames;
                    frames.partition_point(|frame| f64::from(frame.number()) < number)
                };
                let (first, after) = (at(begin), at(end));
                (first < after).then(|| first..=after - 1)
            }
        })
    }
}
