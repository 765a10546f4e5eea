//! A video and its table as annotation tools need it: frames with their times, and the rows of each person.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::intervals::FrameTimes;
use crate::face::PersonId;
use crate::frame::FrameIndex;
use crate::labels::ExtraUnit;
use crate::table::{Footer, Row};

/// Frames a second of a video without a rate.
const ASSUMED_RATE: f64 = 25.0;

/// A video and its table.
pub struct AnnotatedVideo {
    /// Its id in the run.
    pub id: String,
    /// The video file.
    pub path: PathBuf,
    /// Width and height of the upright frame in pixels; 0 for folders of crops.
    pub size: (u32, u32),
    /// Frames a second.
    pub rate: f64,
    /// Times of the frames.
    pub times: FrameTimes,
    /// Numbers of the frames, ascending. Positions below are those in this list, 0-based.
    pub frames: Vec<FrameIndex>,
    /// For each person one row per frame; `None` where the table has none.
    pub people: BTreeMap<PersonId, Vec<Option<Row>>>,
    /// The subject of the video in each frame.
    pub subject: Vec<Option<PersonId>>,
    /// The hash of the settings that made the final columns.
    pub settings_hash: String,
    /// The action units beside ABAW's twelve, in the order of the rows' extra units.
    pub extra_units: Vec<ExtraUnit>,
    /// Whether the networks had an output for action units.
    pub has_action_units: bool,
    /// The author of the annotations, for tools that show it: the weights of the networks.
    pub author: String,
}

impl AnnotatedVideo {
    /// Makes it from a table, whose frames ascend.
    pub fn new(id: String, path: PathBuf, rows: Vec<Row>, footer: &Footer) -> Self {
        let mut frames = Vec::new();
        let mut times_s = Vec::new();
        for row in &rows {
            if frames.last() != Some(&row.frame) {
                frames.push(row.frame);
                times_s.push(row.time_s);
            }
        }
        let fact = |name: &str| footer.stream.get(name).and_then(serde_json::Value::as_f64);
        let rate = fact("fps").filter(|&rate| rate > 0.0).unwrap_or(ASSUMED_RATE);
        let side = |name: &str| fact(name).map_or(0, |side| side as u32);
        let affect = footer.weights.iter().filter(|record| record.role == "affect");
        let author: Vec<&str> = affect.map(|record| record.source.as_str()).collect();
        let mut video = Self {
            id,
            path,
            size: (side("width"), side("height")),
            rate,
            times: FrameTimes::new(times_s.into_iter(), rate, fact("start_s")),
            people: BTreeMap::new(),
            subject: vec![None; frames.len()],
            settings_hash: footer.settings_hash.clone(),
            extra_units: footer.extra_units(),
            has_action_units: rows
                .iter()
                .any(|row| row.postprocessed.action_units.iter().any(Option::is_some)),
            author: format!("abaw {} {}", env!("CARGO_PKG_VERSION"), author.join(", ")),
            frames,
        };
        let count = video.frames.len();
        let mut at = 0;
        for row in rows {
            while video.frames[at] != row.frame {
                at += 1;
            }
            if let Some(person) = row.person {
                if row.subject {
                    video.subject[at] = Some(person);
                }
                video.people.entry(person).or_insert_with(|| vec![None; count])[at] = Some(row);
            }
        }
        video
    }

    /// Returns a row's probabilities of extra units and decisions on them, each with its place in the list.
    pub(super) fn extra_units_of<'row>(
        &self,
        row: &'row Row,
    ) -> impl Iterator<Item = (usize, f32, bool)> + 'row {
        let probabilities = row.postprocessed.affect.extra_units.iter();
        let decided = probabilities.zip(&row.postprocessed.extra_units);
        decided
            .enumerate()
            .filter_map(|(at, (probability, present))| Some((at, (*probability)?, (*present)?)))
    }

    /// Returns the path of a file about this video: `folder/<id><ending>`.
    pub(super) fn file_in(&self, folder: &Path, ending: &str) -> PathBuf {
        folder.join(format!("{}{ending}", self.id))
    }

    /// Returns what `of` takes from a person's row, for each frame of the video.
    pub fn series<L>(&self, person: PersonId, of: impl Fn(&Row) -> Option<L>) -> Vec<Option<L>> {
        let rows = self.people.get(&person).map_or(&[][..], Vec::as_slice);
        rows.iter().map(|row| row.as_ref().and_then(&of)).collect()
    }
}
