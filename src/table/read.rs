//! Parquet to rows.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array,
    RecordBatch,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int32Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::columns::{action_unit_column, expression_column, sighting};
use super::{FOOTER_KEY, Footer, Row, SECONDS_KEY, StageSeconds, TableError};
use crate::face::{BoundingBox, HeadPose, Landmarks, PersonId, Point, Quality};
use crate::frame::FrameIndex;
use crate::labels::{ActionUnit, Affect, Expression, ExtraUnit, FinalAffect, ValenceArousal};
use crate::path_error::PathError;

/// Which columns are read. Fields of the others are empty in the rows: no time, no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSelection {
    /// All columns.
    All,
    /// All but final values.
    Raw,
    /// All but times and raw values.
    Final,
}

impl ColumnSelection {
    fn contains(self, column: &str) -> bool {
        let is_raw = column.ends_with("_raw");
        match (self, column) {
            (ColumnSelection::All, _) => true,
            (_, "video") => false,
            (_, "time_s") => self == ColumnSelection::Raw,
            (ColumnSelection::Raw, _) => is_raw || is_of_sighting(column),
            (ColumnSelection::Final, _) => !is_raw,
        }
    }
}

/// Whether a column tells which frame a row is of, who is in it, and where.
fn is_of_sighting(column: &str) -> bool {
    const COLUMNS: [&str; 13] = [
        "frame",
        "person",
        "subject",
        "detected",
        "det_score",
        "landmarks",
        "roll",
        "pitch",
        "yaw",
        "alignment_error",
        "sharpness",
        "face_px",
        "usable",
    ];
    COLUMNS.contains(&column) || column.starts_with("box_")
}

/// Reads only the footer of a table, and the seconds of work by stage.
///
/// # Errors
/// The file system's, or [`TableError::NotATable`] for a file that this program did not write.
pub fn read_footer(path: &Path) -> Result<(Footer, StageSeconds), TableError> {
    guarded(path, || {
        let reader = SerializedFileReader::new(open(path)?).map_err(|error| not_a_table(path, error))?;
        footer_in(path, reader.metadata())
    })
}

/// The Parquet library panics on some damaged files (found by fuzzing): that is an error of the file too.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(not_a_table(path, "it is damaged")))
}

fn open(path: &Path) -> Result<File, TableError> {
    Ok(File::open(path).map_err(PathError::at(path))?)
}

pub(super) fn footer_in(
    path: &Path,
    metadata: &ParquetMetaData,
) -> Result<(Footer, StageSeconds), TableError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let text = |key: &str| {
        pairs
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == key))
            .and_then(|pair| pair.value.as_deref())
            .ok_or_else(|| not_a_table(path, format!("no `{key}` in the footer")))
    };
    let footer = serde_json::from_str(text(FOOTER_KEY)?).map_err(|error| not_a_table(path, error))?;
    let seconds = serde_json::from_str(text(SECONDS_KEY)?).map_err(|error| not_a_table(path, error))?;
    Ok((footer, seconds))
}

/// Reads a table: its rows in the order of the file, and its footer.
///
/// ```no_run
/// let (rows, footer) = abaw::table::read("runs/sample/frames/astronaut.parquet".as_ref())?;
/// for row in rows.iter().filter(|row| row.subject) {
///     println!("{} of {}: {:?}", row.frame, footer.counts.frames, row.postprocessed.expression);
/// }
/// # Ok::<(), abaw::table::TableError>(())
/// ```
///
/// # Errors
/// The file system's, or [`TableError::NotATable`] naming the first column that is not as expected.
pub fn read(path: &Path) -> Result<(Vec<Row>, Footer), TableError> {
    read_columns(path, ColumnSelection::All)
}

/// As [`read`], of some columns only.
///
/// # Errors
/// As [`read`].
pub fn read_columns(path: &Path, columns: ColumnSelection) -> Result<(Vec<Row>, Footer), TableError> {
    guarded(path, || read_unguarded(path, columns))
}

