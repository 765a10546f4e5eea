//! The networks that annotate a face: one for all tasks, one a task, or several blended.

use crate::labels::Affect;
use crate::model::{AlignedFace, ModelError, Predictor};
use crate::postprocess::{PerTask, blend_affects};

/// Networks, each with its say in each task. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<(Predictor, PerTask<f64>)>,
}

impl Ensemble {
    /// The ensemble of these networks; weights of at least 0.
    pub fn new(members: Vec<(Predictor, PerTask<f64>)>) -> Self {
        Self { members }
    }

    /// What the networks together say of each face, in order: the weighted mean of their outputs. A task
    /// in which nobody has a say is `None`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict(&self, faces: &[&AlignedFace]) -> Result<Vec<Affect>, ModelError> {
        let mut said = Vec::with_capacity(self.members.len());
        for (network, say) in &self.members {
            said.push((network.predict(faces)?, *say));
        }
        let blended = |face: usize| blend_affects(said.iter().map(|(affects, say)| (affects[face], *say)));
        Ok((0..faces.len()).map(blended).collect())
    }
}
