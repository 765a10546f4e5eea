//! Finished runs: final columns from raw ones, runs blended, the subject of a video, scores beside labels.

mod evaluation;
mod postprocess_run;
mod postprocessor;
mod run_blend;
mod subject;

pub use evaluation::{Evaluation, ScoredVideo, evaluate, labelled_videos};
pub use postprocess_run::{PostprocessRunError, PostprocessSummary, postprocess_run, postprocess_table};
pub use postprocessor::{Postprocessor, PostprocessorError};
pub use run_blend::{BlendError, Blended, record_contents};
pub use subject::{SubjectError, SubjectReader, SubjectTable};
