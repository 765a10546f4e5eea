//! Pictures of faces, cut from the videos of a run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder, RgbImage};

use super::error::ReportError;
use super::highlights::Highlight;
use crate::crops::{CropFolder, read_crop};
use crate::face::BoundingBox;
use crate::frame::{FrameIndex, Picture};
use crate::run::{InputKind, Plan, PlannedInput};
use crate::video::{Stills, VideoReader};

/// Pixels a side.
const SIZE: u32 = 128;
/// A picture's side, in longer sides of the face's box.
const MARGIN: f32 = 1.35;
const JPEG_QUALITY: u8 = 82;

/// Which pictures there are.
pub struct Thumbnails {
    names: Vec<String>,
    /// Why there are none, or not all.
    pub reason: Option<String>,
}

impl Thumbnails {
    /// Whether a highlight has a picture.
    pub fn has(&self, highlight: &Highlight) -> bool {
        self.names.contains(&highlight.picture_name())
    }

    /// Files written.
    pub fn written(&self) -> usize {
        self.names.len()
    }
}

/// Cuts the faces of `highlights` out of their video and writes them into `folder`.
///
/// # Errors
/// Only if a picture cannot be written. A video that cannot be read has no pictures, for a reason.
pub fn write(
    plan: &Plan,
    input: &PlannedInput,
    highlights: &[Highlight],
    folder: &Path,
) -> Result<Thumbnails, ReportError> {
    // A frame is decoded once, whoever is in it.
    let mut by_frame: BTreeMap<FrameIndex, Vec<&Highlight>> = BTreeMap::new();
    for highlight in highlights {
        by_frame.entry(highlight.frame).or_default().push(highlight);
    }
    let mut names = Vec::new();
    let mut take = |frame: FrameIndex, picture: &Picture| -> Result<(), ReportError> {
        for highlight in by_frame.get(&frame).into_iter().flatten() {
            let name = highlight.picture_name();
            if names.contains(&name) {
                continue;
            }
            if let Some(face) = cut(picture, highlight.face) {
                save(&face, &folder.join(&name))?;
                names.push(name);
            }
        }
        Ok(())
    };
    let asked: Vec<(FrameIndex, Option<f64>)> = by_frame
        .iter()
        .map(|(frame, highlights)| (*frame, highlights[0].time_s))
        .collect();
    let read = match input.kind {
        InputKind::Crops => crops(&input.path, &asked, &mut take),
        InputKind::Video => frames(plan, &input.path, &asked, &mut take),
    };
    let reason = match read {
        Ok(()) if names.len() < by_frame.len() => Some("not all of its frames were found again".to_owned()),
        Ok(()) => None,
        Err(Stopped::Report(error)) => return Err(error),
        Err(Stopped::Reading(reason)) => Some(reason),
    };
    Ok(Thumbnails { names, reason })
}

/// Why reading ended.
enum Stopped {
    Reading(String),
    Report(ReportError),
}

type Take<'a> = &'a mut dyn FnMut(FrameIndex, &Picture) -> Result<(), ReportError>;

fn crops(folder: &Path, asked: &[(FrameIndex, Option<f64>)], take: Take) -> Result<(), Stopped> {
    let reading = |error: crate::crops::CropError| Stopped::Reading(error.to_string());
    let folder = CropFolder::open(folder).map_err(reading)?;
    for (frame, path) in folder.images() {
        if asked.iter().any(|(asked, _)| *asked == frame) {
            let crop = read_crop(path).map_err(reading)?;
            take(frame, &crop).map_err(Stopped::Report)?;
        }
    }
    Ok(())
}

fn frames(plan: &Plan, path: &Path, asked: &[(FrameIndex, Option<f64>)], take: Take) -> Result<(), Stopped> {
    let reading = |error: crate::video::VideoError| Stopped::Reading(error.to_string());
    let settings = &plan.settings.pipeline.video;
    let mut stills = Stills::open(path, settings).map_err(reading)?;
    let mut not_found = Vec::new();
    for &(frame, time_s) in asked {
        // What cannot be found by its time, since the container has no index or no times, is counted to.
        match time_s.map(|time_s| stills.at(time_s)) {
            Some(Ok(Some(picture))) => take(frame, &picture).map_err(Stopped::Report)?,
            _ => not_found.push(frame),
        }
    }
    let Some(last) = not_found.last() else {
        return Ok(());
    };
    let mut reader = VideoReader::open(path, settings).map_err(reading)?;
    while let Some(frame) = reader.next_frame().map_err(reading)? {
        if not_found.contains(&frame.index) {
            take(frame.index, &frame.picture).map_err(Stopped::Report)?;
        }
        if frame.index >= *last {
            break;
        }
    }
    Ok(())
}

/// The square around a face, or around the middle of the picture, at [`SIZE`]; `None` for a box outside of it.
fn cut(picture: &Picture, face: Option<BoundingBox>) -> Option<RgbImage> {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let (centre, side) = match face {
        Some(face) => (face.centre(), (face.x2 - face.x1).max(face.y2 - face.y1) * MARGIN),
        None => {
            let centre = crate::face::Point {
                x: width / 2.0,
                y: height / 2.0,
            };
            (centre, width.min(height))
        }
    };
    let side = side.clamp(1.0, width.min(height));
    // Moved inside where it reaches over the edge.
    let start = |centre: f32, length: f32| (centre - side / 2.0).clamp(0.0, length - side).floor() as u32;
    let (x, y) = (start(centre.x, width), start(centre.y, height));
    let side = side.round() as u32;
    let mut square = RgbImage::new(side, side);
    for (column, row, pixel) in square.enumerate_pixels_mut() {
        let (x, y) = (
            (x + column).min(picture.width() - 1),
            (y + row).min(picture.height() - 1),
        );
        *pixel = image::Rgb(picture.pixel(x, y));
    }
    (side > 0).then(|| imageops::resize(&square, SIZE, SIZE, FilterType::Triangle))
}

fn save(face: &RgbImage, path: &Path) -> Result<(), ReportError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(ReportError::at(folder))?;
    }
    let file = BufWriter::new(File::create(path).map_err(ReportError::at(path))?);
    JpegEncoder::new_with_quality(file, JPEG_QUALITY)
        .write_image(face, SIZE, SIZE, ExtendedColorType::Rgb8)
        .map_err(|error| ReportError::Picture {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}
