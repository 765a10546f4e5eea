//! Finished runs: final columns from raw ones, runs blended, the subject of a video, scores beside labels.

mod evaluation;
mod label_rate;
mod person_summary;
mod postprocess_run;
mod postprocessor;
mod run_blend;
mod subject;
mod temporal_outputs;

pub use evaluation::{Evaluation, LabelledFrames, ScoredVideo, VideosToTune, evaluate, labelled_videos};
pub use label_rate::{LabelNotes, LabelRateError, match_labels};
pub use person_summary::{Bout, PersonSummary, Spread, summarise_persons};
pub use postprocess_run::{PostprocessRunError, PostprocessSummary, postprocess_run, postprocess_table};
pub use postprocessor::{Postprocessor, PostprocessorError, record_contents};
pub use run_blend::{BlendError, Blended};
pub use subject::{SubjectError, SubjectReader, SubjectTable};
pub use temporal_outputs::{TemporalError, for_each_face};
