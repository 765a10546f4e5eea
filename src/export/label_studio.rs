//! Label Studio: a task a video, its predictions as labels on the video's timeline.
//!
//! Label Studio counts frames by the time that its player shows, at one rate: frame 1 begins at 0 s, which is the start of
//! the file. Ranges include both ends, or end one frame later. A timeline of labels cannot show valence and arousal, so these are
//! neither written nor read.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::annotated::AnnotatedVideo;
use super::annotators::{Version, VideoAnnotations};
use super::corrections::{Corrections, PersonLabels};
use super::error::ExportError;
use super::intervals::{FrameTimes, Interval, IntervalRules, intervals};
use super::url::percent_encoded;
use super::vocabulary::{action_unit_in, expression_in, person_in, person_name};
use crate::labels::{ACTION_UNITS, ActionUnit, Expression};
use crate::publish::{publish, publish_json};
use crate::run::absolute;

/// The field of a task's data that names the video of the run.
const VIDEO_KEY: &str = "abaw_video";

/// Writes `<id>.json`: a list of one task with its predictions.
pub fn write(video: &AnnotatedVideo, rules: IntervalRules, folder: &Path) -> Result<(), ExportError> {
    let rate = counting_rate(&video.times, video.rate);
    let mut result = Vec::new();
    for &person in video.people.keys() {
        let expressions = video.series(person, |row| row.postprocessed.expression);
        for interval in intervals(&expressions, rules) {
            let label = interval.label.name().to_owned();
            result.push(region(
                result.len(),
                "expression",
                range(&interval, &video.times, rate),
                label,
                &person_name(person),
            ));
        }
        for unit in ActionUnit::ALL {
            let present = video.series(person, |row| {
                row.postprocessed.action_units[unit.index()]?.then_some(())
            });
            for interval in intervals(&present, rules) {
                result.push(region(
                    result.len(),
                    "action_units",
                    range(&interval, &video.times, rate),
                    unit.name(),
                    &person_name(person),
                ));
            }
        }
    }
    let media = percent_encoded(&absolute(&video.path));
    let tasks = json!([{
        "data": {
            "video": format!("/data/local-files/?d={}", media.trim_start_matches('/')),
            VIDEO_KEY: video.id,
            "fps": rate,
            "frames": number_at(&video.times, video.times.count(), rate) - 1,
        },
        "predictions": [{ "model_version": video.author, "result": result }],
    }]);
    let path = video.file_in(folder, ".json");
    publish_json(&path, &tasks).map_err(ExportError::file(&path))
}

/// The most frames a second that are counted for a video of variable rate.
const FASTEST: f64 = 1000.0;

/// The rate at which each frame of the video has a number of its own: the video's, or, where frames are closer than that,
/// one frame for the shortest of them.
fn counting_rate(times: &FrameTimes, rate: f64) -> f64 {
    let number = |at| number_at(times, at, rate);
    if (1..=times.count()).all(|at| number(at) > number(at - 1)) {
        return rate;
    }
    let lengths = (1..=times.count()).map(|at| times.start_s(at) - times.start_s(at - 1));
    (1.0 / lengths.fold(f64::INFINITY, f64::min))
        .ceil()
        .clamp(rate, FASTEST.max(rate))
}

/// The number of a frame as Label Studio counts, 1 for what begins at 0 s; `at` may be the end of the video.
fn number_at(times: &FrameTimes, at: usize, rate: f64) -> u64 {
    (times.start_s(at) * rate).round() as u64 + 1
}

fn range<L>(interval: &Interval<L>, times: &FrameTimes, rate: f64) -> Range {
    let start = number_at(times, *interval.frames.start(), rate);
    let end = number_at(times, interval.frames.end() + 1, rate) - 1;
    Range {
        start: start as f64,
        end: end.max(start) as f64,
    }
}

fn region(nth: usize, control: &str, range: Range, label: String, person: &str) -> Value {
    json!({
        "id": format!("abaw{nth}"),
        "from_name": control,
        "to_name": "video",
        "type": "timelinelabels",
        "value": {
            "ranges": [{ "start": range.start as u64, "end": range.end as u64 }],
            "timelinelabels": [label],
        },
        "meta": { "text": [person] },
    })
}

/// Writes `config.xml`, the labelling interface that the tasks fit.
pub fn write_interface(folder: &Path) -> Result<(), ExportError> {
    let label = |name: &str| format!("    <Label value=\"{name}\"/>\n");
    let expressions: String = Expression::ALL
        .map(|expression| label(expression.name()))
        .concat();
    let units: String = ActionUnit::ALL.map(|unit| label(&unit.name())).concat();
    let interface = format!(
        "<View>\n  <Video name=\"video\" value=\"$video\" frameRate=\"$fps\" timelineHeight=\"400\"/>\n  \
         <TimelineLabels name=\"expression\" toName=\"video\">\n{expressions}  </TimelineLabels>\n  \
         <TimelineLabels name=\"action_units\" toName=\"video\">\n{units}  </TimelineLabels>\n</View>\n"
    );
    let path = folder.join("config.xml");
    publish(&path, |file| file.write_all(interface.as_bytes())).map_err(ExportError::file(&path))
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    data: serde_json::Map<String, Value>,
    annotations: Option<Vec<Annotation>>,
    /// A region's list in the other JSON that Label Studio exports.
    #[serde(default)]
    annotation_id: Option<Value>,
    #[serde(default)]
    annotator: Option<Value>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    updated_at: Option<String>,
    /// The number of the annotator, or an object about them.
    #[serde(default)]
    completed_by: Value,
    #[serde(default)]
    result: Vec<Region>,
}

