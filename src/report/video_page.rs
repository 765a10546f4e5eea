//! A video's page, whose timeline is drawn by `assets/timeline.js`.

use std::path::PathBuf;

use askama::Template;

use super::folder::slug;
use super::numbers::{count, duration, percent, score};
use super::tracks::Tracks;
use super::video_entry::VideoEntry;
use crate::run::{RunSummary, Status, VideoSummary};
use crate::table::Footer;

/// The page.
#[derive(Template)]
#[template(path = "video.html")]
pub struct VideoPage<'a> {
    /// The video.
    pub entry: &'a VideoEntry,
    /// The footer of its table.
    pub footer: &'a Footer,
    /// Its rows by person.
    pub tracks: &'a Tracks,
    /// The pages before and after.
    pub neighbours: Neighbours,
    /// Why pictures are missing.
    pub no_pictures: Option<&'a str>,
    /// Whether the report has its overlay.
    pub overlay: bool,
    /// The path of the overlay in the run, which need not exist.
    pub overlay_path: PathBuf,
    /// Whether a network was untrained.
    pub untrained: bool,
}

/// The videos before and after one in the run that have a page: slug and name.
pub struct Neighbours {
    /// The video before.
    pub before: Option<(String, String)>,
    /// The video after.
    pub after: Option<(String, String)>,
}

impl Neighbours {
    /// Finds the neighbours of the video at a position of the summary.
    pub fn of(summary: &RunSummary, at: usize) -> Self {
        let link = |video: &VideoSummary| (slug(&video.id), video.id.to_string());
        let done = |video: &&VideoSummary| video.status == Status::Done;
        Self {
            before: summary.videos[..at].iter().rev().find(done).map(link),
            after: summary.videos[at + 1..].iter().find(done).map(link),
        }
    }
}

impl VideoPage<'_> {
    /// Returns names and values of the properties of the video.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let Some(facts) = &self.entry.facts else {
            return Vec::new();
        };
        let counts = self.footer.counts;
        let mut properties = vec![("Frames", count(counts.frames))];
        if let Some(seconds) = facts.seconds {
            properties.push(("Length", duration(seconds)));
        }
        if let Some((width, height)) = facts.size {
            let fps = facts
                .fps
                .map(|fps| format!(", {} fps", (fps * 100.0).round() / 100.0));
            properties.push((
                "Picture",
                format!("{width} \u{d7} {height}{}", fps.unwrap_or_default()),
            ));
        }
        properties.push(("With a face", percent(counts.frames_with_face, counts.frames)));
        if let Some(usable) = facts.usable {
            properties.push(("Usable looks", percent(usable, facts.seen)));
        }
        properties.push(("Persons", count(counts.persons)));
        properties.push(("Cuts", count(facts.cuts as u64)));
        properties.push(("Gaps", count(self.tracks.gaps() as u64)));
        properties.push(("Damage", self.entry.damage().unwrap_or_else(|| "none".to_owned())));
        let work = self.entry.work_seconds();
        if work > 0.0 {
            let speed = counts.frames as f64 / work;
            properties.push(("Work", format!("{}, {speed:.0} frames/s", duration(work))));
        }
        if let Some(scores) = &self.entry.scores {
            let three = [scores.va, scores.expression, scores.au].map(score);
            properties.push(("VA / EXPR / AU on labels", three.join(" / ")));
        }
        properties
    }
}
