//! The labelled sequences of a run: its tables, its features and labels joined by video, frame and person.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::dataset::{Counts, only};
use super::super::error::TrainingError;
use super::super::recipe::Task;
use super::face_store::FaceStore;
use super::recipe::LabelledRun;
use crate::affwild2::{FrameLabel, LabelRow, Labels};
use crate::finalise::{for_each_face, match_labels};
use crate::frame::FrameIndex;
use crate::path_error::PathError;
use crate::run::{RunFolder, RunReader};
use crate::table::{ColumnSelection, mark_subject};
use crate::temporal::{InputScale, NUMBERS, sequences};

/// The labelled sequences of a run. A sequence is one person's frames in one shot; labels are of the subject of a video,
/// or of the person on a side that their name tells (`<video>_left`).
#[derive(Debug)]
pub struct LabelledSequences {
    run: PathBuf,
    store: FaceStore,
    sequences: Vec<LabelledSequence>,
    /// For each labelled name its first sequence and the one after its last.
    videos: Vec<(String, std::ops::Range<usize>)>,
    /// sha256 of the networks whose outputs the run holds.
    networks: Vec<String>,
    /// Labelled videos that the run has no table of.
    absent: Vec<String>,
    /// Labelled frames in which the subject was not seen.
    unseen: usize,
}

/// A sequence with at least one label.
#[derive(Debug)]
pub struct LabelledSequence {
    /// The place of its first frame in the store.
    first: u64,
    /// Frames from the first to the last in which the person was seen.
    pub frames: usize,
    /// Labels and their frames, counted from the sequence's first, in ascending order.
    pub labels: Vec<(usize, FrameLabel)>,
}

impl LabelledSequences {
    /// Joins a run with its labels, of the recipe's tasks alone. `reach`: of the network. `folder`: on whose disk the faces
    /// lie meanwhile.
    ///
    /// # Errors
    /// A run without features, or that cannot be read; labels that cannot be read or are of other frames; a task without
    /// any label on a face.
    pub fn open(set: &LabelledRun, tasks: &[Task], reach: u32, folder: &Path) -> Result<Self, TrainingError> {
        let run = RunReader::open(RunFolder::new(&set.run))?;
        if !run.plan().settings.pipeline.model.features {
            return Err(TrainingError::NoFeatures(set.run.clone()));
        }
        let (labels, _) = match_labels(&run, Labels::read(&set.labels)?, None)?;
        let mut all = Self {
            run: set.run.clone(),
            store: FaceStore::in_folder(folder).map_err(PathError::at(folder))?,
            sequences: Vec::new(),
            videos: Vec::new(),
            networks: run.plan().networks(),
            absent: Vec::new(),
            unseen: 0,
        };
        for (name, rows) in labels.by_video() {
            all.add(&run, name, &rows, tasks, reach)?;
        }
        let counts = all.counts();
        for task in tasks {
            if let (task, 0) = counts.of_task(*task) {
                return Err(TrainingError::NoLabelledFace {
                    run: set.run.clone(),
                    labels: set.labels.clone(),
                    task,
                });
            }
        }
        Ok(all)
    }