#[derive(Deserialize)]
struct Region {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    value: Ranges,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize, Default)]
struct Ranges {
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    timelinelabels: Vec<String>,
}

#[derive(Deserialize)]
struct Range {
    start: f64,
    end: f64,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    text: Vec<String>,
}

/// Reads what Label Studio exports as JSON: the annotations of each task, never its predictions, which no annotator
/// has checked. Tasks without an annotation are left out.
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let text = std::fs::read(path).map_err(ExportError::file(path))?;
    let tasks: Vec<Task> = serde_json::from_slice(&text)
        .map_err(|error| format!("not Label Studio's JSON export: {error}"))
        .map_err(ExportError::foreign(path))?;
    let is_short = |task: &Task| {
        task.annotations.is_none() && (task.annotator.is_some() || task.annotation_id.is_some())
    };
    if tasks.iter().any(is_short) {
        let reason =
            "this is Label Studio's JSON-MIN, which does not hold the person of a region; export as JSON";
        return Err(ExportError::foreign(path)(reason));
    }
    Ok(tasks.into_iter().filter_map(annotations_of).collect())
}

/// The annotations of a task, the newest of each annotator; `None` if nobody has finished one.
fn annotations_of(task: Task) -> Option<VideoAnnotations> {
    let text = |name: &str| task.data.get(name).and_then(Value::as_str).map(str::to_owned);
    let (video, rate) = (text(VIDEO_KEY), task.data.get("fps").and_then(Value::as_f64));
    let annotations = task.annotations.into_iter().flatten();
    let mut finished: Vec<Annotation> = annotations
        .filter(|annotation| !annotation.was_cancelled)
        .collect();
    // Of equals, and without dates, the last in the list is the newest.
    finished.sort_by(|a, b| a.updated_at.cmp(&b.updated_at));
    let versions = finished.into_iter().map(|annotation| Version {
        annotator: annotator(&annotation.completed_by),
        changed: None,
        corrections: Box::new(move |video| {
            corrections(&annotation.result, rate.unwrap_or(video.rate), video)
        }),
        replaces: false,
    });
    let found = VideoAnnotations::new(video, versions.collect());
    (!found.versions.is_empty()).then_some(found)
}

/// The name of an annotator: the address in an object about them, else their number.
fn annotator(completed_by: &Value) -> String {
    let known = ["email", "username", "id"]
        .into_iter()
        .find_map(|key| completed_by.get(key));
    match known.unwrap_or(completed_by) {
        Value::String(name) => name.clone(),
        Value::Null => "nobody named".to_owned(),
        other => other.to_string(),
    }
}

fn corrections(result: &[Region], rate: f64, video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let mut corrections = Corrections::default();
    // No region of an action unit means that none is there, if the network looked for them.
    for &person in video.people.keys() {
        let labels = PersonLabels {
            expression: Some(vec![None; count]),
            action_units: video
                .has_action_units
                .then(|| vec![[Some(false); ACTION_UNITS]; count]),
            ..PersonLabels::default()
        };
        corrections.people.insert(Some(person), labels);
    }
    let mut spans = Vec::new();
    for region in result.iter().filter(|region| region.kind == "timelinelabels") {
        let person = region
            .meta
            .iter()
            .flat_map(|meta| &meta.text)
            .find_map(|text| person_in(text));
        for range in &region.value.ranges {
            let Some(frames) = frames(range, rate, &video.times)? else {
                continue;
            };
            for label in &region.value.timelinelabels {
                spans.push((person.map(|(person, _)| person), frames.clone(), label));
            }
        }
    }
    // Of two that overlap, the one that begins later counts.
    spans.sort_by_key(|(_, frames, _)| *frames.start());
    let mut unknown: BTreeMap<&String, usize> = BTreeMap::new();
    for (person, frames, label) in spans {
        let labels = corrections.people.entry(person).or_default();
        match (expression_in(label), action_unit_in(label)) {
            (Some(expression), _) => labels.set_expression(frames, expression, count),
            (_, Some(unit)) => labels.set_action_unit(frames, unit, count),
            _ => *unknown.entry(label).or_insert(0) += 1,
        }
    }
    let others = unknown
        .iter()
        .map(|(label, regions)| format!("{regions} regions of the label `{label}` are left out"));
    corrections.notes.extend(others);
    Ok(corrections)
}

/// The frames of a range of Label Studio's numbers; `None` for one that begins at the end. It may end one past the last.
fn frames(range: &Range, rate: f64, times: &FrameTimes) -> Result<Option<RangeInclusive<usize>>, String> {
    let last = number_at(times, times.count(), rate) as f64 - 1.0;
    let (start, end) = (range.start.round(), range.end.round());
    if start < 1.0 || end < start || end > last + 1.0 {
        return Err(format!(
            "a region of frames {start} to {end}, but the video has 1 to {last}"
        ));
    }
    Ok(times.frames((start - 1.0) / rate, end / rate))
}
