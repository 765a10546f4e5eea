//! Writes the persons of a table as CVAT's tracks.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use quick_xml::Writer;

use crate::export::annotated::AnnotatedVideo;
use crate::export::error::ExportError;
use crate::export::intervals::{IntervalRules, intervals};
use crate::export::keyframes::keyframes;
use crate::export::xml::{document, element, text};
use crate::face::{BoundingBox, PersonId};
use crate::labels::{ACTION_UNITS, ActionUnit, Expression, ValenceArousal};
use crate::publish::publish;

/// The expression of frames without one.
pub const NO_EXPRESSION: &str = "unknown";
/// The label of all tracks.
pub const LABEL: &str = "face";
/// Largest error of a box between key frames, in pixels.
const BOX_TOLERANCE: f32 = 1.0;
/// Largest error of valence and arousal between key frames.
const POINT_TOLERANCE: f32 = 0.01;

/// The values of a track in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    /// The interpolated numbers: corners, then valence and arousal.
    numbers: [f32; 6],
    has_point: bool,
    expression: Option<Expression>,
    action_units: [bool; ACTION_UNITS],
    /// The detector did not find the face in this frame.
    occluded: bool,
}

/// Writes `<id>.xml`.
pub fn write(video: &AnnotatedVideo, rules: IntervalRules, folder: &Path) -> Result<(), ExportError> {
    let path = video.file_in(folder, ".xml");
    publish(&path, |file| {
        let mut xml = document(&mut *file, "utf-8")?;
        element(&mut xml, "annotations", &[], |xml| {
            text(xml, "version", &[], "1.1")?;
            write_meta(xml, video)?;
            for (nth, &person) in video.people.keys().enumerate() {
                let states = states(video, person, rules);
                write_track(xml, nth, person, &states, video.frames.len())?;
            }
            Ok(())
        })?;
        file.write_all(b"\n")
    })
    .map_err(ExportError::file(&path))
}

fn write_meta<W: Write>(xml: &mut Writer<W>, video: &AnnotatedVideo) -> io::Result<()> {
    let last = video.frames.len().saturating_sub(1).to_string();
    let (width, height) = video.size;
    element(xml, "meta", &[], |xml| {
        element(xml, "task", &[], |xml| {
            text(xml, "name", &[], &video.id)?;
            text(xml, "size", &[], &video.frames.len().to_string())?;
            text(xml, "mode", &[], "interpolation")?;
            text(xml, "overlap", &[], "0")?;
            text(xml, "start_frame", &[], "0")?;
            text(xml, "stop_frame", &[], &last)?;
            text(xml, "frame_filter", &[], "")?;
            element(xml, "labels", &[], |xml| element(xml, "label", &[], write_label))?;
            element(xml, "original_size", &[], |xml| {
                text(xml, "width", &[], &width.to_string())?;
                text(xml, "height", &[], &height.to_string())
            })
        })?;
        let source = video.path.file_name().unwrap_or_default().to_string_lossy();
        text(xml, "source", &[], &source)
    })
}

fn write_label<W: Write>(xml: &mut Writer<W>) -> io::Result<()> {
    text(xml, "name", &[], LABEL)?;
    element(xml, "attributes", &[], |xml| {
        // The default is that of a track that an annotator begins: nobody of the table.
        attribute_type(xml, "person", false, "number", "-1", "-1\n32767\n1")?;
        let names = Expression::ALL.map(Expression::name).join("\n");
        let expressions = format!("{NO_EXPRESSION}\n{names}");
        attribute_type(xml, "expression", true, "select", NO_EXPRESSION, &expressions)?;
        attribute_type(xml, "valence", true, "text", "", "")?;
        attribute_type(xml, "arousal", true, "text", "", "")?;
        for unit in ActionUnit::ALL {
            attribute_type(xml, &unit.name(), true, "checkbox", "false", "false\ntrue")?;
        }
        Ok(())
    })
}

fn attribute_type<W: Write>(
    xml: &mut Writer<W>,
    name: &str,
    mutable: bool,
    input: &str,
    default: &str,
    values: &str,
) -> io::Result<()> {
    element(xml, "attribute", &[], |xml| {
        text(xml, "name", &[], name)?;
        text(xml, "mutable", &[], if mutable { "True" } else { "False" })?;
        text(xml, "input_type", &[], input)?;
        text(xml, "default_value", &[], default)?;
        text(xml, "values", &[], values)
    })
}

/// The values of a person's track, from its first frame to its last.
fn states(video: &AnnotatedVideo, person: PersonId, rules: IntervalRules) -> BTreeMap<usize, State> {
    let count = video.frames.len();
    let mut expression = vec![None; count];
    for interval in intervals(&video.series(person, |row| row.postprocessed.expression), rules) {
        expression[interval.frames].fill(Some(interval.label));
    }
    let mut units = vec![[false; ACTION_UNITS]; count];
    for unit in ActionUnit::ALL {
        let present = video.series(person, |row| {
            row.postprocessed.action_units[unit.index()]?.then_some(())
        });
        for interval in intervals(&present, rules) {
            units[interval.frames]
                .iter_mut()
                .for_each(|units| units[unit.index()] = true);
        }
    }
    let boxes = video.series(person, |row| {
        row.sighting.location().map(|(face_box, _)| face_box)
    });
    let boxes = between(&boxes, video.size);
    let rows = video.people.get(&person).map_or(&[][..], Vec::as_slice);
    let mut states = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let (Some(row), Some(face_box)) = (row, boxes[at]) else {
            continue;
        };
        let point = row.postprocessed.affect.valence_arousal;
        let ValenceArousal { valence, arousal } = point.unwrap_or_default();
        states.insert(
            at,
            State {
                numbers: [
                    face_box.x1,
                    face_box.y1,
                    face_box.x2,
                    face_box.y2,
                    valence,
                    arousal,
                ],
                has_point: point.is_some(),
                expression: expression[at],
                action_units: units[at],
                occluded: !row.sighting.is_face(),
            },
        );
    }
    states
}

