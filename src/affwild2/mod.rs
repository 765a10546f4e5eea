//! The text formats of the ABAW challenges: label files, frame lists, submissions.
//!
//! ```text
//! label files, folders -> Labels                                        (label_file, label_folder, labels)
//! template, name list  -> FrameList, VideoList                          (frame_list, video_list)
//! FrameLabels of a video -> label files                                 (label_writer)
//! VideoPredictions     -> an Answer a listed frame -> submission file   (video_predictions, answer, submission)
//! ```
//!
//! Every file is read through `lines`, which forgives what editors and spreadsheets do to text
//! (BOM, CRLF, commas at the end of a line, blank lines at the end of the file) and nothing else.

mod answer;
mod challenge;
mod compound_expression;
mod error;
mod frame_label;
mod frame_list;
mod image_name;
mod label_file;
mod label_folder;
mod label_writer;
mod labels;
mod lines;
mod mismatch;
mod submission;
mod video_list;
mod video_predictions;

pub use challenge::Challenge;
pub use compound_expression::CompoundExpression;
pub use error::Error;
pub use frame_label::FrameLabel;
pub use frame_list::{FrameList, ListedFrame};
pub use image_name::{ImageName, VideoId, VideoNames};
pub use label_file::LabelRow;
pub use label_writer::write_video_labels;
pub use labels::Labels;
pub use submission::{IfMissing, SubmissionSummary, write_submission, write_video_files};
pub use video_list::VideoList;
pub use video_predictions::{Answers, FrameAnswer, FramePrediction, Origin, VideoPredictions};
