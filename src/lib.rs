//! Annotates faces in video, frame by frame, with valence and arousal, eight expressions and
//! twelve action units, using the multitask DDAMFN network (arXiv 2407.12390).
//!
//! The modules of this crate follow the data:
//!
//! ```text
//! plan -> decode -> detect -> track -> align -> infer -> [raw table] -> fill -> smooth -> threshold -> Parquet -> submissions
//!         video     face      face     face     model                   postprocess                     table      affwild2
//! ```
//!
//! Left of the raw table everything is expensive and runs once; right of it everything is cheap
//! and can be run again with other settings.

pub mod affwild2;
pub mod allocator;
pub mod auto_number;
mod bilinear;
pub mod blend;
pub mod config;
pub mod crops;
pub mod cuda;
pub mod device;
pub mod engine;
pub mod error_chain;
pub mod escape;
pub mod export;
pub mod face;
pub mod finalise;
pub mod frame;
pub mod hash;
#[cfg(test)]
mod imports;
pub mod labels;
pub mod loaded_library;
pub mod metrics;
pub mod model;
pub mod path_error;
pub mod photograph;
pub mod pipelines;
pub mod postprocess;
pub mod publish;
pub mod render;
pub mod report;
pub mod run;
pub mod stop;
pub mod table;
pub mod temporal;
pub mod time_limit;
pub mod training;
pub mod tuning;
pub mod video;
