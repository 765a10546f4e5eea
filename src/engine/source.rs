//! Where frames come from: a video file, or a folder of aligned crops.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::batcher::{ReadFrame, Reader};
use super::job::{SourceReport, VideoJob};
use super::schedule::{Floor, caught};
use crate::face::crop_folder::{CropFolder, read_crop};
use crate::model::AlignedFace;
use crate::run::{Event, InputKind, PlannedInput, Stage, absence};
use crate::video::{VideoError, VideoReader};

/// Reads one input to its end, into the engine.
pub(super) fn read(floor: &Floor, reader: &Reader, input: &PlannedInput) {
    match input.kind {
        InputKind::Video => read_video(floor, reader, input),
        InputKind::Crops => read_crop_folder(floor, reader, input),
    }
}

fn read_video(floor: &Floor, reader: &Reader, input: &PlannedInput) {
    let opened = caught(|| open(&input.path, floor)).flatten();
    let frame_rate = opened.as_ref().ok().and_then(|reader| reader.facts().fps);
    let video = VideoJob::new(input.clone(), Arc::clone(&floor.pipeline), frame_rate);
    match opened {
        Err(reason) => video.fail(Stage::Decode, reason),
        Ok(mut file) => {
            floor.tell(Event::Started {
                id: input.id.clone(),
                expected_frames: file.facts().expected_frames(),
            });
            floor.guard(&video, Stage::Decode, || {
                read_frames(floor, reader, &video, &mut file).map_err(|error| error.to_string())
            });
        }
    }
    floor.settle(&video);
}

fn open(path: &Path, floor: &Floor) -> Result<VideoReader, String> {
    if path.is_dir() {
        return Err(absence(path, InputKind::Video));
    }
    VideoReader::open(path, &floor.pipeline.video).map_err(|error| error.to_string())
}

fn read_frames(
    floor: &Floor,
    reader: &Reader,
    video: &Arc<VideoJob>,
    file: &mut VideoReader,
) -> Result<(), VideoError> {
    let detector = &floor.pipeline.detector;
    let mut frames = 0;
    while frames < floor.limit_frames.unwrap_or(u32::MAX) {
        let Some(place) = reader.frame_place() else {
            return Ok(());
        };
        if video.has_failed() {
            return Ok(());
        }
        let Some(frame) = video.clock.time(Stage::Decode, || file.next_frame())? else {
            break;
        };
        frames += 1;
        let input = detector.input_of(frame.index, &frame.picture);
        let video = Arc::clone(video);
        reader.put_frame(ReadFrame { video, frame, place }, input);
    }
    video.source_ended(frames, report(file));
    Ok(())
}

fn report(file: &VideoReader) -> SourceReport {
    let damage = file.damage();
    let mut facts = json!(file.facts());
    facts["damage"] = json!(damage);
    SourceReport {
        facts,
        damage: damage.any().then(|| damage.to_string()),
    }
}

fn read_crop_folder(floor: &Floor, reader: &Reader, input: &PlannedInput) {
    let video = VideoJob::new(input.clone(), Arc::clone(&floor.pipeline), None);
    match CropFolder::open(&input.path) {
        Err(error) => video.fail(Stage::Decode, error),
        Ok(folder) => {
            floor.tell(Event::Started {
                id: input.id.clone(),
                expected_frames: Some(folder.images().len() as u64),
            });
            floor.guard(&video, Stage::Decode, || {
                read_crops(floor, reader, &video, &folder)
            });
        }
    }
    floor.settle(&video);
}

fn read_crops(
    floor: &Floor,
    reader: &Reader,
    video: &Arc<VideoJob>,
    folder: &CropFolder,
) -> Result<(), String> {
    let limit = floor.limit_frames.unwrap_or(u32::MAX) as usize;
    let images: Vec<_> = folder.images().take(limit).collect();
    let mut unreadable = Vec::new();
    for &(frame, path) in &images {
        let Some(place) = reader.crop_place() else {
            return Ok(());
        };
        if video.has_failed() {
            return Ok(());
        }
        let crop = video.clock.time(Stage::Decode, || read_crop(path));
        if let Err(error) = &crop {
            unreadable.push(error.to_string());
        }
        let crop = crop
            .ok()
            .map(AlignedFace::new)
            .transpose()
            .map_err(|error| error.to_string())?;
        if let Some(face) = video.crop_read(frame, crop, place) {
            floor.put_crop(face);
        }
        floor.tell_frames(1);
    }
    let damage = unreadable.first().map(|first| {
        let (bad, all) = (unreadable.len(), images.len());
        format!("{bad} of {all} images unreadable, the first: {first}")
    });
    if let (Some(damage), true) = (&damage, unreadable.len() == images.len()) {
        return Err(damage.clone());
    }
    let facts = json!({
        "images": images.len(),
        "unnumbered_images": folder.unnumbered(),
        "damage": { "unreadable_images": unreadable },
    });
    video.source_ended(0, SourceReport { facts, damage });
    Ok(())
}
