//! The features of a video's faces, as Parquet: for temporal networks, this program's and others'.

use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeListArray, Float16Array, Int16Array, Int32Array,
    RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Float16Type, Int16Type, Int32Type, Schema};
use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use std::collections::BTreeMap;

use super::column_order::mark_type_defined;
use super::read::not_a_table;
use super::{FOOTER_KEY, TableError, WeightsRecord};
use crate::face::PersonId;
use crate::frame::FrameIndex;
use crate::model::FEATURE;
use crate::path_error::PathError;
use crate::publish::publish;

/// Rows of a row group: 8 MiB.
const ROW_GROUP_ROWS: usize = 8192;

/// The feature of one face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceFeature {
    /// The frame.
    pub frame: FrameIndex,
    /// The person.
    pub person: PersonId,
    /// The embedding of the first network, from which its outputs are computed.
    pub feature: [f16; FEATURE],
}

/// How features were made, as JSON in the footer (key `abaw`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureCard {
    /// Versions of the program and of the libraries that shape the numbers, by name.
    pub versions: BTreeMap<String, String>,
    /// The weights of the detector, then of each network; the features are those of the first network.
    pub weights: Vec<WeightsRecord>,
    /// Device kind, precision and form in which the networks ran.
    pub inference: String,
    /// sha256 of the settings that features depend on.
    pub raw_settings_hash: String,
    /// Size of the input file in bytes.
    pub input_bytes: u64,
}

/// Writes the features of a video's faces to `path`, a few thousand in memory at once; the file appears complete or not at
/// all.
///
/// # Errors
/// The file system's, with the path; those of `features`.
pub fn write_features(
    path: &Path,
    video: &str,
    features: impl Iterator<Item = io::Result<FaceFeature>>,
    card: &FeatureCard,
) -> Result<(), TableError> {
    publish(path, |file| {
        write_to(&mut *file, video, features, card).map_err(io::Error::other)?;
        file.flush()?;
        mark_type_defined(file.get_ref(), schema().fields().len())
    })
    .map_err(PathError::at(path))?;
    Ok(())
}

fn write_to(
    file: impl io::Write + Send,
    video: &str,
    mut features: impl Iterator<Item = io::Result<FaceFeature>>,
    card: &FeatureCard,
) -> Result<(), ParquetError> {
    let schema = Arc::new(schema());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(format!("abaw {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled("video".into(), true)
        .build();
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
    loop {
        let group: io::Result<Vec<FaceFeature>> = features.by_ref().take(ROW_GROUP_ROWS).collect();
        let group = group.map_err(|error| ParquetError::External(error.into()))?;
        if group.is_empty() {
            break;
        }
        writer.write(&RecordBatch::try_new(schema.clone(), columns(video, &group))?)?;
    }
    let card = serde_json::to_string(card).map_err(|error| ParquetError::External(error.into()))?;
    writer.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_owned(), card));
    writer.close()?;
    Ok(())
}

fn schema() -> Schema {
    let name = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Schema::new(vec![
        Field::new("video", name, false),
        Field::new("frame", DataType::Int32, false),
        Field::new("person", DataType::Int16, false),
        Field::new("feature", DataType::FixedSizeList(item(), FEATURE as i32), false),
    ])
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float16, false))
}

fn columns(video: &str, group: &[FaceFeature]) -> Vec<ArrayRef> {
    let keys = Int32Array::from_value(0, group.len());
    let names = Arc::new(StringArray::from(vec![video]));
    let numbers = Float16Array::from_iter_values(group.iter().flat_map(|face| face.feature));
    vec![
        Arc::new(DictionaryArray::<Int32Type>::new(keys, names)),
        Arc::new(Int32Array::from_iter_values(
            group.iter().map(|face| face.frame.number().cast_signed()),
        )),
        Arc::new(Int16Array::from_iter_values(
            group
                .iter()
                .map(|face| i16::try_from(face.person.0).unwrap_or(i16::MAX)),
        )),
        Arc::new(FixedSizeListArray::new(
            item(),
            FEATURE as i32,
            Arc::new(numbers),
            None,
        )),
    ]
}

/// The features of a video's faces in the order of the file, which is that of the table's rows with a face; some hundreds
/// in memory at once.
pub struct FeatureReader {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    batch: Vec<FaceFeature>,
    /// How many of the batch were given.
    given: usize,
}

impl FeatureReader {
    /// Opens what [`write_features`] wrote.
    ///
    /// # Errors
    /// The file system's, or [`TableError::NotATable`] for another file.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(PathError::at(path))?;
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            builder.with_batch_size(512).build()
        }));
        // The Parquet library panics on some damaged files.
        let reader = opened.map_err(|_| not_a_table(path, "it is damaged"))?;
        Ok(Self {
            path: path.to_owned(),
            reader: reader.map_err(|error| not_a_table(path, error))?,
            batch: Vec::new(),
            given: 0,
        })
    }

    fn next_batch(&mut self) -> Option<Result<Vec<FaceFeature>, TableError>> {
        let Ok(next) = catch_unwind(AssertUnwindSafe(|| self.reader.next())) else {
            return Some(Err(not_a_table(&self.path, "it is damaged")));
        };
        let faces = next?.map_err(|error| not_a_table(&self.path, error));
        Some(faces.and_then(|batch| {
            faces_of(&batch).ok_or_else(|| not_a_table(&self.path, "its columns are not those of features"))
        }))
    }
}

impl Iterator for FeatureReader {
    type Item = Result<FaceFeature, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.given == self.batch.len() {
            match self.next_batch()? {
                Ok(batch) => (self.batch, self.given) = (batch, 0),
                Err(error) => return Some(Err(error)),
            }
        }
        self.given += 1;
        Some(Ok(self.batch[self.given - 1].clone()))
    }
}

/// `None` if the columns are of other types, or hold what no video has.
fn faces_of(batch: &RecordBatch) -> Option<Vec<FaceFeature>> {
    let frames = batch.column_by_name("frame")?.as_primitive_opt::<Int32Type>()?;
    let persons = batch.column_by_name("person")?.as_primitive_opt::<Int16Type>()?;
    let features = batch.column_by_name("feature")?.as_fixed_size_list_opt()?;
    let numbers = features.values().as_primitive_opt::<Float16Type>()?;
    let is_whole = [
        frames.null_count(),
        persons.null_count(),
        features.null_count(),
        numbers.null_count(),
    ] == [0; 4];
    if !is_whole || features.value_length() != FEATURE as i32 {
        return None;
    }
    let face = |at: usize| {
        let start = features.value_offset_at(at);
        Some(FaceFeature {
            frame: FrameIndex::new(u32::try_from(frames.value(at)).ok()?)?,
            person: PersonId(u16::try_from(persons.value(at)).ok()?),
            feature: numbers.values().get(start..start + FEATURE)?.try_into().ok()?,
        })
    };
    (0..batch.num_rows()).map(face).collect()
}
