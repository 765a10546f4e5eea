//! Draws each frame of a video and adds it to the film.

use std::fs::File;

use super::aligned;
use super::blur::{Hidden, blur};
use super::canvas::Canvas;
use super::error::RenderError;
use super::film::{Film, FilmForm};
use super::overlay::{Banner, Overlay, scaled};
use super::view::{Annotated, Rendered, View};
use crate::face::AlignmentSettings;
use crate::frame::Picture;
use crate::table::Row;
use crate::video::{ClockSegment, Frame, SoundReader, StreamFacts};

/// Least pixels of a film's shorter side; smaller videos are enlarged by a whole factor, so that text fits.
const LEAST_SIDE: u32 = 360;

/// A film that is being drawn.
pub struct Drawing {
    canvas: Canvas,
    film: Film,
    scene: Scene,
    /// Drawn if a network was untrained.
    banner: Option<Banner>,
    /// The size that the film was made for.
    first_size: (u32, u32),
    /// What the video's clock shows where the film begins.
    start_s: Option<f64>,
    rate: f64,
    frames: u32,
}

enum Scene {
    Overlay {
        overlay: Overlay,
        hidden: Hidden,
        scale: f32,
    },
    Aligned(AlignmentSettings),
}

impl Drawing {
    /// Begins a film in an empty file. `first`: the video's first frame.
    pub fn begin(
        video: &Annotated,
        view: View,
        facts: &StreamFacts,
        first: &Picture,
        threads: usize,
        file: &File,
        sound: Option<SoundReader>,
    ) -> Result<Self, RenderError> {
        let shorter = first.width().min(first.height()).max(1);
        let scale = LEAST_SIDE.div_ceil(shorter).max(1);
        let (width, height) = match view {
            View::Overlay { .. } => (first.width() * scale, first.height() * scale),
            View::Aligned(_) => aligned::size(),
        };
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let mut canvas = Canvas::new(width, height)?;
        let banner = video.untrained.then(|| Banner::new(&mut canvas));
        let form = FilmForm {
            width,
            height,
            rate: facts.fps,
            start_s: facts.start_s,
            matrix: facts.colour.map(|colour| colour.matrix),
            threads,
        };
        let scale = scale as f32;
        let scene = match view {
            View::Overlay { blur } => Scene::Overlay {
                overlay: Overlay::new(width, height, banner.map_or(0.0, Banner::height)),
                hidden: match blur {
                    true => Hidden::new(video.rows, &video.footer.cuts, form.rate()),
                    false => Hidden::default(),
                },
                scale,
            },
            View::Aligned(settings) => Scene::Aligned(settings),
        };
        Ok(Self {
            canvas,
            film: Film::begin(file, form, sound)?,
            scene,
            banner,
            first_size: (first.width(), first.height()),
            start_s: facts.start_s,
            rate: form.rate(),
            frames: 0,
        })
    }

    /// Draws a frame and its rows. `segments`: of the video's clock so far.
    pub fn draw(
        &mut self,
        frame: &Frame,
        rows: &[Row],
        segments: &[ClockSegment],
    ) -> Result<(), RenderError> {
        let time_s = match frame.time_s {
            Some(time_s) => time_s - *self.start_s.get_or_insert(time_s),
            None => f64::from(self.frames) / self.rate,
        };
        self.frames += 1;
        let canvas = &mut self.canvas;
        match &mut self.scene {
            Scene::Overlay {
                overlay,
                hidden,
                scale,
            } => {
                // A frame of another size than the first has its own scale, so that all of it is seen.
                let (width, height) = self.first_size;
                let shrink = |side: u32, own: u32| side as f32 / own.max(1) as f32;
                let fit = shrink(width, frame.picture.width()).min(shrink(height, frame.picture.height()));
                let scale = *scale * fit;
                canvas.lay(&frame.picture, scale);
                for face_box in hidden.boxes(frame.index.number()) {
                    blur(canvas, scaled(face_box, scale));
                }
                overlay.draw(canvas, rows, scale, time_s);
            }
            Scene::Aligned(settings) => aligned::draw(canvas, &frame.picture, rows, settings, time_s),
        }
        if let Some(banner) = self.banner {
            banner.draw(canvas);
        }
        self.film.push(self.canvas.rgba(), frame.time_s, segments)
    }

    /// Ends the film. `whole`: it shows the original to its end.
    pub fn finish(self, frames: u32, whole: bool) -> Result<Rendered, RenderError> {
        let (width, height) = (self.canvas.width(), self.canvas.height());
        Ok(Rendered {
            frames,
            width,
            height,
            warning: self.film.finish(whole)?,
        })
    }
}
