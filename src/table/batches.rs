//! A table in pieces, as it stands in the file, for what needs other columns than [`Row`](super::Row) has.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::read::{footer_in, not_a_table};
use super::{Footer, TableError};
use crate::path_error::PathError;

/// The rows of a table, some thousands at a time.
pub struct TableBatches {
    path: PathBuf,
    footer: Footer,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
}

impl TableBatches {
    /// Opens a table.
    ///
    /// # Errors
    /// The file system's, or [`TableError::NotATable`] for a file that this program did not write.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(PathError::at(path))?;
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let builder =
                ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| not_a_table(path, error))?;
            let (footer, _) = footer_in(path, builder.metadata())?;
            let schema = builder.schema().clone();
            let reader = builder.with_batch_size(8192).build();
            Ok(Self {
                path: path.to_owned(),
                footer,
                schema,
                reader: reader.map_err(|error| not_a_table(path, error))?,
            })
        }));
        // The Parquet library panics on some damaged files.
        opened.unwrap_or_else(|_| Err(not_a_table(path, "it is damaged")))
    }

    /// The footer of the table.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The columns of the table.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for TableBatches {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Ok(next) = catch_unwind(AssertUnwindSafe(|| self.reader.next())) else {
            return Some(Err(not_a_table(&self.path, "it is damaged")));
        };
        next.map(|batch| batch.map_err(|error| not_a_table(&self.path, error)))
    }
}
