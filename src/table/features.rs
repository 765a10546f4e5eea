//! The features of a video's faces, as Parquet: for those who train models over time on them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Float16Array, Int16Array, Int32Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use std::collections::BTreeMap;

use super::column_order::mark_type_defined;
use super::{FOOTER_KEY, TableError, WeightsRecord};
use crate::face::PersonId;
use crate::face::identity::FEATURE;
use crate::frame::FrameIndex;
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
