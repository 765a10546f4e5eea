//! The threads of `abaw annotate`: frames of many videos to tables.
//!
//! ```text
//! reader       CPU             network     CPU                      CPU        network   CPU
//! decode  ->   prepare a   ->  detect  ->  suppress, track,    ->   batch  ->  infer ->  publish
//! cuts         batch                       align, in order          faces
//! ```
//!
//! `annotate` starts the threads; [`Threads`] tells which there are and what each serves; `queue` lies between
//! them; `cpu` and `network` are what they do.

mod annotate;
mod context;
mod cpu;
mod load;
mod network;
mod publication;
mod queue;
mod slice;
mod source;
mod threads;
mod timeline;
mod video;

pub use annotate::{Outcome, annotate};
pub use context::AnnotateOptions;
pub use load::{Loaded, Networks, NetworksError, load, versions};
pub use publication::Publication;
pub use threads::{Threads, Worker};
