//! The network's scores on a set of images.

use rayon::prelude::*;
use tch::Device;

use super::dataset::{Dataset, Sample};
use super::error::TrainingError;
use crate::affwild2::FrameLabel;
use crate::labels::{Affect, Expression};
use crate::metrics::{Annotation, Scores, Tally, TaskTallies};
use crate::model::{
    AlignedFace, Architecture, InferenceForm, ModelError, NamedTensors, Precision, Predictor,
};

/// Images a forward pass.
const BATCH: usize = 16;
/// An action unit is present from this probability on.
const THRESHOLD: f32 = 0.5;

/// The scores of a network on a data set.
#[derive(Debug)]
pub struct Evaluation {
    /// With one mask for each task.
    pub scores: Scores,
    /// The share of images whose expression is right; `None` without expressions.
    pub accuracy: Option<f64>,
    /// Images that could not be read; they do not count.
    pub unreadable: usize,
}

/// Scores a network on a data set, on all cores.
///
/// # Errors
/// Weights that do not fit, outputs that are infinite or not a number, or libtorch's.
pub fn evaluate(
    architecture: &Architecture,
    tensors: &NamedTensors,
    dataset: &Dataset,
    device: Device,
) -> Result<Evaluation, TrainingError> {
    let predictor = Predictor::new(tensors, architecture, InferenceForm::fast(device, Precision::F32))?;
    // One clone for each batch, made here: a predictor cannot be shared between threads.
    let work: Vec<(Predictor, &[Sample])> = dataset
        .samples()
        .chunks(BATCH)
        .map(|samples| (predictor.clone(), samples))
        .collect();
    let parts = work
        .into_par_iter()
        .map(|(predictor, samples)| Part::of(&predictor, samples, dataset))
        .collect::<Result<Vec<Part>, ModelError>>()?;
    let mut all = Part::default();
    for part in parts {
        all.tally.merge(&part.tally);
        all.right += part.right;
        all.unreadable += part.unreadable;
    }
    let tasks: TaskTallies = all.tally.per_task;
    let scores = tasks.scores();
    let classified = scores.frames.expression;
    Ok(Evaluation {
        accuracy: (scores.expression.is_some() && classified > 0)
            .then(|| all.right as f64 / classified as f64),
        scores,
        unreadable: all.unreadable,
    })
}

/// The scores of some images.
#[derive(Default)]
struct Part {
    tally: Tally,
    /// Images whose expression is right.
    right: u64,
    unreadable: usize,
}

impl Part {
    fn of(predictor: &Predictor, samples: &[Sample], dataset: &Dataset) -> Result<Self, ModelError> {
        if !predictor.form().device.is_cuda() {
            tch::set_num_threads(1);
        }
        let mut part = Part::default();
        let (mut faces, mut labels) = (Vec::new(), Vec::new());
        for sample in samples {
            match dataset.crop(sample) {
                Ok(crop) => {
                    faces.push(AlignedFace::new(crop)?);
                    labels.push(annotation(&sample.label));
                }
                Err(_) => part.unreadable += 1,
            }
        }
        let affects = predictor.predict(&faces.iter().collect::<Vec<_>>())?;
        for (label, affect) in labels.iter().zip(affects) {
            let decided = decide(&affect);
            part.right += u64::from(label.expression.is_some() && label.expression == decided.expression);
            part.tally.add(label, &decided);
        }
        Ok(part)
    }
}

/// The label as scores take it.
pub(super) fn annotation(label: &FrameLabel) -> Annotation {
    Annotation {
        valence_arousal: label.valence_arousal,
        expression: label.expression,
        action_units: label.all_action_units(),
    }
}

/// The decisions of a network: the most probable expression, action units from a probability of 0.5 on.
pub(super) fn decide(affect: &Affect) -> Annotation {
    Annotation {
        valence_arousal: affect.valence_arousal,
        expression: affect.expression.as_ref().map(Expression::most_probable),
        action_units: affect
            .all_action_units()
            .map(|units| units.map(|probability| probability >= THRESHOLD)),
    }
}
