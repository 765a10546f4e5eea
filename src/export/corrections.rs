//! The corrections of a video by an annotator, in any tool, and the labels made of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::annotated::AnnotatedVideo;
use crate::affwild2::FrameLabel;
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, ActionUnit, Expression, ValenceArousal};

/// The labels of one person, one value for each frame of the video. A task is `None` if the file has no labels of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PersonLabels {
    /// Valence and arousal, where labelled.
    pub valence_arousal: Option<Vec<Option<ValenceArousal>>>,
    /// The expression, where labelled.
    pub expression: Option<Vec<Option<Expression>>>,
    /// Whether each action unit is present.
    pub action_units: Option<Vec<[bool; ACTION_UNITS]>>,
}

/// The labels of a video. The person is `None` if the annotator named none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrections {
    /// Labels by person.
    pub people: BTreeMap<Option<PersonId>, PersonLabels>,
}

/// Makes corrections from a file's annotations, given the video of the run that they are about.
type Correct = dyn Fn(&AnnotatedVideo) -> Result<Corrections, String>;

/// The annotations of one video in a file that a tool saved.
pub struct VideoAnnotations {
    /// The video's id in the run; `None` if the file does not name it.
    pub video: Option<String>,
    pub(super) corrections: Box<Correct>,
}

impl VideoAnnotations {
    /// Returns the corrections of the video, given its table.
    ///
    /// # Errors
    /// An unknown label, or a frame that the video does not have: in words.
    pub fn corrections(&self, video: &AnnotatedVideo) -> Result<Corrections, String> {
        (self.corrections)(video)
    }
}

impl PersonLabels {
    /// Sets the expression of some of `count` frames; a later call overrides an earlier one.
    pub fn set_expression(&mut self, frames: RangeInclusive<usize>, expression: Expression, count: usize) {
        let values = self.expression.get_or_insert_with(|| vec![None; count]);
        if let Some(values) = within(values, frames) {
            values.fill(Some(expression));
        }
    }

    /// Sets an action unit as present in some of `count` frames.
    pub fn set_action_unit(&mut self, frames: RangeInclusive<usize>, unit: ActionUnit, count: usize) {
        let values = self
            .action_units
            .get_or_insert_with(|| vec![[false; ACTION_UNITS]; count]);
        for values in within(values, frames).into_iter().flatten() {
            values[unit.index()] = true;
        }
    }
}

/// Returns the values of those frames that exist.
fn within<T>(values: &mut [T], frames: RangeInclusive<usize>) -> Option<&mut [T]> {
    let last = (*frames.end()).min(values.len().checked_sub(1)?);
    values.get_mut(*frames.start()..=last)
}

impl Corrections {
    /// Returns one label for each frame number from 1 to that of the last frame: the label of the frame's subject. Frames
    /// without a subject, and those that the table lacks, are not annotated.
    pub fn labels(&self, video: &AnnotatedVideo) -> Vec<FrameLabel> {
        let last = video.frames.last().map_or(0, |frame| frame.number() as usize);
        let mut labels = vec![FrameLabel::default(); last];
        let unnamed = self.people.get(&None);
        for (at, (frame, subject)) in video.frames.iter().zip(&video.subject).enumerate() {
            let Some(subject) = subject else { continue };
            let values: Vec<&PersonLabels> = self
                .people
                .get(&Some(*subject))
                .into_iter()
                .chain(unnamed)
                .collect();
            let label = &mut labels[frame.number() as usize - 1];
            // Labels without a person were added by the annotator, and override those of the person.
            for values in values.iter().rev() {
                let point = values.valence_arousal.as_ref().and_then(|points| points[at]);
                label.valence_arousal = label.valence_arousal.or(point);
                let expression = values.expression.as_ref().and_then(|expressions| expressions[at]);
                label.expression = label.expression.or(expression);
                if let Some(units) = &values.action_units {
                    for (unit, present) in label.action_units.iter_mut().zip(units[at]) {
                        *unit = Some(unit.unwrap_or(false) || present);
                    }
                }
            }
        }
        labels
    }

    /// Counts labelled persons who are not the subject in any frame: a label file cannot hold their labels.
    pub fn left_out(&self, video: &AnnotatedVideo) -> usize {
        let is_subject = |person: &PersonId| video.subject.contains(&Some(*person));
        self.people
            .keys()
            .flatten()
            .filter(|person| !is_subject(person))
            .count()
    }
}
