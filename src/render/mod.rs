//! Renders a video with its annotations drawn over it.
//!
//! ```text
//! video/ -> frame k + rows of frame k -> blur -> overlay (faces, card) or aligned crop -> film (H.264, audio)
//! ```
//!
//! Frames come from the same reader as in annotation, so the k-th frame is frame k of the table, upright.

mod aligned;
mod audio_track;
mod blur;
mod canvas;
mod drawing;
mod error;
mod film;
mod font;
#[cfg(test)]
mod golden;
mod overlay;
mod person_card;
mod recoder;
mod view;

pub use error::RenderError;
pub use film::encoder_name;
pub use view::{Annotated, Rendered, View};

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::Path;

use drawing::Drawing;

use crate::publish::publish;
use crate::video::{SoundReader, VideoReader, VideoSettings};

/// Renders a video into an MP4 file, which appears complete or not at all. `threads`: threads that encode. `on_frame` gets
/// the number of each frame once it is drawn, and may stop the work.
///
/// # Errors
/// [`RenderError`]; then nothing has changed at `out`.
pub fn render(
    video: Annotated,
    view: View,
    settings: &VideoSettings,
    threads: usize,
    out: &Path,
    on_frame: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<Rendered, RenderError> {
    let mut rendered = None;
    publish(out, |file: &mut BufWriter<&File>| {
        let mut reader = VideoReader::open(video.path, settings)?;
        let mut drawing: Option<Drawing> = None;
        let mut frames = 0;
        for rows in video.rows.chunk_by(|a, b| a.frame == b.frame) {
            let Some(frame) = reader.next_frame()? else {
                return Err(other_video(&video, frames));
            };
            let drawing = match &mut drawing {
                Some(drawing) => drawing,
                None => {
                    let sound = SoundReader::open(video.path, settings)?;
                    let facts = reader.facts();
                    let begun = Drawing::begin(
                        &video,
                        view,
                        facts,
                        &frame.picture,
                        threads,
                        file.get_ref(),
                        sound,
                    )?;
                    drawing.insert(begun)
                }
            };
            drawing.draw(&frame, rows, reader.clock_segments())?;
            frames += 1;
            if on_frame(frames).is_break() {
                return Err(RenderError::Stopped);
            }
        }
        let drawing = drawing.ok_or_else(|| other_video(&video, 0))?;
        // The table may end before the video (--limit-frames); then the rest of the sound is left out.
        let whole = reader.next_frame()?.is_none();
        rendered = Some(drawing.finish(frames, whole)?);
        Ok(())
    })
    .map_err(|error: RenderError| error.at(out))?;
    rendered.ok_or_else(|| other_video(&video, 0))
}

fn other_video(video: &Annotated, frames: u32) -> RenderError {
    RenderError::OtherVideo {
        path: video.path.to_owned(),
        frames,
        rows: video.rows.last().map_or(0, |row| row.frame.number()),
    }
}
