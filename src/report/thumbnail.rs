//! Writes pictures of faces, cut from the videos of a run.

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
use crate::error_chain::sentence;
use crate::face::BoundingBox;
use crate::frame::{FrameIndex, Picture};
use crate::path_error::PathError;
use crate::photograph::Photograph;
use crate::run::{InputKind, Plan, PlannedInput};
use crate::video::{Stills, VideoReader};

/// Width and height of a picture in pixels.
const SIZE: u32 = 128;
/// The side of the square that is cut out, as a multiple of the longer side of the face's box.
const MARGIN: f32 = 1.35;
const JPEG_QUALITY: u8 = 82;

/// The pictures of a video.
pub struct Thumbnails {
    names: Vec<String>,
    /// Why pictures are missing; `None` if all are there.
    pub reason: Option<String>,
}

impl Thumbnails {
    /// Returns whether a highlight has a picture.
    pub fn has(&self, highlight: &Highlight) -> bool {
        self.names.contains(&highlight.picture_name())
    }

    /// Returns the number of files written.
    pub fn written(&self) -> usize {
        self.names.len()
    }
}

/// Cuts the faces of `highlights` out of their video and writes them into `folder`. `by_time`: whether frames can be found by
/// their times; otherwise they are found by counting.
///
/// # Errors
/// Only if a picture cannot be written. If the video cannot be read, the pictures are missing and `reason` is set.
pub fn write(
    plan: &Plan,
    input: &PlannedInput,
    by_time: bool,
    highlights: &[Highlight],
    folder: &Path,
) -> Result<Thumbnails, ReportError> {
    // Each frame is decoded once, however many persons are in it.
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
        .map(|(frame, highlights)| (*frame, highlights[0].time_s.filter(|_| by_time)))
        .collect();
    let read = match input.kind {
        InputKind::Crops => crops(&input.path, &asked, &mut take),
        InputKind::Video => frames(plan, &input.path, &asked, &mut take),
        InputKind::Image => pictures(plan, &input.path, &asked, &mut take),
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

fn pictures(
    plan: &Plan,
    path: &Path,
    asked: &[(FrameIndex, Option<f64>)],
    take: Take,
) -> Result<(), Stopped> {
    let max_pixels = plan.settings.pipeline.video.max_pixels;
    let mut photograph = Photograph::open(path, max_pixels).map_err(Stopped::Reading)?;
    let mut frame = FrameIndex::FIRST;
    while let Some((_, picture)) = photograph.next_picture().map_err(Stopped::Reading)? {
        if asked.iter().any(|(asked, _)| *asked == frame) {
            take(frame, &picture).map_err(Stopped::Report)?;
        }
        frame = frame.next();
    }
    Ok(())
}

fn crops(folder: &Path, asked: &[(FrameIndex, Option<f64>)], take: Take) -> Result<(), Stopped> {
    let reading = |error: crate::crops::CropError| Stopped::Reading(sentence(&error));
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
    let reading = |error: crate::video::VideoError| Stopped::Reading(sentence(&error));
    let settings = &plan.settings.pipeline.video;
    let mut stills = Stills::open(path, settings).map_err(reading)?;
    let mut not_found = Vec::new();
    for &(frame, time_s) in asked {
        // A frame that cannot be found by its time, since the container has no index or no times, is found by
        // counting.
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
    // Moved inside the picture where it crosses the edge.
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
        fs::create_dir_all(folder).map_err(PathError::at(folder))?;
    }
    let file = BufWriter::new(File::create(path).map_err(PathError::at(path))?);
    JpegEncoder::new_with_quality(file, JPEG_QUALITY)
        .write_image(face, SIZE, SIZE, ExtendedColorType::Rgb8)
        .map_err(|source| ReportError::Picture {
            path: path.to_owned(),
            source,
        })
}
