//! The scores of a temporal network on labelled sequences, without smoothing.

use rayon::prelude::*;

use super::super::error::TrainingError;
use super::super::evaluation::{annotation, decide};
use super::labelled_sequences::{LabelledSequence, LabelledSequences, PIECE};
use crate::labels::Affect;
use crate::metrics::{Scores, Tally};
use crate::temporal::{SequencePass, TemporalNetwork};

/// The scores of a network on labelled sequences.
#[derive(Debug)]
pub struct TemporalScores {
    /// With one mask for each task.
    pub scores: Scores,
    /// The share of faces whose expression is right; `None` without expressions.
    pub accuracy: Option<f64>,
}

/// Scores a network, on all cores. It runs as it does in post-processing.
///
/// # Errors
/// The file system's.
pub fn evaluate(
    network: &TemporalNetwork,
    data: &LabelledSequences,
) -> Result<TemporalScores, TrainingError> {
    let parts = data
        .sequences()
        .par_iter()
        .map(|sequence| Part::of(network, data, sequence))
        .collect::<Result<Vec<Part>, TrainingError>>()?;
    let mut all = Part::default();
    for part in parts {
        all.tally.merge(&part.tally);
        all.right += part.right;
    }
    let scores = all.tally.per_task.scores();
    let classified = scores.frames.expression;
    Ok(TemporalScores {
        accuracy: (scores.expression.is_some() && classified > 0)
            .then(|| all.right as f64 / classified as f64),
        scores,
    })
}

/// The scores of one sequence.
#[derive(Default)]
struct Part {
    tally: Tally,
    /// Faces whose expression is right.
    right: u64,
}

impl Part {
    fn of(
        network: &TemporalNetwork,
        data: &LabelledSequences,
        sequence: &LabelledSequence,
    ) -> Result<Self, TrainingError> {
        let mut part = Self::default();
        let mut labels = sequence.labels.iter().peekable();
        let mut frame = 0;
        let mut score = |outputs: Affect| {
            while let Some((_, label)) = labels.next_if(|(labelled, _)| *labelled == frame) {
                let (label, decided) = (annotation(label), decide(&outputs));
                let is_right = label.expression.is_some() && label.expression == decided.expression;
                part.right += u64::from(is_right);
                part.tally.add(&label, &decided);
            }
            frame += 1;
        };
        let mut pass = SequencePass::new(network);
        for start in (0..sequence.frames).step_by(PIECE) {
            for face in data.faces(sequence, start..sequence.frames.min(start + PIECE))? {
                pass.push(face.as_ref()).into_iter().for_each(&mut score);
            }
        }
        pass.finish().into_iter().for_each(&mut score);
        Ok(part)
    }
}
