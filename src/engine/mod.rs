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
mod feature_store;
mod load;
mod looks;
mod network;
mod networks;
mod portraits;
mod prepared;
mod publication;
mod queue;
mod reading;
mod slice;
mod source;
mod stand_in;
mod threads;
mod timeline;
mod video;

pub use annotate::{Outcome, annotate};
pub use context::AnnotateOptions;
pub use load::{Loaded, NetworksError, load, prepare, versions};
pub use networks::Networks;
pub use publication::Publication;
pub use stand_in::{PassTimes, StandIn};
pub use threads::{Threads, Worker};
