//! Reads CVAT's tracks as corrections.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::write::NO_EXPRESSION;
use crate::export::annotated::AnnotatedVideo;
use crate::export::corrections::{Corrections, PersonLabels, VideoAnnotations};
use crate::export::error::ExportError;
use crate::export::vocabulary::{action_unit_in, expression_in};
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, ValenceArousal};

#[derive(Deserialize)]
struct Annotations {
    #[serde(default)]
    meta: Meta,
    #[serde(rename = "track", default)]
    tracks: Vec<Track>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    task: Option<Task>,
}

#[derive(Deserialize)]
struct Task {
    name: String,
}

#[derive(Deserialize)]
struct Track {
    #[serde(rename = "box", default)]
    boxes: Vec<BoxElement>,
}

#[derive(Deserialize)]
struct BoxElement {
    #[serde(rename = "@frame")]
    frame: usize,
    #[serde(rename = "@outside", default)]
    outside: u8,
    #[serde(rename = "@keyframe", default = "yes")]
    keyframe: u8,
    #[serde(rename = "attribute", default)]
    attributes: Vec<Attribute>,
}

fn yes() -> u8 {
    1
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "$text", default)]
    value: String,
}

/// Reads what CVAT exports as "CVAT for video 1.1".
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let file = std::fs::File::open(path).map_err(ExportError::file(path))?;
    let annotations: Annotations = quick_xml::de::from_reader(io::BufReader::new(file))
        .map_err(|error| format!("not CVAT's XML for video 1.1: {error}"))
        .map_err(ExportError::foreign(path))?;
    Ok(vec![VideoAnnotations {
        video: annotations.meta.task.map(|task| task.name),
        corrections: Box::new(move |video| corrections(&annotations.tracks, video)),
    }])
}

fn corrections(tracks: &[Track], video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let mut corrections = Corrections::default();
    for track in tracks {
        let mut person = None;
        let mut boxes: Vec<(&BoxElement, BTreeMap<&str, &str>)> = Vec::with_capacity(track.boxes.len());
        for one in &track.boxes {
            if one.frame >= count {
                return Err(format!(
                    "a box in frame {} (0-based), but the video has {count} frames",
                    one.frame
                ));
            }
            let values: BTreeMap<&str, &str> = one
                .attributes
                .iter()
                .map(|attribute| (attribute.name.as_str(), attribute.value.trim()))
                .collect();
            person = person.or(values
                .get("person")
                .and_then(|number| number.parse().ok())
                .map(PersonId));
            boxes.push((one, values));
        }
        boxes.sort_by_key(|(one, _)| one.frame);
        let labels = corrections.people.entry(person).or_default();
        for (nth, (one, values)) in boxes.iter().enumerate() {
            if one.outside != 0 {
                continue;
            }
            // A box is valid until the next one.
            let next = boxes.get(nth + 1).map_or(one.frame, |(next, _)| {
                next.frame - usize::from(next.frame > one.frame)
            });
            set_labels(labels, one.frame..=next, values, count)?;
        }
        set_points(labels, &boxes, count)?;
    }
    Ok(corrections)
}

fn set_labels(
    labels: &mut PersonLabels,
    frames: std::ops::RangeInclusive<usize>,
    values: &BTreeMap<&str, &str>,
    count: usize,
) -> Result<(), String> {
    if let Some(&name) = values.get("expression") {
        match expression_in(name) {
            Some(expression) => labels.set_expression(frames.clone(), expression, count),
            None if name == NO_EXPRESSION || name.is_empty() => {}
            None => {
                return Err(format!(
                    "unknown expression `{name}` in frame {} (0-based)",
                    frames.start()
                ));
            }
        }
    }
    for (name, &value) in values {
        let Some(unit) = action_unit_in(name) else {
            continue;
        };
        labels
            .action_units
            .get_or_insert_with(|| vec![[false; ACTION_UNITS]; count]);
        match value {
            "true" => labels.set_action_unit(frames.clone(), unit, count),
            "false" => {}
            _ => {
                return Err(format!(
                    "{name} is `{value}` in frame {} (0-based), not true or false",
                    frames.start()
                ));
            }
        }
    }
    Ok(())
}

/// Interpolates valence and arousal linearly between key frames, but not across frames where the track is outside.
fn set_points(
    labels: &mut PersonLabels,
    boxes: &[(&BoxElement, BTreeMap<&str, &str>)],
    count: usize,
) -> Result<(), String> {
    let mut points = vec![None; count];
    let mut before: Option<(usize, ValenceArousal)> = None;
    for (one, values) in boxes {
        if one.keyframe == 0 && one.outside == 0 {
            continue;
        }
        let point = match one.outside {
            0 => point(values, one.frame)?,
            _ => None,
        };
        match (before, point) {
            (Some((first, from)), Some(to)) => {
                for (at, value) in points.iter_mut().enumerate().take(one.frame + 1).skip(first) {
                    let way = (at - first) as f32 / (one.frame - first).max(1) as f32;
                    let mix = |from: f32, to: f32| from + (to - from) * way;
                    *value = Some(ValenceArousal {
                        valence: mix(from.valence, to.valence),
                        arousal: mix(from.arousal, to.arousal),
                    });
                }
            }
            // The last point is valid until the track ends.
            (Some((first, from)), None) => points[first..one.frame].fill(Some(from)),
            (None, Some(to)) => points[one.frame] = Some(to),
            (None, None) => {}
        }
        before = point.map(|point| (one.frame, point));
    }
    if let (Some((first, from)), Some((last, _))) = (before, boxes.last()) {
        points[first..=last.frame].fill(Some(from));
    }
    if points.iter().any(Option::is_some) {
        let values = labels.valence_arousal.get_or_insert_with(|| vec![None; count]);
        for (values, point) in values.iter_mut().zip(points) {
            *values = point.or(*values);
        }
    }
    Ok(())
}

fn point(values: &BTreeMap<&str, &str>, frame: usize) -> Result<Option<ValenceArousal>, String> {
    let number = |name: &str| match values.get(name) {
        None | Some(&"") => Ok(None),
        Some(text) => match text.parse::<f32>() {
            Ok(value) if (-1.0..=1.0).contains(&value) => Ok(Some(value)),
            _ => Err(format!(
                "{name} is `{text}` in frame {frame} (0-based), not a number in [-1, 1]"
            )),
        },
    };
    let (valence, arousal) = (number("valence")?, number("arousal")?);
    Ok(valence
        .zip(arousal)
        .map(|(valence, arousal)| ValenceArousal { valence, arousal }))
}
