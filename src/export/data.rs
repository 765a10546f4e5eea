//! Writes tables for other programs as they stand: CSV, or one Parquet file for all videos. Holds some thousand rows at a
//! time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::error::ExportError;
use crate::publish::publish;
use crate::run::{RunReader, RunReaderError, VideoId};
use crate::table::{FOOTER_KEY, TableBatches, mark_type_defined};

/// Rows of a row group of a merged file at most.
const ROW_GROUP_ROWS: usize = 65_536;

/// A format that holds the tables as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// CSV: one file for all videos, or a folder with a file for each.
    Csv,
    /// One Parquet file for all videos.
    Parquet,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataWritten {
    /// Files.
    pub files: u64,
    /// Videos.
    pub videos: u64,
    /// Rows.
    pub rows: u64,
}

/// Why no data was written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A table cannot be read.
    #[error(transparent)]
    Run(#[from] RunReaderError),
    /// The file system's.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A column that no table has.
    #[error("no column `{name}`; the tables have {known}")]
    NoColumn {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// No video has a table.
    #[error("no video has a table")]
    NoTable,
}

/// Writes the tables of videos to `out`: to that file if its name has the format's extension, else, as CSV, to a folder.
/// `columns`: those to write, in this order; none: all.
///
/// # Errors
/// [`DataError`]; then nothing is written under the name of the file that failed.
pub fn write_data(
    run: &RunReader,
    ids: &[VideoId],
    format: DataFormat,
    columns: &[String],
    out: &Path,
) -> Result<DataWritten, DataError> {
    let first = ids.first().ok_or(DataError::NoTable)?;
    let schema = selected(run.batches(first)?.schema(), columns)?;
    let is_file = |extension: &str| {
        out.extension()
            .is_some_and(|found| found.eq_ignore_ascii_case(extension))
    };
    if format == DataFormat::Parquet {
        return one_file(out, run, ids, |file, tables| {
            let rows = write_parquet(file, &schema, tables)?;
            file.flush()?;
            mark_type_defined(file.get_ref(), schema.fields().len())?;
            Ok(rows)
        });
    }
    if is_file("csv") {
        return one_file(out, run, ids, |file, tables| write_csv(file, &schema, tables));
    }
    let mut written = DataWritten::default();
    for id in ids {
        let path: PathBuf = out.join(format!("{id}.csv"));
        let one = one_file(&path, run, std::slice::from_ref(id), |file, tables| {
            write_csv(file, &schema, tables)
        })?;
        written.files += one.files;
        written.videos += one.videos;
        written.rows += one.rows;
    }
    Ok(written)
}

/// The tables of videos, one after the other.
type Tables<'a> = &'a mut dyn Iterator<Item = Result<TableBatches, RunReaderError>>;

fn one_file(
    path: &Path,
    run: &RunReader,
    ids: &[VideoId],
    write: impl FnOnce(&mut BufWriter<&File>, Tables) -> io::Result<u64>,
) -> Result<DataWritten, DataError> {
    let mut rows = 0;
    publish(path, |file| {
        rows = write(file, &mut ids.iter().map(|id| run.batches(id)))?;
        io::Result::Ok(())
    })
    .map_err(ExportError::file(path))?;
    Ok(DataWritten {
        files: 1,
        videos: ids.len() as u64,
        rows,
    })
}

/// The columns of a table that are asked for.
fn selected(schema: &SchemaRef, columns: &[String]) -> Result<SchemaRef, DataError> {
    if columns.is_empty() {
        return Ok(Arc::clone(schema));
    }
    let fields = columns.iter().map(|name| {
        schema
            .field_with_name(name)
            .cloned()
            .map_err(|_| DataError::NoColumn {
                name: name.clone(),
                known: schema
                    .fields()
                    .iter()
                    .map(|field| field.name().as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<Field>, _>>()?)))
}

/// The columns of a batch in the order and types of a schema; one that the batch lacks is null.
fn arrays(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<ArrayRef>, ArrowError> {
    let fields = schema.fields().iter();
    let arrays = fields.map(|field| match batch.column_by_name(field.name()) {
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
        Some(array) => cast(array, field.data_type()),
    });
    arrays.collect()
}

fn write_csv(file: &mut BufWriter<&File>, schema: &SchemaRef, tables: Tables) -> io::Result<u64> {
    let mut csv = csv::Writer::from_writer(file);
    csv.write_record(schema.fields().iter().flat_map(|field| flat_names(field)))?;
    let mut rows = 0;
    for table in tables {
        for batch in table.map_err(io::Error::other)? {
            let batch = batch.map_err(io::Error::other)?;
            let arrays = arrays(&batch, schema).map_err(io::Error::other)?;
            let flat: Vec<ArrayRef> = arrays.iter().flat_map(flat_arrays).collect();
            let options = FormatOptions::default().with_null("");
            let formatters = flat
                .iter()
                .map(|array| ArrayFormatter::try_new(array.as_ref(), &options));
            let formatters: Vec<ArrayFormatter> =
                formatters.collect::<Result<_, _>>().map_err(io::Error::other)?;
            for at in 0..batch.num_rows() {
                csv.write_record(formatters.iter().map(|formatter| formatter.value(at).to_string()))?;
            }
            rows += batch.num_rows() as u64;
        }
    }
    csv.flush()?;
    Ok(rows)
}

/// The names of the CSV columns of a field: a list of numbers has one for each, `landmarks_0` to `landmarks_9`.
fn flat_names(field: &Field) -> Vec<String> {
    match field.data_type() {
        DataType::FixedSizeList(_, length) => (0..*length)
            .map(|nth| format!("{}_{nth}", field.name()))
            .collect(),
        _ => vec![field.name().clone()],
    }
}

fn flat_arrays(array: &ArrayRef) -> Vec<ArrayRef> {
    let Some(list) = array.as_fixed_size_list_opt() else {
        return vec![Arc::clone(array)];
    };
    let length = list.value_length();
    let values = list.values();
    let column = |nth: usize| {
        let indices = (0..list.len()).map(|row| {
            let index = (list.value_offset_at(row) + nth) as i64;
            list.is_valid(row).then_some(index)
        });
        let indices = arrow::array::Int64Array::from_iter(indices);
        // Indices of the list itself are always inside its values.
        arrow::compute::take(values, &indices, None)
            .unwrap_or_else(|_| new_null_array(values.data_type(), list.len()))
    };
    (0..length.unsigned_abs() as usize).map(column).collect()
}

fn write_parquet(file: &mut BufWriter<&File>, schema: &SchemaRef, tables: Tables) -> io::Result<u64> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(format!("abaw {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(io::Error::other)?;
    let (mut rows, mut videos, mut footer) = (0, 0, None);
    for table in tables {
        let table = table.map_err(io::Error::other)?;
        videos += 1;
        footer.get_or_insert_with(|| table.footer().clone());
        for batch in table {
            let batch = batch.map_err(io::Error::other)?;
            let arrays = arrays(&batch, schema).map_err(io::Error::other)?;
            let batch = RecordBatch::try_new(Arc::clone(schema), arrays).map_err(io::Error::other)?;
            writer.write(&batch).map_err(io::Error::other)?;
            rows += batch.num_rows() as u64;
        }
    }
    if let Some(footer) = footer {
        // What all videos of a run have in common.
        let common = serde_json::json!({
            "versions": footer.versions,
            "settings": footer.settings,
            "settings_hash": footer.settings_hash,
            "weights": footer.weights,
            "inference": footer.inference,
            "postprocess": footer.postprocess,
            "videos": videos,
        });
        writer.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_owned(), common.to_string()));
    }
    writer.close().map_err(io::Error::other)?;
    Ok(rows)
}
