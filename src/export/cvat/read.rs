//! Reads CVAT's tracks as corrections.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::write::{LABEL, NO_EXPRESSION};
use crate::export::annotated::AnnotatedVideo;
use crate::export::annotators::VideoAnnotations;
use crate::export::corrections::{Corrections, PersonLabels};
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
    /// Those of CVAT's other format, for images.
    #[serde(rename = "image", default)]
    images: Vec<serde::de::IgnoredAny>,
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
    #[serde(rename = "@id", default)]
    id: String,
    #[serde(rename = "@label", default)]
    label: String,
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
    if annotations.tracks.is_empty() && !annotations.images.is_empty() {
        let reason =
            "this is CVAT for images, which has no persons over time; export the task as CVAT for video 1.1";
        return Err(ExportError::foreign(path)(reason));
    }
    let video = annotations.meta.task.map(|task| task.name);
    Ok(vec![VideoAnnotations::of_one(video, move |video| {
        corrections(&annotations.tracks, video)
    })])
}

/// A track of a face, its boxes in the order of frames.
struct FaceTrack<'a> {
    id: &'a str,
    /// As its attribute tells, which is the label's default in a track that an annotator began.
    person: Option<PersonId>,
    boxes: Vec<FaceBox<'a>>,
}

/// A box with its frame, at most the number of frames, and its attributes by name.
struct FaceBox<'a> {
    frame: usize,
    outside: bool,
    keyframe: bool,
    values: BTreeMap<&'a str, &'a str>,
}

fn corrections(tracks: &[Track], video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let mut corrections = Corrections::default();
    let others = tracks.iter().filter(|track| !is_face(track)).count();
    if others > 0 {
        corrections.notes.push(format!(
            "{others} tracks of other labels than `{LABEL}` are left out"
        ));
    }
    let faces = tracks.iter().filter(|track| is_face(track));
    let faces: Vec<FaceTrack> = faces
        .map(|track| face_track(track, count))
        .collect::<Result<_, _>>()?;
    let known = faces
        .iter()
        .filter_map(|face| face.person)
        .chain(video.people.keys().copied());
    let mut next = known
        .map(|person| person.0)
        .max()
        .map_or(0, |last| last.saturating_add(1));
    let mut seen: BTreeMap<PersonId, Vec<bool>> = BTreeMap::new();
    for face in &faces {
        let frames = face.frames(count);
        let taken = |person: &PersonId| {
            let overlaps = |seen: &Vec<bool>| seen.iter().zip(&frames).any(|(&one, &other)| one && other);
            seen.get(person).is_some_and(overlaps)
        };
        let person = face.person.filter(|person| !taken(person)).unwrap_or_else(|| {
            let new = PersonId(next);
            next = next.saturating_add(1);
            corrections.notes.push(match face.person {
                Some(PersonId(taken)) => format!(
                    "track {} is taken for a new person, {next_name}: its attribute `person` is {taken}, who is elsewhere at \
                     the same time",
                    face.id,
                    next_name = new.0
                ),
                None => format!("track {} is a new person, {}", face.id, new.0),
            });
            new
        });
        let seen = seen.entry(person).or_insert_with(|| vec![false; count]);
        seen.iter_mut()
            .zip(&frames)
            .for_each(|(seen, here)| *seen |= here);
        let labels = corrections.people.entry(Some(person)).or_default();
        for (nth, one) in face.boxes.iter().enumerate().filter(|(_, one)| !one.outside) {
            set_labels(labels, one.frame..=face.last_frame(nth), &one.values, count)?;
        }
        set_points(labels, &face.boxes, count)?;
    }
    Ok(corrections)
}

/// Files without labels of tracks are taken, too.
fn is_face(track: &Track) -> bool {
    track.label.is_empty() || track.label.eq_ignore_ascii_case(LABEL)
}

fn face_track(track: &Track, count: usize) -> Result<FaceTrack<'_>, String> {
    let mut boxes = Vec::with_capacity(track.boxes.len());
    for one in &track.boxes {
        let outside = one.outside != 0;
        if one.frame >= count && !outside {
            return Err(format!(
                "a box in frame {} (0-based), but the video has {count} frames",
                one.frame
            ));
        }
        let attributes = one.attributes.iter();
        boxes.push(FaceBox {
            // A track may end after the last frame.
            frame: one.frame.min(count),
            outside,
            keyframe: one.keyframe != 0,
            values: attributes
                .map(|attribute| (attribute.name.as_str(), attribute.value.trim()))
                .collect(),
        });
    }
    boxes.sort_by_key(|one| one.frame);
    let person = boxes
        .iter()
        .find_map(|one| one.values.get("person")?.parse().ok());
    Ok(FaceTrack {
        id: &track.id,
        person: person.map(PersonId),
        boxes,
    })
}

impl FaceTrack<'_> {
    /// The last frame that a box is valid for: that before the next box.
    fn last_frame(&self, nth: usize) -> usize {
        let frame = self.boxes[nth].frame;
        let next = self.boxes.get(nth + 1);
        next.map_or(frame, |next| next.frame - usize::from(next.frame > frame))
    }

    /// Whether the track is in each frame.
    fn frames(&self, count: usize) -> Vec<bool> {
        let mut frames = vec![false; count];
        for (nth, one) in self.boxes.iter().enumerate().filter(|(_, one)| !one.outside) {
            frames[one.frame..=self.last_frame(nth)].fill(true);
        }
        frames
    }
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
            .get_or_insert_with(|| vec![[Some(false); ACTION_UNITS]; count]);
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
fn set_points(labels: &mut PersonLabels, boxes: &[FaceBox], count: usize) -> Result<(), String> {
    let mut points = vec![None; count];
    let mut before: Option<(usize, ValenceArousal)> = None;
    for one in boxes {
        if !one.keyframe && !one.outside {
            continue;
        }
        let point = match one.outside {
            false => point(&one.values, one.frame)?,
            true => None,
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
    if let (Some((first, from)), Some(last)) = (before, boxes.last()) {
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
