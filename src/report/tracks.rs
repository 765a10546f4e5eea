//! The rows and labels of a video, person by person.

use std::collections::BTreeMap;

use super::error::ReportError;
use super::scores::LabelledRun;
use crate::affwild2::FrameLabel;
use crate::face::PersonId;
use crate::finalise::SubjectReader;
use crate::frame::FrameIndex;
use crate::run::VideoId;
use crate::table::{Footer, Row};
use crate::tuning::ThresholdCounts;

/// What the page of a video shows.
pub struct Tracks {
    /// The frames of the video, ascending. Positions below are those in this list, 0-based.
    pub frames: Vec<FrameIndex>,
    /// Their times in seconds, if all have one and they ascend.
    pub times: Option<Vec<f64>>,
    /// Frames a second, if the container names a rate.
    pub fps: Option<f64>,
    /// Positions of the first frames of shots.
    pub cuts: Vec<usize>,
    /// The subject first, then persons in the order of their numbers, then persons whom labels name by their side of
    /// the picture.
    pub tracks: Vec<Track>,
}

/// The rows of one person, or of the subject.
pub struct Track {
    /// `Subject`, `Person 0`, or the name in the labels.
    pub name: String,
    /// The person, if it is one throughout.
    pub person: Option<PersonId>,
    /// Position of the first row.
    pub from: usize,
    /// One row for each frame from there on; `None` where the table has no row of this person.
    pub by_frame: Vec<Option<Row>>,
    /// One label for each frame of the video.
    pub labels: Option<Vec<FrameLabel>>,
}

impl Tracks {
    /// Sorts the rows of a table by person, and adds their labels.
    ///
    /// # Errors
    /// As [`SubjectReader::table`].
    pub fn of(
        subjects: &SubjectReader,
        rows: &[Row],
        footer: &Footer,
        labelled: Option<&LabelledRun>,
        id: &VideoId,
    ) -> Result<Self, ReportError> {
        let mut frames = Vec::new();
        let mut times = Some(Vec::new());
        let mut subject = Track::new("Subject".to_owned(), 0);
        let mut persons: BTreeMap<PersonId, Track> = BTreeMap::new();
        for of_frame in rows.chunk_by(|one, next| one.frame == next.frame) {
            let position = frames.len();
            frames.push(of_frame[0].frame);
            times = times.zip(of_frame[0].time_s).and_then(|(mut times, time)| {
                let ascends = times.last().is_none_or(|last| *last < time);
                times.push(time);
                ascends.then_some(times)
            });
            for row in of_frame {
                if row.subject {
                    subject.put(position, row);
                }
                if let Some(person) = row.person {
                    let track = persons.entry(person).or_insert_with(|| Track {
                        person: Some(person),
                        ..Track::new(format!("Person {}", person.0), position)
                    });
                    track.put(position, row);
                }
            }
        }
        let position_of = |frame: FrameIndex| frames.binary_search(&frame).ok();
        let cuts = footer
            .cuts
            .iter()
            .filter_map(|&frame| position_of(FrameIndex::new(frame)?));
        let cuts = cuts.collect();
        let mut tracks = vec![subject];
        // One person alone is the subject.
        if persons.len() > 1 {
            tracks.extend(persons.into_values());
        }
        for labels in labelled.into_iter().flat_map(|labelled| labelled.of(id)) {
            let by_position = labels.by_position(&frames);
            match labels.is_subject {
                true => tracks[0].labels = Some(by_position),
                false => {
                    let mut track = Track::new(labels.name.to_owned(), 0);
                    let table = subjects.table(labels.name)?;
                    for row in table.iter().flat_map(|table| &table.rows) {
                        if let Some(position) = position_of(row.frame) {
                            track.put(position, row);
                        }
                    }
                    track.labels = Some(by_position);
                    tracks.push(track);
                }
            }
        }
        Ok(Self {
            frames,
            times,
            fps: footer.stream["fps"].as_f64(),
            cuts,
            tracks,
        })
    }

    /// Counts, on the labelled frames of all tracks, how often probabilities reach which thresholds.
    pub fn threshold_counts(&self) -> ThresholdCounts {
        let mut counts = ThresholdCounts::default();
        for track in &self.tracks {
            for (position, label) in track.labels.iter().flatten().enumerate() {
                let row = track.row(position);
                if let (Some(units), Some(row)) = (label.all_action_units(), row) {
                    counts.add(units, row.postprocessed.affect.all_action_units());
                }
            }
        }
        counts
    }

    /// Stretches of the subject's track in which no face was seen.
    pub fn gaps(&self) -> usize {
        let seen = |row: &Option<Row>| row.as_ref().is_some_and(|row| row.sighting.is_face());
        self.tracks[0]
            .by_frame
            .chunk_by(|one, next| seen(one) == seen(next))
            .filter(|stretch| !seen(&stretch[0]))
            .count()
    }
}

impl Track {
    fn new(name: String, from: usize) -> Self {
        Self {
            name,
            person: None,
            from,
            by_frame: Vec::new(),
            labels: None,
        }
    }

    /// Adds a row at a position behind all others.
    fn put(&mut self, position: usize, row: &Row) {
        if self.by_frame.is_empty() {
            self.from = position;
        }
        // A table in which one person stands twice in a frame shows the last of them.
        self.by_frame.truncate(position.saturating_sub(self.from));
        self.by_frame.resize(position - self.from, None);
        self.by_frame.push(Some(row.clone()));
    }

    /// The row at a position of the video.
    pub fn row(&self, position: usize) -> Option<&Row> {
        self.by_frame.get(position.checked_sub(self.from)?)?.as_ref()
    }

    /// Returns the rows with the positions of their frames.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        let placed = (self.from..).zip(&self.by_frame);
        placed.filter_map(|(position, row)| Some((position, row.as_ref()?)))
    }

    /// Frames in which the face was seen.
    pub fn seen(&self) -> usize {
        self.rows().filter(|(_, row)| row.sighting.is_face()).count()
    }
}