    fn add(
        &mut self,
        run: &RunReader,
        name: &str,
        labels: &[&LabelRow],
        tasks: &[Task],
        reach: u32,
    ) -> Result<(), TrainingError> {
        let labels: Vec<(FrameIndex, FrameLabel)> = labels
            .iter()
            .map(|row| (row.frame, only(&row.label, tasks)))
            .filter(|(_, label)| *label != FrameLabel::default())
            .collect();
        let table = match run.input_named(name) {
            Some((input, rule)) => run
                .columns(&input.id, ColumnSelection::Raw)?
                .map(|table| (input, rule, table)),
            None => None,
        };
        let Some((input, rule, (mut rows, footer))) = table else {
            self.absent.push(name.to_owned());
            return Ok(());
        };
        if let Some(rule) = rule {
            mark_subject(&mut rows, rule);
        }
        let postprocess = run.plan().postprocess()?;
        let found = sequences(&rows, &footer.timing().cuts, reach, |row| postprocess.sees(row));
        // For each row its sequence and its frame there; for each frame the subject's row.
        let mut place_of: Vec<Option<(usize, usize)>> = vec![None; rows.len()];
        let number = |at: usize| rows[at].frame.number();
        for (sequence, found) in found.iter().enumerate() {
            for &at in &found.rows {
                place_of[at] = Some((sequence, (number(at) - number(found.rows[0])) as usize));
            }
        }
        let subject = (0..rows.len()).filter(|&at| rows[at].subject);
        let subject: HashMap<FrameIndex, usize> = subject.map(|at| (rows[at].frame, at)).collect();

        let mut labels_of: Vec<Vec<(usize, FrameLabel)>> = vec![Vec::new(); found.len()];
        for (frame, label) in labels {
            match subject.get(&frame).and_then(|&at| place_of[at]) {
                Some((sequence, frame)) => labels_of[sequence].push((frame, label)),
                None => self.unseen += 1,
            }
        }
        let begin = self.sequences.len();
        let mut first_of: Vec<Option<u64>> = vec![None; found.len()];
        for (sequence, mut labels) in labels_of
            .into_iter()
            .enumerate()
            .filter(|(_, labels)| !labels.is_empty())
        {
            let members = &found[sequence].rows;
            let frames = members
                .last()
                .map_or(0, |&last| number(last) - number(members[0]) + 1);
            // The sort is stable: of a frame that is listed twice both labels stay, in their order.
            labels.sort_by_key(|(frame, _)| *frame);
            let first = self.store.extend(frames.into()).map_err(self.on_disk())?;
            first_of[sequence] = Some(first);
            self.sequences.push(LabelledSequence {
                first,
                frames: frames as usize,
                labels,
            });
        }
        if begin == self.sequences.len() {
            return Ok(());
        }
        let mut kept = Ok(());
        for_each_face(run.folder(), &input.id, &rows, |at, face| {
            let place = place_of[at].and_then(|(sequence, frame)| Some(first_of[sequence]? + frame as u64));
            if let (Some(place), Some(face), Ok(())) = (place, face, &kept) {
                kept = self.store.put(place, face);
            }
        })?;
        kept.map_err(self.on_disk())?;
        self.videos
            .push((input.id.to_string(), begin..self.sequences.len()));
        Ok(())
    }

    fn on_disk(&self) -> impl Fn(std::io::Error) -> TrainingError {
        let run = self.run.clone();
        move |error| PathError::at(&run)(error).into()
    }

    /// The sequences.
    pub fn sequences(&self) -> &[LabelledSequence] {
        &self.sequences
    }

    /// For each labelled video, or person of one, its sequences; each has at least one.
    pub(super) fn videos(&self) -> impl ExactSizeIterator<Item = &[LabelledSequence]> {
        self.videos
            .iter()
            .map(|(_, range)| &self.sequences[range.clone()])
    }

    /// The ids of the labelled videos, each once.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.videos.iter().map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Labelled videos that the run has no table of.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Labelled frames in which the subject was not seen.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// sha256 of the networks whose features and outputs these are.
    pub fn networks(&self) -> &[String] {
        &self.networks
    }

    /// Counts the labelled faces.
    pub fn counts(&self) -> Counts {
        let labels = self.sequences.iter().flat_map(|sequence| &sequence.labels);
        Counts::of(labels.map(|(_, label)| label))
    }

    /// The faces of some frames of a sequence.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn faces(
        &self,
        sequence: &LabelledSequence,
        frames: std::ops::Range<usize>,
    ) -> Result<Vec<Option<crate::temporal::FaceNumbers>>, TrainingError> {
        let first = sequence.first + frames.start as u64;
        self.store.get(first, frames.len()).map_err(self.on_disk())
    }

    /// The mean of each number of a face, and 1 over its standard deviation (1 for a number that is always the same).
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn scale(&self) -> Result<InputScale, TrainingError> {
        let (mut count, mut sums, mut squares) = (0.0f64, vec![0.0f64; NUMBERS], vec![0.0f64; NUMBERS]);
        for sequence in &self.sequences {
            for start in (0..sequence.frames).step_by(PIECE) {
                let piece = self.faces(sequence, start..sequence.frames.min(start + PIECE))?;
                for face in piece.iter().flatten() {
                    count += 1.0;
                    for ((number, sum), square) in face.iter().zip(&mut sums).zip(&mut squares) {
                        let number = f64::from(*number);
                        *sum += number;
                        *square += number * number;
                    }
                }
            }
        }
        let mean: Vec<f64> = sums.iter().map(|sum| sum / count.max(1.0)).collect();
        let factor = mean.iter().zip(&squares).map(|(mean, square)| {
            let variance = square / count.max(1.0) - mean * mean;
            // Below this the difference above is rounding.
            let is_constant = variance <= 1e-12 * mean * mean + 1e-20;
            if is_constant {
                1.0
            } else {
                (1.0 / variance.sqrt()) as f32
            }
        });
        Ok(InputScale {
            factor: factor.collect(),
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
        })
    }
}

/// Frames that are read from the disk at once.
pub(super) const PIECE: usize = 512;
