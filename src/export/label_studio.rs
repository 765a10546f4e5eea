//! Label Studio: a task a video, its predictions as labels on the video's timeline.
//!
//! Frames are 1-based, and ranges include both ends. A timeline of labels cannot show valence and arousal, so these are
//! neither written nor read.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::annotated::AnnotatedVideo;
use super::corrections::{Corrections, PersonLabels, VideoAnnotations};
use super::error::ExportError;
use super::intervals::{Interval, IntervalRules, intervals};
use super::vocabulary::{action_unit_in, expression_in, person_in, person_name};
use crate::labels::{ACTION_UNITS, ActionUnit, Expression};
use crate::publish::{publish, publish_json};

/// The field of a task's data that names the video of the run.
const VIDEO_KEY: &str = "abaw_video";

/// Writes `<id>.json`: a list of one task with its predictions.
pub fn write(video: &AnnotatedVideo, rules: IntervalRules, folder: &Path) -> Result<(), ExportError> {
    let mut result = Vec::new();
    for &person in video.people.keys() {
        let expressions = video.series(person, |row| row.postprocessed.expression);
        for interval in intervals(&expressions, rules) {
            let label = interval.label.name().to_owned();
            result.push(region(
                result.len(),
                "expression",
                &interval,
                label,
                &person_name(person),
            ));
        }
        for unit in ActionUnit::ALL {
            let present = video.series(person, |row| {
                row.postprocessed.action_units?[unit.index()].then_some(())
            });
            for interval in intervals(&present, rules) {
                result.push(region(
                    result.len(),
                    "action_units",
                    &interval,
                    unit.name(),
                    &person_name(person),
                ));
            }
        }
    }
    let media = video.path.to_string_lossy();
    let tasks = json!([{
        "data": {
            "video": format!("/data/local-files/?d={}", media.trim_start_matches('/')),
            VIDEO_KEY: video.id,
            "fps": video.rate,
            "frames": video.frames.len(),
        },
        "predictions": [{ "model_version": video.author, "result": result }],
    }]);
    let path = video.file_in(folder, ".json");
    publish_json(&path, &tasks).map_err(ExportError::file(&path))
}

fn region<L>(nth: usize, control: &str, interval: &Interval<L>, label: String, person: &str) -> Value {
    json!({
        "id": format!("abaw{nth}"),
        "from_name": control,
        "to_name": "video",
        "type": "timelinelabels",
        "value": {
            "ranges": [{ "start": interval.frames.start() + 1, "end": interval.frames.end() + 1 }],
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
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    updated_at: Option<String>,
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

#[derive(Serialize, Deserialize)]
struct Range {
    start: f64,
    end: f64,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    text: Vec<String>,
}

/// Reads what Label Studio exports as JSON: the newest annotation of each task, never its predictions, which no annotator
/// has checked. Tasks without an annotation are left out.
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let text = std::fs::read(path).map_err(ExportError::file(path))?;
    let tasks: Vec<Task> = serde_json::from_slice(&text)
        .map_err(|error| format!("not Label Studio's JSON export: {error}"))
        .map_err(ExportError::foreign(path))?;
    let found = tasks.into_iter().filter_map(|task| {
        let video = task
            .data
            .get(VIDEO_KEY)
            .and_then(Value::as_str)
            .map(str::to_owned);
        let finished = task
            .annotations
            .into_iter()
            .filter(|annotation| !annotation.was_cancelled);
        // The last of equals: without dates, the list's own order.
        let newest = finished.max_by(|a, b| a.updated_at.cmp(&b.updated_at))?;
        Some(VideoAnnotations {
            video,
            corrections: Box::new(move |video| corrections(&newest.result, video)),
        })
    });
    Ok(found.collect())
}

fn corrections(result: &[Region], video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let mut corrections = Corrections::default();
    // No region of an action unit means that none is there, if the network looked for them.
    for &person in video.people.keys() {
        let labels = PersonLabels {
            expression: Some(vec![None; count]),
            action_units: video.has_action_units.then(|| vec![[false; ACTION_UNITS]; count]),
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
            let frames = frames(range, count)?;
            for label in &region.value.timelinelabels {
                spans.push((person.map(|(person, _)| person), frames.clone(), label));
            }
        }
    }
    // Of two that overlap, the one that begins later counts.
    spans.sort_by_key(|(_, frames, _)| *frames.start());
    for (person, frames, label) in spans {
        let labels = corrections.people.entry(person).or_default();
        match (expression_in(label), action_unit_in(label)) {
            (Some(expression), _) => labels.set_expression(frames, expression, count),
            (_, Some(unit)) => labels.set_action_unit(frames, unit, count),
            _ => {
                return Err(format!(
                    "unknown label `{label}`; expected an expression or an action unit"
                ));
            }
        }
    }
    Ok(corrections)
}

fn frames(range: &Range, count: usize) -> Result<std::ops::RangeInclusive<usize>, String> {
    let (start, end) = (range.start.round(), range.end.round());
    if !(1.0..=count as f64).contains(&start) || end < start || end > count as f64 {
        return Err(format!(
            "a region of frames {start} to {end}, but the video has 1 to {count}"
        ));
    }
    Ok(start as usize - 1..=end as usize - 1)
}
