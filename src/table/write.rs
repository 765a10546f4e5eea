//! Rows to Parquet.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::column_order::mark_type_defined;
use super::columns::{columns, schema};
use super::{FOOTER_KEY, Footer, Row, SECONDS_KEY, StageSeconds, TableError};
use crate::path_error::PathError;
use crate::publish::publish;

/// Rows of a row group at most, so that readers can work in pieces.
const ROW_GROUP_ROWS: usize = 65_536;

/// Writes a video's rows to `path`; the file appears complete or not at all.
///
/// # Errors
/// The file system's, with the path.
pub fn write(
    path: &Path,
    video: &str,
    rows: &[Row],
    footer: &Footer,
    seconds: &StageSeconds,
) -> Result<(), TableError> {
    publish(path, |file| {
        write_to(&mut *file, video, rows, footer, seconds).map_err(|error| match error {
            // The file system's own error, without the wrapping.
            ParquetError::External(error) => io::Error::other(error),
            error => io::Error::other(error),
        })?;
        file.flush()?;
        mark_type_defined(file.get_ref(), schema(&footer.extra_units()).fields().len())
    })
    .map_err(PathError::at(path))?;
    Ok(())
}

fn write_to(
    file: impl io::Write + Send,
    video: &str,
    rows: &[Row],
    footer: &Footer,
    seconds: &StageSeconds,
) -> Result<(), ParquetError> {
    let extra_units = footer.extra_units();
    let schema = Arc::new(schema(&extra_units));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(format!("abaw {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // Measured numbers hardly repeat; names do.
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(ColumnPath::from("video"), true)
        .set_column_dictionary_enabled(ColumnPath::from("expression"), true)
        .build();
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
    for group in rows.chunks(ROW_GROUP_ROWS) {
        let arrays = columns(video, group, &extra_units)
            .into_iter()
            .map(|(_, array)| array)
            .collect();
        writer.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
    }
    writer.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_owned(), json(footer)?));
    writer.append_key_value_metadata(KeyValue::new(SECONDS_KEY.to_owned(), json(seconds)?));
    writer.close()?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, ParquetError> {
    serde_json::to_string(value).map_err(|error| ParquetError::External(error.into()))
}