/// Returns boxes clamped to the picture, interpolated over frames in which the face was not detected.
fn between(boxes: &[Option<BoundingBox>], (width, height): (u32, u32)) -> Vec<Option<BoundingBox>> {
    let clamp = |face_box: BoundingBox| BoundingBox {
        x1: face_box.x1.clamp(0.0, width as f32),
        y1: face_box.y1.clamp(0.0, height as f32),
        x2: face_box.x2.clamp(0.0, width as f32),
        y2: face_box.y2.clamp(0.0, height as f32),
    };
    let seen: Vec<(usize, BoundingBox)> = boxes
        .iter()
        .enumerate()
        .filter_map(|(at, face_box)| Some((at, clamp((*face_box)?))))
        .collect();
    let mut filled = vec![None; boxes.len()];
    for pair in seen.windows(2) {
        let [(first, from), (last, to)] = [pair[0], pair[1]];
        for (at, filled) in filled.iter_mut().enumerate().take(last).skip(first) {
            let way = (at - first) as f32 / (last - first) as f32;
            let mix = |from: f32, to: f32| from + (to - from) * way;
            *filled = Some(BoundingBox {
                x1: mix(from.x1, to.x1),
                y1: mix(from.y1, to.y1),
                x2: mix(from.x2, to.x2),
                y2: mix(from.y2, to.y2),
            });
        }
    }
    if let Some(&(last, face_box)) = seen.last() {
        filled[last] = Some(face_box);
    }
    filled
}

fn write_track<W: Write>(
    xml: &mut Writer<W>,
    nth: usize,
    person: PersonId,
    states: &BTreeMap<usize, State>,
    count: usize,
) -> io::Result<()> {
    let Some((&last, last_state)) = states.last_key_value() else {
        return Ok(());
    };
    let numbers: Vec<(usize, [f32; 6])> = states.iter().map(|(&at, state)| (at, state.numbers)).collect();
    let pixels = BOX_TOLERANCE;
    let points = POINT_TOLERANCE;
    let straight = keyframes(&numbers, [pixels, pixels, pixels, pixels, points, points]);
    let nth = nth.to_string();
    let track = [("id", nth.as_str()), ("label", LABEL), ("source", "auto")];
    element(xml, "track", &track, |xml| {
        let mut before: Option<&State> = None;
        for (&at, state) in states {
            let same = |earlier: &State| {
                (
                    earlier.expression,
                    earlier.action_units,
                    earlier.has_point,
                    earlier.occluded,
                ) == (
                    state.expression,
                    state.action_units,
                    state.has_point,
                    state.occluded,
                )
            };
            let key = straight.contains(&at) || !before.is_some_and(same);
            write_box(xml, person, at, state, key, false)?;
            before = Some(state);
        }
        if last + 1 < count {
            write_box(xml, person, last + 1, last_state, true, true)?;
        }
        Ok(())
    })
}

fn write_box<W: Write>(
    xml: &mut Writer<W>,
    person: PersonId,
    at: usize,
    state: &State,
    key: bool,
    outside: bool,
) -> io::Result<()> {
    let flag = |is: bool| if is { "1" } else { "0" };
    let frame = at.to_string();
    let corners: [String; 4] = std::array::from_fn(|nth| format!("{:.2}", state.numbers[nth]));
    let attributes = [
        ("frame", frame.as_str()),
        ("keyframe", flag(key)),
        ("outside", flag(outside)),
        ("occluded", flag(state.occluded)),
        ("xtl", &corners[0]),
        ("ytl", &corners[1]),
        ("xbr", &corners[2]),
        ("ybr", &corners[3]),
        ("z_order", "0"),
    ];
    element(xml, "box", &attributes, |xml| {
        attribute(xml, "person", &person.0.to_string())?;
        attribute(
            xml,
            "expression",
            state.expression.map_or(NO_EXPRESSION, Expression::name),
        )?;
        for (name, number) in [("valence", state.numbers[4]), ("arousal", state.numbers[5])] {
            let number = if state.has_point {
                number.to_string()
            } else {
                String::new()
            };
            attribute(xml, name, &number)?;
        }
        for unit in ActionUnit::ALL {
            let present = state.action_units[unit.index()];
            attribute(xml, &unit.name(), if present { "true" } else { "false" })?;
        }
        Ok(())
    })
}

fn attribute<W: Write>(xml: &mut Writer<W>, name: &str, value: &str) -> io::Result<()> {
    text(xml, "attribute", &[("name", name)], value)
}
