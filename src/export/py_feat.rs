//! py-feat: the CSV that its `Detectorv1` saves and `read_feat` reads.
//!
//! Columns that the table has no values for (68 landmarks, head pose, other action units) are empty. Columns that py-feat
//! does not have begin with `abaw_`. Frames are 0-based. An action unit is corrected by writing 0 or 1; an unchanged
//! number means the decision of the table.

use std::path::Path;

use super::annotated::AnnotatedVideo;
use super::annotators::VideoAnnotations;
use super::error::ExportError;
use super::face_csv::{self, Line, Record, numbered};
use super::vocabulary::person_in;
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, ActionUnit, EXPRESSIONS, Expression};

/// py-feat's action units (`AU_LANDMARK_MAP["Feat"]`).
const UNITS: [u8; 20] = [
    1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43,
];
const VALENCE: &str = "abaw_valence";
const AROUSAL: &str = "abaw_arousal";
const PERSON: &str = "Identity";

/// Returns the column of an expression; py-feat has seven of the eight.
fn emotion(expression: Expression) -> String {
    match expression {
        Expression::Other => "abaw_other".to_owned(),
        known => known.name().to_lowercase(),
    }
}

fn unit_column(number: u8) -> String {
    match UNITS.contains(&number) {
        true => format!("AU{number:02}"),
        false => format!("abaw_AU{number:02}"),
    }
}

/// Returns the column of the decision of the table, beside that of the probability.
fn decision_column(number: u8) -> String {
    format!("abaw_au{number}")
}

/// `extra_units`: the columns of the table's units beside ABAW's.
fn header(extra_units: &[(String, String)]) -> Vec<String> {
    let mut header: Vec<String> = [
        "FaceRectX",
        "FaceRectY",
        "FaceRectWidth",
        "FaceRectHeight",
        "FaceScore",
    ]
    .map(str::to_owned)
    .into();
    header.extend(numbered("x_", 68));
    header.extend(numbered("y_", 68));
    header.extend(["Pitch", "Roll", "Yaw", "X", "Y", "Z"].map(str::to_owned));
    header.extend(UNITS.map(unit_column));
    let [neutral, others @ ..] = Expression::ALL;
    header.extend(others[..6].iter().map(|&expression| emotion(expression)));
    header.push(emotion(neutral));
    header.extend(["input", "frame", "approx_time", PERSON].map(str::to_owned));
    header.extend([emotion(Expression::Other), VALENCE.to_owned(), AROUSAL.to_owned()]);
    header.extend(ActionUnit::ALL.map(|unit| decision_column(unit.number())));
    for name in extra_units
        .iter()
        .flat_map(|(column, decision)| [column, decision])
    {
        if !header.contains(name) {
            header.push(name.clone());
        }
    }
    header
}

/// Writes `<id>.csv`.
pub fn write(video: &AnnotatedVideo, folder: &Path) -> Result<(), ExportError> {
    let input = video.path.to_string_lossy();
    let columns = |number| (unit_column(number), decision_column(number));
    let units = ActionUnit::ALL.map(|unit| columns(unit.number()));
    let extra_units: Vec<_> = video
        .extra_units
        .iter()
        .map(|unit| columns(unit.number()))
        .collect();
    let header = header(&extra_units);
    let emotions = Expression::ALL.map(emotion);
    let rows = face_csv::rows(video).map(|(at, person, row)| {
        let seconds = video.times.start_s(at);
        let mut cells = vec![
            ("input", input.clone().into_owned()),
            ("frame", (i64::from(video.frames[at].number()) - 1).to_string()),
            (
                "approx_time",
                format!("{:02}:{:02}", seconds as u64 / 60, seconds as u64 % 60),
            ),
            (PERSON, format!("Person_{}", person.0)),
        ];
        if let Some((face_box, _)) = row.sighting.location() {
            cells.extend([
                ("FaceRectX", face_box.x1.to_string()),
                ("FaceRectY", face_box.y1.to_string()),
                ("FaceRectWidth", (face_box.x2 - face_box.x1).to_string()),
                ("FaceRectHeight", (face_box.y2 - face_box.y1).to_string()),
            ]);
        }
        cells.extend(row.sighting.score().map(|score| ("FaceScore", score.to_string())));
        if let Some(point) = row.postprocessed.affect.valence_arousal {
            cells.extend([
                (VALENCE, point.valence.to_string()),
                (AROUSAL, point.arousal.to_string()),
            ]);
        }
        if let Some(probabilities) = row.postprocessed.affect.expression {
            let pairs = emotions.iter().zip(probabilities);
            cells.extend(pairs.map(|(name, probability)| (name.as_str(), probability.to_string())));
        }
        for (unit, (column, decision)) in units.iter().enumerate() {
            if let (Some(probability), Some(present)) = (
                row.postprocessed.affect.action_units[unit],
                row.postprocessed.action_units[unit],
            ) {
                cells.push((column, probability.to_string()));
                cells.push((decision, u8::from(present).to_string()));
            }
        }
        for (at, probability, present) in video.extra_units_of(row) {
            let (column, decision) = &extra_units[at];
            cells.push((column, probability.to_string()));
            cells.push((decision, u8::from(present).to_string()));
        }
        cells
    });
    face_csv::write(&video.file_in(folder, ".csv"), &header, rows)
}

/// Reads a CSV with py-feat's columns.
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let emotions: [String; EXPRESSIONS] = Expression::ALL.map(emotion);
    let lines = face_csv::read(path, |record| {
        let frame = record.number("frame")?.ok_or("no frame")?;
        let mut units = [None; ACTION_UNITS];
        for unit in ActionUnit::ALL {
            units[unit.index()] = unit_of(record, unit)?;
        }
        Ok(Line {
            frame: (frame + 1.0) as u32,
            person: person(record)?,
            valence_arousal: record.point(VALENCE, AROUSAL)?,
            expression: record.most_probable(&emotions)?,
            action_units: all(units),
        })
    })?;
    Ok(vec![VideoAnnotations::of_one(None, move |video| {
        face_csv::corrections(&lines, video)
    })])
}

/// 0 and 1 are an annotator's decision. Otherwise the decision column is used, or, without one, a threshold of 0.5.
fn unit_of(record: &Record, unit: ActionUnit) -> Result<Option<bool>, String> {
    let Some(number) = record.number(&unit_column(unit.number()))? else {
        return Ok(None);
    };
    if number == 0.0 || number == 1.0 {
        return Ok(Some(number == 1.0));
    }
    let decided = record.number(&decision_column(unit.number()))?;
    Ok(Some(decided.map_or(number >= 0.5, |decided| decided != 0.0)))
}

fn person(record: &Record) -> Result<PersonId, String> {
    let name = record.text(PERSON).replace('_', " ");
    if name.is_empty() {
        return Ok(PersonId(0));
    }
    let found = person_in(&name).map(|(person, _)| person);
    found.ok_or_else(|| format!("{PERSON} is `{name}`, not Person_0, Person_1, ..."))
}

/// All twelve, if all are known.
pub fn all(units: [Option<bool>; ACTION_UNITS]) -> Option<[bool; ACTION_UNITS]> {
    let mut known = [false; ACTION_UNITS];
    for (known, unit) in known.iter_mut().zip(units) {
        *known = unit?;
    }
    Some(known)
}
