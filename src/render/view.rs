//! What is rendered, how, and what came of it.

use std::path::Path;

use crate::face::AlignmentSettings;
use crate::table::{Footer, Row};

/// What a film shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// The video with everything drawn over it; with every face made unrecognisable or not.
    Overlay { blur: bool },
    /// The subject's aligned face.
    Aligned(AlignmentSettings),
}

/// A video and its table.
#[derive(Debug, Clone, Copy)]
pub struct Annotated<'a> {
    pub path: &'a Path,
    /// In the order of the table.
    pub rows: &'a [Row],
    pub footer: &'a Footer,
    /// Whether the networks were untrained, which the film then says.
    pub untrained: bool,
}

/// A film that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub frames: u32,
    pub width: u32,
    pub height: u32,
    /// What a person should know of it.
    pub warning: Option<String>,
}
