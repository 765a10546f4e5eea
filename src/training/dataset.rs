//! A data set: labelled images, and the labels without an image.

use std::path::PathBuf;

use super::error::TrainingError;
use super::images::Images;
use super::recipe::{ImageSet, Task};
use crate::affwild2::{FrameLabel, Labels};
use crate::frame::{FrameIndex, Picture};
use crate::labels::{EXPRESSIONS, Expression};

/// Labelled images.
#[derive(Debug)]
pub struct Dataset {
    labels: PathBuf,
    videos: Vec<String>,
    samples: Vec<Sample>,
    images: Images,
    /// Names of labelled images that do not exist.
    missing: Vec<String>,
    /// Labelled images that `strict` leaves out.
    not_whole: usize,
}

/// A labelled image.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Index of the video in the data set.
    video: usize,
    frame: FrameIndex,
    /// The labels of the recipe's tasks alone.
    pub label: FrameLabel,
}

#[cfg(test)]
impl Sample {
    /// A sample of which only the label matters.
    pub(super) fn of_label(label: FrameLabel) -> Self {
        Self {
            video: 0,
            frame: FrameIndex::FIRST,
            label,
        }
    }
}

/// How many images of a data set, or faces in frames of videos, are labelled for each task.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// All that are labelled.
    pub images: usize,
    /// Images labelled for valence and arousal.
    pub valence_arousal: usize,
    /// Images of each expression, in class order.
    pub expression: [usize; EXPRESSIONS],
    /// Images labelled for at least one action unit.
    pub action_units: usize,
}

impl Dataset {
    /// Joins a set's labels with its images, in the order of the labels. Images without a label of any
    /// of `tasks` are left out; with `strict`, those that lack one of all three.
    ///
    /// # Errors
    /// Labels or images that cannot be read, and a set in which nothing is labelled for one of the
    /// tasks.
    pub fn open(set: &ImageSet, tasks: &[Task], strict: bool) -> Result<Self, TrainingError> {
        let labels = Labels::read(&set.labels)?;
        let videos: Vec<String> = labels.videos().iter().map(str::to_owned).collect();
        let images = Images::open(&set.images, videos.iter().map(String::as_str))?;
        let mut dataset = Self {
            labels: set.labels.clone(),
            videos,
            samples: Vec::new(),
            images,
            missing: Vec::new(),
            not_whole: 0,
        };
        for row in labels.rows() {
            let whole = row.label.valence_arousal.is_some()
                && row.label.expression.is_some()
                && row.label.all_action_units().is_some();
            let label = only(&row.label, tasks);
            if label == FrameLabel::default() {
                continue;
            }
            if strict && !whole {
                dataset.not_whole += 1;
                continue;
            }
            let sample = Sample {
                video: row.video.index(),
                frame: row.frame,
                label,
            };
            match dataset.images.has(dataset.video(&sample), row.frame) {
                true => dataset.samples.push(sample),
                false => dataset.missing.push(dataset.name(&sample)),
            }
        }
        dataset.refuse_unlabelled(tasks)?;
        Ok(dataset)
    }

    fn refuse_unlabelled(&self, tasks: &[Task]) -> Result<(), TrainingError> {
        let counts = self.counts();
        for task in tasks {
            let (name, labelled) = counts.of_task(*task);
            if labelled == 0 && self.not_whole > 0 {
                return Err(TrainingError::StrictLeavesNothing {
                    labels: self.labels.clone(),
                    left_out: self.not_whole,
                    task: name,
                });
            }
            if labelled == 0 {
                return Err(TrainingError::NothingLabelled {
                    labels: self.labels.clone(),
                    task: name,
                    missing: self.missing.len(),
                });
            }
        }
        Ok(())
    }

    /// The labelled images that exist.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Names of labelled images that do not exist.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// `video/00001.jpg`.
    pub fn name(&self, sample: &Sample) -> String {
        format!("{}/{:05}.jpg", self.video(sample), sample.frame.number())
    }

    /// The crop, 112x112; the error is why it cannot be read.
    pub fn crop(&self, sample: &Sample) -> Result<Picture, String> {
        self.images.crop(self.video(sample), sample.frame)
    }

    fn video(&self, sample: &Sample) -> &str {
        &self.videos[sample.video]
    }

    /// Counts the labelled images of each task.
    pub fn counts(&self) -> Counts {
        Counts::of(self.samples.iter().map(|sample| &sample.label))
    }
}

impl Counts {
    /// Counts labels.
    pub(super) fn of<'a>(labels: impl Iterator<Item = &'a FrameLabel>) -> Self {
        let mut counts = Counts {
            images: 0,
            valence_arousal: 0,
            expression: [0; EXPRESSIONS],
            action_units: 0,
        };
        for label in labels {
            counts.images += 1;
            counts.valence_arousal += usize::from(label.valence_arousal.is_some());
            if let Some(class) = label.expression {
                counts.expression[class.index()] += 1;
            }
            counts.action_units += usize::from(label.action_units.iter().any(Option::is_some));
        }
        counts
    }

    /// How many labels a task has, and the task in words.
    pub(super) fn of_task(&self, task: Task) -> (&'static str, usize) {
        match task {
            Task::Va => ("valence and arousal", self.valence_arousal),
            Task::Expr => ("expressions", self.expression.iter().sum()),
            Task::Au => ("action units", self.action_units),
        }
    }

    /// Names of the expressions that no image shows.
    pub fn empty_classes(&self) -> Vec<&'static str> {
        let classes = Expression::ALL.into_iter();
        let empty = classes.filter(|class| self.expression[class.index()] == 0);
        empty.map(Expression::name).collect()
    }

    /// A weight of `n ^ -balance` for each expression of `n` images, scaled so that their mean over all
    /// images is 1. `None` if `balance` is 0 or no image is labelled.
    pub(super) fn class_weights(&self, balance: f64) -> Option<[f32; EXPRESSIONS]> {
        if balance == 0.0 {
            return None;
        }
        let counts = self.expression.map(|count| count as f64);
        let weights = counts.map(|count| if count > 0.0 { count.powf(-balance) } else { 0.0 });
        let sum: f64 = counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| count * weight)
            .sum();
        let scale = counts.iter().sum::<f64>() / sum;
        (sum > 0.0).then(|| weights.map(|weight| (weight * scale) as f32))
    }
}

/// The label without the tasks that are not in `tasks`.
pub(super) fn only(label: &FrameLabel, tasks: &[Task]) -> FrameLabel {
    let mut kept = FrameLabel::default();
    for task in tasks {
        match task {
            Task::Va => kept.valence_arousal = label.valence_arousal,
            Task::Expr => kept.expression = label.expression,
            Task::Au => kept.action_units = label.action_units,
        }
    }
    kept
}
