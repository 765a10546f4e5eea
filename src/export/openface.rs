//! OpenFace 2.2: the CSV that its `FeatureExtraction` writes.
//!
//! Columns that the table has no values for (gaze, pose, 68 landmarks, other action units) are empty. Columns that OpenFace
//! does not have begin with `abaw_`. `AU??_c` is the decision. `AU??_r` is five times the probability, which has
//! OpenFace's range but is not an intensity. Frames are 1-based.

use std::path::Path;

use super::annotated::AnnotatedVideo;
use super::annotators::VideoAnnotations;
use super::error::ExportError;
use super::face_csv::{self, Line, numbered};
use super::py_feat::all;
use super::vocabulary::expression_in;
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, ActionUnit, Expression};

/// Action units with an intensity; those with a decision are the same and 28.
const INTENSITIES: [u8; 17] = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45];
const DECISIONS: [u8; 18] = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45];
const VALENCE: &str = "abaw_valence";
const AROUSAL: &str = "abaw_arousal";
const EXPRESSION: &str = "abaw_expression";

/// The columns of a unit's intensity and decision.
fn unit_columns(number: u8) -> (String, String) {
    let stem = |units: &[u8]| match units.contains(&number) {
        true => format!("AU{number:02}"),
        false => format!("abaw_AU{number:02}"),
    };
    (
        format!("{}_r", stem(&INTENSITIES)),
        format!("{}_c", stem(&DECISIONS)),
    )
}

/// `units`: the columns of the table's units.
fn header(units: &[(String, String)]) -> Vec<String> {
    let mut header: Vec<String> = ["frame", "face_id", "timestamp", "confidence", "success"]
        .map(str::to_owned)
        .into();
    let plain =
        |header: &mut Vec<String>, names: &[&str]| header.extend(names.iter().map(|name| (*name).to_owned()));
    plain(
        &mut header,
        &[
            "gaze_0_x",
            "gaze_0_y",
            "gaze_0_z",
            "gaze_1_x",
            "gaze_1_y",
            "gaze_1_z",
            "gaze_angle_x",
            "gaze_angle_y",
        ],
    );
    for axis in ["x", "y", "X", "Y", "Z"] {
        header.extend(numbered(&format!("eye_lmk_{axis}_"), 56));
    }
    plain(
        &mut header,
        &["pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"],
    );
    for axis in ["x", "y", "X", "Y", "Z"] {
        header.extend(numbered(&format!("{axis}_"), 68));
    }
    plain(&mut header, &["p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"]);
    header.extend(numbered("p_", 34));
    header.extend(INTENSITIES.map(|number| format!("AU{number:02}_r")));
    header.extend(DECISIONS.map(|number| format!("AU{number:02}_c")));
    for name in units
        .iter()
        .flat_map(|(intensity, decision)| [intensity, decision])
    {
        if !header.contains(name) {
            header.push(name.clone());
        }
    }
    plain(&mut header, &[VALENCE, AROUSAL, EXPRESSION]);
    header
}

/// Writes `<id>.csv`.
pub fn write(video: &AnnotatedVideo, folder: &Path) -> Result<(), ExportError> {
    let numbers = ActionUnit::ALL.iter().map(|unit| unit.number());
    let extra = video.extra_units.iter().map(|unit| unit.number());
    let units: Vec<(String, String)> = numbers.chain(extra).map(unit_columns).collect();
    let (units_of_abaw, extra_units) = units.split_at(ACTION_UNITS);
    let header = header(&units);
    let rows = face_csv::rows(video).map(|(at, person, row)| {
        let mut cells = vec![
            ("frame", video.frames[at].number().to_string()),
            ("face_id", person.0.to_string()),
            ("timestamp", format!("{:.3}", video.times.start_s(at))),
            ("confidence", row.sighting.score().unwrap_or(0.0).to_string()),
            ("success", u8::from(row.sighting.is_face()).to_string()),
        ];
        for (unit, (intensity, decision)) in units_of_abaw.iter().enumerate() {
            if let (Some(probability), Some(present)) = (
                row.postprocessed.affect.action_units[unit],
                row.postprocessed.action_units[unit],
            ) {
                cells.push((intensity, format!("{:.3}", 5.0 * probability)));
                cells.push((decision, f32::from(u8::from(present)).to_string()));
            }
        }
        for (at, probability, present) in video.extra_units_of(row) {
            let (intensity, decision) = &extra_units[at];
            cells.push((intensity, format!("{:.3}", 5.0 * probability)));
            cells.push((decision, f32::from(u8::from(present)).to_string()));
        }
        if let Some(point) = row.postprocessed.affect.valence_arousal {
            cells.extend([
                (VALENCE, point.valence.to_string()),
                (AROUSAL, point.arousal.to_string()),
            ]);
        }
        cells.extend(
            row.postprocessed
                .expression
                .map(|expression| (EXPRESSION, expression.name().to_owned())),
        );
        cells
    });
    face_csv::write(&video.file_in(folder, ".csv"), &header, rows)
}

/// Reads a CSV with OpenFace's columns.
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let columns = ActionUnit::ALL.map(|unit| unit_columns(unit.number()));
    let lines = face_csv::read(path, |record| {
        let frame = record.number("frame")?.ok_or("no frame")?;
        let mut units = [None; ACTION_UNITS];
        for (unit, (_, decision)) in units.iter_mut().zip(&columns) {
            *unit = record.number(decision)?.map(|number| number != 0.0);
        }
        Ok(Line {
            frame: frame as u32,
            person: PersonId(record.number("face_id")?.unwrap_or(0.0) as u16),
            valence_arousal: record.point(VALENCE, AROUSAL)?,
            expression: expression(record.text(EXPRESSION))?,
            action_units: all(units),
        })
    })?;
    Ok(vec![VideoAnnotations::of_one(None, move |video| {
        face_csv::corrections(&lines, video)
    })])
}

fn expression(text: &str) -> Result<Option<Expression>, String> {
    match text {
        "" => Ok(None),
        name => expression_in(name)
            .map(Some)
            .ok_or_else(|| format!("{EXPRESSION} is `{name}`, not an expression")),
    }
}