fn read_unguarded(path: &Path, columns: ColumnSelection) -> Result<(Vec<Row>, Footer), TableError> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|error| not_a_table(path, error))?;
    let (footer, _) = footer_in(path, builder.metadata())?;
    let extra_units = footer.extra_units();
    let names = builder.schema().fields().iter().map(|field| field.name());
    let wanted: Vec<&str> = names
        .map(String::as_str)
        .filter(|name| columns.contains(name))
        .collect();
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    let mut rows = Vec::with_capacity(footer.counts.frames.min(1 << 20) as usize);
    let batches = builder
        .with_projection(mask)
        .with_batch_size(8192)
        .build()
        .map_err(|error| not_a_table(path, error))?;
    for batch in batches {
        let batch = batch.map_err(|error| not_a_table(path, error))?;
        append_rows(&batch, columns, &extra_units, &mut rows).map_err(|reason| not_a_table(path, reason))?;
    }
    Ok((rows, footer))
}

pub(super) fn not_a_table(
    path: &Path,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TableError {
    TableError::NotATable {
        path: path.to_owned(),
        source: reason.into(),
    }
}

fn append_rows(
    batch: &RecordBatch,
    columns: ColumnSelection,
    extra_units: &[ExtraUnit],
    rows: &mut Vec<Row>,
) -> Result<(), String> {
    let frame = whole_numbers(batch, "frame")?;
    let subject: &BooleanArray = column(batch, "subject")?;
    let time_s: Option<&Float64Array> = match columns {
        ColumnSelection::All | ColumnSelection::Raw => Some(column(batch, "time_s")?),
        ColumnSelection::Final => None,
    };
    let faces = FaceColumns::of(batch)?;
    let quality = QualityColumns::of(batch)?;
    let raw = match columns {
        ColumnSelection::All | ColumnSelection::Raw => Some(AffectColumns::of(batch, "_raw", extra_units)?),
        ColumnSelection::Final => None,
    };
    let finals = match columns {
        ColumnSelection::All | ColumnSelection::Final => Some(FinalColumns::of(batch, extra_units)?),
        ColumnSelection::Raw => None,
    };
    for at in 0..batch.num_rows() {
        let number = u32::try_from(frame.value(at)).ok();
        let frame = number
            .and_then(FrameIndex::new)
            .ok_or_else(|| format!("frame {}; frames count from 0", frame.value(at)))?;
        rows.push(Row {
            frame,
            time_s: time_s.and_then(|time_s| time_s.is_valid(at).then(|| time_s.value(at))),
            person: faces.person_at(at),
            subject: subject.value(at),
            sighting: faces.at(at),
            quality: quality.at(at),
            usable: quality.usable_at(at),
            raw: raw.as_ref().map(|raw| raw.at(at)).unwrap_or_default(),
            postprocessed: finals.as_ref().map(|finals| finals.at(at)).unwrap_or_default(),
        });
    }
    Ok(())
}

fn column<'batch, A: Array + 'static>(batch: &'batch RecordBatch, name: &str) -> Result<&'batch A, String> {
    let array = batch
        .column_by_name(name)
        .ok_or_else(|| format!("no column `{name}`"))?;
    array
        .as_any()
        .downcast_ref()
        .ok_or_else(|| format!("column `{name}` has the type {}", array.data_type()))
}

/// A column of whole numbers of any width: tables of older versions have unsigned ones.
fn whole_numbers(batch: &RecordBatch, name: &str) -> Result<Int32Array, String> {
    let array: &ArrayRef = batch
        .column_by_name(name)
        .ok_or_else(|| format!("no column `{name}`"))?;
    if !array.data_type().is_integer() {
        return Err(format!("column `{name}` has the type {}", array.data_type()));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let numbers = cast_with_options(array, &DataType::Int32, &options);
    let numbers = numbers.map_err(|error| format!("column `{name}`: {error}"))?;
    Ok(numbers.as_primitive::<Int32Type>().clone())
}

fn boolean(array: &BooleanArray, at: usize) -> Option<bool> {
    array.is_valid(at).then(|| array.value(at))
}

fn float(array: &Float32Array, at: usize) -> Option<f32> {
    array.is_valid(at).then(|| array.value(at))
}

fn named_expressions(batch: &RecordBatch) -> Result<Vec<Option<Expression>>, String> {
    let array = batch
        .column_by_name("expression")
        .ok_or("no column `expression`")?;
    let names = cast(array, &DataType::Utf8).map_err(|error| format!("column `expression`: {error}"))?;
    let names = names.as_string::<i32>();
    names
        .iter()
        .map(|name| match name {
            None => Ok(None),
            Some(name) => {
                let found = Expression::ALL
                    .into_iter()
                    .find(|expression| expression.name() == name);
                found
                    .map(Some)
                    .ok_or_else(|| format!("unknown expression `{name}`"))
            }
        })
        .collect()
}

/// The columns of final values.
struct FinalColumns<'batch> {
    affect: AffectColumns<'batch>,
    expression: Vec<Option<Expression>>,
    decisions: Vec<&'batch BooleanArray>,
    extra_decisions: Vec<&'batch BooleanArray>,
}

impl<'batch> FinalColumns<'batch> {
    fn of(batch: &'batch RecordBatch, extra_units: &[ExtraUnit]) -> Result<Self, String> {
        let decision = |number| column(batch, &action_unit_column(number));
        let decisions = ActionUnit::ALL.into_iter().map(|unit| decision(unit.number()));
        let extra_decisions = extra_units.iter().map(|unit| decision(unit.number()));
        Ok(Self {
            affect: AffectColumns::of(batch, "", extra_units)?,
            expression: named_expressions(batch)?,
            decisions: decisions.collect::<Result<_, _>>()?,
            extra_decisions: extra_decisions.collect::<Result<_, _>>()?,
        })
    }

    fn at(&self, at: usize) -> FinalAffect {
        FinalAffect {
            affect: self.affect.at(at),
            expression: self.expression[at],
            action_units: std::array::from_fn(|unit| boolean(self.decisions[unit], at)),
            extra_units: self
                .extra_decisions
                .iter()
                .map(|column| boolean(column, at))
                .collect(),
        }
    }
}

struct FaceColumns<'batch> {
    person: Int32Array,
    detected: &'batch BooleanArray,
    score: &'batch Float32Array,
    bounding_box: [&'batch Float32Array; 4],
    landmarks: &'batch FixedSizeListArray,
    coordinates: &'batch Float32Array,
}

impl<'batch> FaceColumns<'batch> {
    fn of(batch: &'batch RecordBatch) -> Result<Self, String> {
        let landmarks: &FixedSizeListArray = column(batch, "landmarks")?;
        let coordinates = landmarks
            .values()
            .as_any()
            .downcast_ref()
            .ok_or("column `landmarks` is not of floats")?;
        if landmarks.value_length() != super::columns::LANDMARK_COORDINATES {
            return Err(format!(
                "column `landmarks` has {} coordinates",
                landmarks.value_length()
            ));
        }
        Ok(Self {
            person: whole_numbers(batch, "person")?,
            detected: column(batch, "detected")?,
            score: column(batch, "det_score")?,
            bounding_box: [
                column(batch, "box_x1")?,
                column(batch, "box_y1")?,
                column(batch, "box_x2")?,
                column(batch, "box_y2")?,
            ],
            landmarks,
            coordinates,
        })
    }

    fn person_at(&self, at: usize) -> Option<PersonId> {
        let number = self.person.is_valid(at).then(|| self.person.value(at))?;
        u16::try_from(number).ok().map(PersonId)
    }

    fn at(&self, at: usize) -> super::Sighting {
        let [x1, y1, x2, y2] = self.bounding_box;
        let first = self.landmarks.value_offset_at(at);
        let place = (x1.is_valid(at) && self.coordinates.is_valid(first)).then(|| {
            let point = |nth: usize| Point {
                x: self.coordinates.value(first + 2 * nth),
                y: self.coordinates.value(first + 2 * nth + 1),
            };
            let bounding_box = BoundingBox {
                x1: x1.value(at),
                y1: y1.value(at),
                x2: x2.value(at),
                y2: y2.value(at),
            };
            (bounding_box, Landmarks(std::array::from_fn(point)))
        });
        sighting(self.detected.value(at), float(self.score, at), place)
    }
}

/// The columns of quality, which tables of older versions lack.
struct QualityColumns<'batch> {
    /// Roll, pitch, yaw.
    pose: Option<[&'batch Float32Array; 3]>,
    alignment_error: Option<&'batch Float32Array>,
    sharpness: Option<&'batch Float32Array>,
    face_px: Option<&'batch Float32Array>,
    usable: Option<&'batch BooleanArray>,
}

impl<'batch> QualityColumns<'batch> {
    fn of(batch: &'batch RecordBatch) -> Result<Self, String> {
        let pose = match batch.column_by_name("roll") {
            Some(_) => Some([
                column(batch, "roll")?,
                column(batch, "pitch")?,
                column(batch, "yaw")?,
            ]),
            None => None,
        };
        Ok(Self {
            pose,
            alignment_error: known_column(batch, "alignment_error")?,
            sharpness: known_column(batch, "sharpness")?,
            face_px: known_column(batch, "face_px")?,
            usable: known_column(batch, "usable")?,
        })
    }

    fn at(&self, at: usize) -> Option<Quality> {
        let value = |array: Option<&Float32Array>| array.and_then(|array| float(array, at));
        let pose = self.pose.and_then(|[roll, pitch, yaw]| {
            Some(HeadPose {
                roll: float(roll, at)?,
                pitch: float(pitch, at)?,
                yaw: float(yaw, at)?,
            })
        });
        let quality = Quality {
            pose,
            alignment_error: value(self.alignment_error),
            sharpness: value(self.sharpness),
            face_px: value(self.face_px),
        };
        (quality != Quality::default()).then_some(quality)
    }

    fn usable_at(&self, at: usize) -> Option<bool> {
        let usable = self.usable?;
        usable.is_valid(at).then(|| usable.value(at))
    }
}

/// A column; `None` if the table has none of this name.
fn known_column<'batch, A: Array + 'static>(
    batch: &'batch RecordBatch,
    name: &str,
) -> Result<Option<&'batch A>, String> {
    match batch.column_by_name(name) {
        Some(_) => column(batch, name).map(Some),
        None => Ok(None),
    }
}

struct AffectColumns<'batch> {
    valence: &'batch Float32Array,
    arousal: &'batch Float32Array,
    expression: Vec<&'batch Float32Array>,
    action_units: Vec<&'batch Float32Array>,
    extra_units: Vec<&'batch Float32Array>,
}

