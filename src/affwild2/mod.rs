//!
//! ```text
//! label files, folders -> Labels                                        (label_file, label_folder)
//! ```
//!
//! Every file is read through [`lines`], which forgives what editors and spreadsheets do to text
//! (BOM, CRLF, commas at the end of a line, blank lines at the end of the file) and nothing else.

mod challenge;
mod error;
mod frame_label;
mod image_name;
mod label_file;
mod label_folder;
mod lines;

pub use challenge::Challenge;
pub use error::Error;
pub use frame_label::FrameLabel;
pub use image_name::{ImageName, VideoId, VideoNames};
pub use label_file::{LabelRow, Labels};
