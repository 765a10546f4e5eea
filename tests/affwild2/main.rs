//! The challenge: annotation files, scores, tuning, submissions, and the way from a run to a submission.

#![allow(clippy::unwrap_used)]

mod annotation_files;
mod challenge;
mod metrics;
mod submission;
#[path = "../support/mod.rs"]
mod support;
mod tuning;

use std::path::PathBuf;

/// A file in one of the challenge's formats.
fn annotation_file(name: &str) -> PathBuf {
    support::golden("annotation_formats").join(name)
}
