//! The input, form and result of rendering.

use std::path::Path;

use crate::face::AlignmentSettings;
use crate::table::{Footer, Row};

/// What the rendered video shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// The video with its annotations drawn over it.
    Overlay {
        /// Whether all faces are made unrecognisable.
        blur: bool,
    },
    /// The subject's aligned face.
    Aligned(AlignmentSettings),
}

/// A video and its table.
#[derive(Debug, Clone, Copy)]
pub struct Annotated<'a> {
    /// The video file.
    pub path: &'a Path,
    /// The rows, in the order of the table.
    pub rows: &'a [Row],
    /// The footer of the table.
    pub footer: &'a Footer,
    /// Whether a network was untrained; then a banner warns of it.
    pub untrained: bool,
}

/// The video that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Number of frames.
    pub frames: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// A warning for the user, such as missing sound.
    pub warning: Option<String>,
}
