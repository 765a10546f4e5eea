//! What annotators made of a video, in whatever tool, and the labels that it comes to.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::annotated::AnnotatedVideo;
use crate::affwild2::FrameLabel;
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, ActionUnit, Expression, ValenceArousal};

/// What is said of one person, a value a frame of the video. A task is `None` if the tool's file does not speak of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PersonLabels {
    pub valence_arousal: Option<Vec<Option<ValenceArousal>>>,
    pub expression: Option<Vec<Option<Expression>>>,
    pub action_units: Option<Vec<[bool; ACTION_UNITS]>>,
}

/// What is said of a video. `None` in place of a person: the annotator did not say of whom.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrections {
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
    /// Says an expression of some frames of `count`; the last word counts.
    pub fn set_expression(&mut self, frames: RangeInclusive<usize>, expression: Expression, count: usize) {
        let said = self.expression.get_or_insert_with(|| vec![None; count]);
        if let Some(said) = within(said, frames) {
            said.fill(Some(expression));
        }
    }

    /// Says that an action unit is there in some frames of `count`.
    pub fn set_action_unit(&mut self, frames: RangeInclusive<usize>, unit: ActionUnit, count: usize) {
        let said = self
            .action_units
            .get_or_insert_with(|| vec![[false; ACTION_UNITS]; count]);
        for said in within(said, frames).into_iter().flatten() {
            said[unit.index()] = true;
        }
    }
}

/// The part of some frames that exists.
fn within<T>(values: &mut [T], frames: RangeInclusive<usize>) -> Option<&mut [T]> {
    let last = (*frames.end()).min(values.len().checked_sub(1)?);
    values.get_mut(*frames.start()..=last)
}

impl Corrections {
    /// A label for each number from 1 to that of the video's last frame: that of the frame's subject. Frames without a
    /// subject, and those that the table lacks, are not annotated.
    pub fn labels(&self, video: &AnnotatedVideo) -> Vec<FrameLabel> {
        let last = video.frames.last().map_or(0, |frame| frame.number() as usize);
        let mut labels = vec![FrameLabel::default(); last];
        let anybody = self.people.get(&None);
        for (at, (frame, subject)) in video.frames.iter().zip(&video.subject).enumerate() {
            let Some(subject) = subject else { continue };
            let said: Vec<&PersonLabels> = self
                .people
                .get(&Some(*subject))
                .into_iter()
                .chain(anybody)
                .collect();
            let label = &mut labels[frame.number() as usize - 1];
            // What names nobody is an annotator's addition, and goes before what the person's own says.
            for said in said.iter().rev() {
                let point = said.valence_arousal.as_ref().and_then(|points| points[at]);
                label.valence_arousal = label.valence_arousal.or(point);
                let expression = said.expression.as_ref().and_then(|expressions| expressions[at]);
                label.expression = label.expression.or(expression);
                if let Some(units) = &said.action_units {
                    for (unit, present) in label.action_units.iter_mut().zip(units[at]) {
                        *unit = Some(unit.unwrap_or(false) || present);
                    }
                }
            }
        }
        labels
    }

    /// People of whom something is said and who are the subject nowhere: their labels have no place in a label file.
    pub fn left_out(&self, video: &AnnotatedVideo) -> usize {
        let speaks = |person: &PersonId| video.subject.contains(&Some(*person));
        self.people
            .keys()
            .flatten()
            .filter(|person| !speaks(person))
            .count()
    }
}
