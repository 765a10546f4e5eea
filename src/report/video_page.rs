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
    pub entry: &'a VideoEntry,
    pub footer: &'a Footer,
    pub tracks: &'a Tracks,
    pub neighbours: Neighbours,
    /// Why pictures are missing.
    pub no_pictures: Option<&'a str>,
    pub overlay: bool,
    /// Where an overlay would be found.
    pub overlay_path: PathBuf,
    pub untrained: bool,
}

/// The videos before and after one in the run that have a page: slug and name.
pub struct Neighbours {
    pub before: Option<(String, String)>,
    pub after: Option<(String, String)>,
}

impl Neighbours {
    /// Those of the video at a place of the summary.
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
    /// Name and value of what is known of the video.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let Some(facts) = &self.entry.facts else {
            return Vec::new();
        };
        let counts = self.footer.counts;
        let mut said = vec![("Frames", count(counts.frames))];
        if let Some(seconds) = facts.seconds {
            said.push(("Length", duration(seconds)));
        }
        if let Some((width, height)) = facts.size {
            let fps = facts
                .fps
                .map(|fps| format!(", {} fps", (fps * 100.0).round() / 100.0));
            said.push((
                "Picture",
                format!("{width} \u{d7} {height}{}", fps.unwrap_or_default()),
            ));
        }
        said.push(("With a face", percent(counts.frames_with_face, counts.frames)));
        said.push(("Persons", count(counts.persons)));
        said.push(("Cuts", count(facts.cuts as u64)));
        said.push(("Gaps", count(self.tracks.gaps() as u64)));
        said.push(("Damage", self.entry.damage().unwrap_or_else(|| "none".to_owned())));
        let work = self.entry.work_seconds();
        if work > 0.0 {
            let speed = counts.frames as f64 / work;
            said.push(("Work", format!("{}, {speed:.0} frames/s", duration(work))));
        }
        if let Some(scores) = &self.entry.scores {
            let three = [scores.va, scores.expression, scores.au].map(score);
            said.push(("VA / EXPR / AU on labels", three.join(" / ")));
        }
        said
    }
}
