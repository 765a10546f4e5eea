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
    /// Whether each action unit is present, where labelled.
    pub action_units: Option<Vec<[Option<bool>; ACTION_UNITS]>>,
}

/// The labels of a video. The person is `None` if the annotator named none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrections {
    /// Labels by person.
    pub people: BTreeMap<Option<PersonId>, PersonLabels>,
    /// Sentences about what was left out or understood in one of several ways.
    pub notes: Vec<String>,
}

/// The person whose labels a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// In each frame the subject of the video.
    Subject,
    /// One person.
    Person(PersonId),
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
            .get_or_insert_with(|| vec![[Some(false); ACTION_UNITS]; count]);
        for values in within(values, frames).into_iter().flatten() {
            values[unit.index()] = Some(true);
        }
    }
}

/// Returns the values of those frames that exist.
fn within<T>(values: &mut [T], frames: RangeInclusive<usize>) -> Option<&mut [T]> {
    let last = (*frames.end()).min(values.len().checked_sub(1)?);
    values.get_mut(*frames.start()..=last)
}

impl Corrections {
    /// Returns one label for each frame number from 1 to that of the last frame: that of a person, or of the frame's subject.
    /// Frames without the person, and those that the table lacks, are not annotated. Frame 0, which crops may have, is left
    /// out.
    pub fn labels(&self, video: &AnnotatedVideo, whose: Whose) -> Vec<FrameLabel> {
        let last = video.frames.last().map_or(0, |frame| frame.number() as usize);
        let mut labels = vec![FrameLabel::default(); last];
        // What an annotator added without naming a person is about the subject.
        let unnamed = self.people.get(&None).filter(|_| whose == Whose::Subject);
        for (at, (frame, subject)) in video.frames.iter().zip(&video.subject).enumerate() {
            let person = match whose {
                Whose::Subject => *subject,
                Whose::Person(person) => Some(person),
            };
            let line = (frame.number() as usize).checked_sub(1);
            let Some((person, label)) = person.zip(line.and_then(|line| labels.get_mut(line))) else {
                continue;
            };
            let of_person = self.people.get(&Some(person));
            // Labels without a person override those of the person.
            for values in unnamed.into_iter().chain(of_person) {
                let point = values.valence_arousal.as_ref().and_then(|points| points[at]);
                label.valence_arousal = label.valence_arousal.or(point);
                let expression = values.expression.as_ref().and_then(|expressions| expressions[at]);
                label.expression = label.expression.or(expression);
                for (unit, given) in label.action_units.iter_mut().zip(values.units_at(at)) {
                    *unit = match (*unit, given) {
                        (Some(one), Some(other)) => Some(one || other),
                        (one, other) => one.or(other),
                    };
                }
            }
        }
        labels
    }

    /// The labelled persons.
    pub fn persons(&self) -> impl Iterator<Item = PersonId> {
        self.people.keys().copied().flatten()
    }

    /// Counts labelled persons who are not the subject in any frame.
    pub fn left_out(&self, video: &AnnotatedVideo) -> usize {
        let is_subject = |person: &PersonId| video.subject.contains(&Some(*person));
        self.persons().filter(|person| !is_subject(person)).count()
    }
}

impl PersonLabels {
    fn units_at(&self, at: usize) -> [Option<bool>; ACTION_UNITS] {
        self.action_units
            .as_ref()
            .map_or([None; ACTION_UNITS], |units| units[at])
    }
}
