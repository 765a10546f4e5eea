//! Where frames come from: a video file, or a folder of aligned crops.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::event::Event;
use super::input::{InputKind, absence};
use super::job::{SourceReport, VideoJob};
use super::plan::PlannedInput;
use super::run_folder::Stage;
use super::schedule::{Clip, Floor, caught};
use crate::face::crop_folder::{CropFolder, read_crop};
use crate::model::AlignedFace;
use crate::video::{Frame, VideoError, VideoReader};

/// Reads one input to its end, into the engine.
pub(super) fn feed(floor: &Floor, input: &PlannedInput) {
    match input.kind {
        InputKind::Video => feed_video(floor, input),
        InputKind::Crops => feed_crops(floor, input),
    }
}

fn feed_video(floor: &Floor, input: &PlannedInput) {
    let opened = caught(|| open(&input.path, floor)).flatten();
    let frame_rate = opened.as_ref().ok().and_then(|reader| reader.facts().fps);
    let video = VideoJob::new(input.clone(), Arc::clone(&floor.pipeline), frame_rate);
    match opened {
        Err(reason) => video.fail(Stage::Decode, reason),
        Ok(mut reader) => {
            floor.tell(Event::Started {
                id: input.id.clone(),
                expected_frames: reader.facts().expected_frames(),
            });
            floor.guard(&video, Stage::Decode, || {
                read_clips(floor, &video, &mut reader).map_err(|error| error.to_string())
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

fn read_clips(floor: &Floor, video: &Arc<VideoJob>, reader: &mut VideoReader) -> Result<(), VideoError> {
    let mut number = 0;
    let mut left = floor.limit_frames.unwrap_or(u32::MAX);
    loop {
        let Some(place) = floor.place() else {
            return Ok(());
        };
        if video.has_failed() {
            return Ok(());
        }
        let size = floor.pipeline.detector.batch.min(left as usize);
        let frames = video.clock.time(Stage::Decode, || read_clip(reader, size))?;
        if frames.is_empty() {
            break;
        }
        left -= frames.len() as u32;
        floor.send_clip(Clip {
            video: Arc::clone(video),
            number,
            frames,
            place,
        });
        number += 1;
    }
    floor.send_batches(video.source_ended(number, report(reader)));
    Ok(())
}

fn report(reader: &VideoReader) -> SourceReport {
    let damage = reader.damage();
    let mut facts = json!(reader.facts());
    facts["damage"] = json!(damage);
    SourceReport {
        facts,
        damage: damage.any().then(|| damage.to_string()),
    }
}

fn read_clip(reader: &mut VideoReader, size: usize) -> Result<Vec<Frame>, VideoError> {
    let mut frames = Vec::with_capacity(size);
    while frames.len() < size {
        match reader.next_frame()? {
            Some(frame) => frames.push(frame),
            None => break,
        }
    }
    Ok(frames)
}

fn feed_crops(floor: &Floor, input: &PlannedInput) {
    let video = VideoJob::new(input.clone(), Arc::clone(&floor.pipeline), None);
    match CropFolder::open(&input.path) {
        Err(error) => video.fail(Stage::Decode, error),
        Ok(folder) => {
            floor.tell(Event::Started {
                id: input.id.clone(),
                expected_frames: Some(folder.images().len() as u64),
            });
            floor.guard(&video, Stage::Decode, || read_crops(floor, &video, &folder));
        }
    }
    floor.settle(&video);
}

fn read_crops(floor: &Floor, video: &Arc<VideoJob>, folder: &CropFolder) -> Result<(), String> {
    let limit = floor.limit_frames.unwrap_or(u32::MAX) as usize;
    let images: Vec<_> = folder.images().take(limit).collect();
    let mut unreadable = Vec::new();
    for some in images.chunks(floor.pipeline.model.batch) {
        let Some(place) = floor.place() else {
            return Ok(());
        };
        if video.has_failed() {
            return Ok(());
        }
        let mut crops = Vec::with_capacity(some.len());
        for &(frame, path) in some {
            let crop = video.clock.time(Stage::Decode, || read_crop(path));
            if let Err(error) = &crop {
                unreadable.push(error.to_string());
            }
            let face = crop
                .ok()
                .map(AlignedFace::new)
                .transpose()
                .map_err(|error| error.to_string())?;
            crops.push((frame, face));
        }
        floor.send_batches(video.crops_read(crops, place));
        floor.tell_frames(some.len());
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
    floor.send_batches(video.source_ended(0, SourceReport { facts, damage }));
    Ok(())
}
