//! The data set: labelled images, and what is wrong with it.

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
    /// Names of labelled images that there are no images of.
    missing: Vec<String>,
}

/// A labelled image.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Its place in the data set's videos.
    video: usize,
    frame: FrameIndex,
    /// Only what the recipe's tasks ask for.
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

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub images: usize,
    pub valence_arousal: usize,
    /// Class order.
    pub expression: [usize; EXPRESSIONS],
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
        };
        for row in labels.rows() {
            let whole = row.label.valence_arousal.is_some()
                && row.label.expression.is_some()
                && row.label.all_action_units().is_some();
            let label = only(&row.label, tasks);
            if label == FrameLabel::default() || (strict && !whole) {
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
            let (name, labelled) = match task {
                Task::Va => ("valence and arousal", counts.valence_arousal),
                Task::Expr => ("expressions", counts.expression.iter().sum()),
                Task::Au => ("action units", counts.action_units),
            };
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

    /// The labelled images that there are.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Names of labelled images that there are no images of.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// `video/00001.jpg`.
    pub fn name(&self, sample: &Sample) -> String {
        format!("{}/{:05}.jpg", self.video(sample), sample.frame.number())
    }

    /// The crop, 112x112; the error says why it cannot be read.
    pub fn crop(&self, sample: &Sample) -> Result<Picture, String> {
        self.images.crop(self.video(sample), sample.frame)
    }

    fn video(&self, sample: &Sample) -> &str {
        &self.videos[sample.video]
    }

    /// How many images are labelled for what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            images: self.samples.len(),
            valence_arousal: 0,
            expression: [0; EXPRESSIONS],
            action_units: 0,
        };
        for sample in &self.samples {
            counts.valence_arousal += usize::from(sample.label.valence_arousal.is_some());
            if let Some(class) = sample.label.expression {
                counts.expression[class.index()] += 1;
            }
            counts.action_units += usize::from(sample.label.action_units.iter().any(Option::is_some));
        }
        counts
    }
}

impl Counts {
    /// Names of the expressions that no image shows.
    pub fn empty_classes(&self) -> Vec<&'static str> {
        let classes = Expression::ALL.into_iter();
        let empty = classes.filter(|class| self.expression[class.index()] == 0);
        empty.map(Expression::name).collect()
    }
}

/// What a label says of some tasks.
fn only(label: &FrameLabel, tasks: &[Task]) -> FrameLabel {
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
