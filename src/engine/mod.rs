//! The threads of `abaw annotate`: frames of many videos to tables.
//!
//! The only module that starts threads, but for `training`.

mod batcher;
mod ensemble;
mod forward;
mod job;
mod networks;
mod publication;
mod schedule;
mod source;
mod timeline;

pub use ensemble::Ensemble;
pub use networks::{Loaded, Networks, NetworksError, load, versions};
pub use publication::Publication;
pub use schedule::{Crew, Outcome, annotate};