impl<'batch> AffectColumns<'batch> {
    fn of(batch: &'batch RecordBatch, suffix: &str, extra_units: &[ExtraUnit]) -> Result<Self, String> {
        let expression = Expression::ALL
            .into_iter()
            .map(|expression| column(batch, &format!("{}{suffix}", expression_column(expression))));
        let probability = |number| column(batch, &format!("{}_prob{suffix}", action_unit_column(number)));
        let action_units = ActionUnit::ALL.into_iter().map(|unit| probability(unit.number()));
        let extra_units = extra_units.iter().map(|unit| probability(unit.number()));
        Ok(Self {
            valence: column(batch, &format!("valence{suffix}"))?,
            arousal: column(batch, &format!("arousal{suffix}"))?,
            expression: expression.collect::<Result<_, _>>()?,
            action_units: action_units.collect::<Result<_, _>>()?,
            extra_units: extra_units.collect::<Result<_, _>>()?,
        })
    }

    fn at(&self, at: usize) -> Affect {
        let point = float(self.valence, at).zip(float(self.arousal, at));
        Affect {
            valence_arousal: point.map(|(valence, arousal)| ValenceArousal { valence, arousal }),
            expression: self.expression[0]
                .is_valid(at)
                .then(|| std::array::from_fn(|class| self.expression[class].value(at))),
            action_units: std::array::from_fn(|unit| float(self.action_units[unit], at)),
            extra_units: self.extra_units.iter().map(|column| float(column, at)).collect(),
        }
    }
}
