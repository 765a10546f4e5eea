//! Makes Parquet files readable for programs that do not know the newest column order.
//!
//! The Parquet library marks columns of floats as ordered by IEEE 754's total order, which is new: polars up to 1.40 refuses
//! a file with that mark. For numbers without NaN the order that every reader knows is the same, so the mark is replaced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The order that the type defines, and the total order, as elements of the footer's last list: field 1 or 2 of a union, an
/// empty struct (Thrift's compact protocol, `parquet.thrift` of Apache Parquet).
const TYPE_DEFINED: [u8; 3] = [0x1c, 0, 0];
const TOTAL: [u8; 3] = [0x2c, 0, 0];

/// Marks all columns of a finished file as ordered as their type defines. The footer keeps its length.
///
/// # Errors
/// The file system's; a footer that does not end in the orders of `columns` columns.
pub fn mark_type_defined(file: &File, columns: usize) -> io::Result<()> {
    let end = file.metadata()?.len();
    let unexpected = || io::Error::other("the footer of the table is not as expected");
    // The footer, its length in 4 bytes, `PAR1`. The footer ends in the list and a byte that ends the struct.
    let mut length = [0; 4];
    file.read_exact_at(&mut length, end.checked_sub(8).ok_or_else(unexpected)?)?;
    let last = end - 8;
    let bytes = (columns * TOTAL.len()) as u64 + 1;
    if bytes > u64::from(u32::from_le_bytes(length)) || bytes > last {
        return Err(unexpected());
    }
    let mut orders = vec![0; bytes as usize];
    file.read_exact_at(&mut orders, last - bytes)?;
    let (elements, stop) = orders.split_at_mut(columns * TOTAL.len());
    for element in elements.chunks_exact_mut(TOTAL.len()) {
        match <[u8; 3]>::try_from(&*element) {
            Ok(TYPE_DEFINED) => {}
            Ok(TOTAL) => element.copy_from_slice(&TYPE_DEFINED),
            _ => return Err(unexpected()),
        }
    }
    if *stop != [0] {
        return Err(unexpected());
    }
    file.write_all_at(&orders, last - bytes)
}
