//! Reads and writes the CSV tables of other programs: one row for each frame and face.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use super::annotated::AnnotatedVideo;
use super::corrections::{Corrections, PersonLabels};
use super::error::ExportError;
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, EXPRESSIONS, Expression, ValenceArousal};
use crate::publish::publish;
use crate::table::Row;

/// Writes rows under a header. Each row lists its columns that are not empty.
pub fn write<'a>(
    path: &Path,
    header: &[String],
    rows: impl Iterator<Item = Vec<(&'a str, String)>>,
) -> Result<(), ExportError> {
    let columns: BTreeMap<&str, usize> = header
        .iter()
        .enumerate()
        .map(|(nth, name)| (name.as_str(), nth))
        .collect();
    publish(path, |file| {
        let mut csv = csv::Writer::from_writer(&mut *file);
        csv.write_record(header)?;
        let mut record = vec![String::new(); header.len()];
        for row in rows {
            record.iter_mut().for_each(String::clear);
            for (name, value) in row {
                let column = columns
                    .get(name)
                    .ok_or_else(|| io::Error::other(format!("no column `{name}`")))?;
                record[*column] = value;
            }
            csv.write_record(&record)?;
        }
        csv.flush()?;
        drop(csv);
        file.flush()
    })
    .map_err(ExportError::file(path))
}

/// Returns all rows of a video in the order of frames, each with the 0-based position of its frame and its person.
pub fn rows(video: &AnnotatedVideo) -> impl Iterator<Item = (usize, PersonId, &Row)> {
    (0..video.frames.len()).flat_map(|at| {
        let people = video.people.iter();
        people.filter_map(move |(&person, rows)| Some((at, person, rows[at].as_ref()?)))
    })
}

/// Returns names such as `x_0`, `x_1`, ...
pub fn numbered(stem: &str, count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("{stem}{nth}")).collect()
}

/// The values in a row of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Number of the frame, as in the table.
    pub frame: u32,
    /// The person.
    pub person: PersonId,
    /// Valence and arousal, if the row has both.
    pub valence_arousal: Option<ValenceArousal>,
    /// The expression, if the row has one.
    pub expression: Option<Expression>,
    /// Whether each action unit is present, if the row has them all.
    pub action_units: Option<[bool; ACTION_UNITS]>,
}

/// A row of a CSV, with columns by name. Spaces around names are ignored.
pub struct Record<'a> {
    columns: &'a BTreeMap<String, usize>,
    record: csv::StringRecord,
}

impl Record<'_> {
    /// A number; `None` where the column is absent or empty.
    pub fn number(&self, name: &str) -> Result<Option<f64>, String> {
        let text = self.columns.get(name).and_then(|&column| self.record.get(column));
        match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) if f64::is_finite(number) => Ok(Some(number)),
                // pandas can write missing values like this.
                Ok(_) if text.eq_ignore_ascii_case("nan") => Ok(None),
                _ => Err(format!("{name} is `{text}`, not a number")),
            },
        }
    }

    /// The text of a column; empty where it is absent.
    pub fn text(&self, name: &str) -> &str {
        let column = self.columns.get(name).copied();
        column
            .and_then(|column| self.record.get(column))
            .unwrap_or_default()
            .trim()
    }

    /// Valence and arousal under these names.
    pub fn point(&self, valence: &str, arousal: &str) -> Result<Option<ValenceArousal>, String> {
        let point = self.number(valence)?.zip(self.number(arousal)?);
        match point {
            Some((valence, arousal)) if valence.abs() > 1.0 || arousal.abs() > 1.0 => {
                Err("valence and arousal must be in [-1, 1]".to_owned())
            }
            _ => Ok(point.map(|(valence, arousal)| ValenceArousal {
                valence: valence as f32,
                arousal: arousal as f32,
            })),
        }
    }

    /// The most probable of eight expressions under these names; `None` if any is missing.
    pub fn most_probable(&self, names: &[String; EXPRESSIONS]) -> Result<Option<Expression>, String> {
        let mut probabilities = [0.0; EXPRESSIONS];
        for (probability, name) in probabilities.iter_mut().zip(names) {
            let Some(number) = self.number(name)? else {
                return Ok(None);
            };
            *probability = number as f32;
        }
        Ok(Some(Expression::most_probable(&probabilities)))
    }
}

/// Reads a CSV line by line.
pub fn read(path: &Path, line: impl Fn(&Record) -> Result<Line, String>) -> Result<Vec<Line>, ExportError> {
    let mut csv = csv::ReaderBuilder::new()
        .from_path(path)
        .map_err(ExportError::foreign(path))?;
    let header = csv.headers().map_err(ExportError::foreign(path))?;
    let columns: BTreeMap<String, usize> = header
        .iter()
        .enumerate()
        .map(|(nth, name)| (name.trim().to_owned(), nth))
        .collect();
    let mut lines = Vec::new();
    for (nth, record) in csv.records().enumerate() {
        let record = Record {
            columns: &columns,
            record: record.map_err(ExportError::foreign(path))?,
        };
        let read = line(&record).map_err(|reason| format!("line {}: {reason}", nth + 2));
        lines.push(read.map_err(ExportError::foreign(path))?);
    }
    Ok(lines)
}

/// Makes corrections of a video from lines.
pub fn corrections(lines: &[Line], video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let mut corrections = Corrections::default();
    for line in lines {
        let found = video
            .frames
            .binary_search_by_key(&line.frame, |frame| frame.number());
        let at = found.map_err(|_| format!("frame {}, which the run's table does not have", line.frame))?;
        let labels: &mut PersonLabels = corrections.people.entry(Some(line.person)).or_default();
        if let Some(point) = line.valence_arousal {
            labels.valence_arousal.get_or_insert_with(|| vec![None; count])[at] = Some(point);
        }
        if let Some(expression) = line.expression {
            labels.set_expression(at..=at, expression, count);
        }
        if let Some(units) = line.action_units {
            labels
                .action_units
                .get_or_insert_with(|| vec![[Some(false); ACTION_UNITS]; count])[at] = units.map(Some);
        }
    }
    Ok(corrections)
}
