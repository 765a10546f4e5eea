//! The networks that annotate a face: one for all tasks, one a task, or several blended.

use crate::blend::blend_affects;
use crate::labels::{Affect, PerTask};
use crate::model::{AlignedFace, ModelError, Predictor};

/// Networks, each with its say in each task. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<(Predictor, PerTask<f64>)>,
    batch: usize,
}

impl Ensemble {
    /// The ensemble of these networks, weights of at least 0, that looks at `batch` faces at once, at
    /// least 1.
    pub fn new(members: Vec<(Predictor, PerTask<f64>)>, batch: usize) -> Self {
        Self { members, batch }
    }

    /// What the networks together say of each face, in order: the weighted mean of their outputs. A task
    /// in which nobody has a say is `None`.
    ///
    /// What is said of a face does not depend on the others: a batch that is not full is filled up
    /// with its last face, since predictions differ by rounding between sizes of batches.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict(&self, faces: &[&AlignedFace]) -> Result<Vec<Affect>, ModelError> {
        let mut affects = Vec::with_capacity(faces.len());
        for some in faces.chunks(self.batch) {
            affects.extend(self.predict_batch(some)?);
        }
        Ok(affects)
    }

    fn predict_batch(&self, faces: &[&AlignedFace]) -> Result<Vec<Affect>, ModelError> {
        let Some(last) = faces.last() else {
            return Ok(Vec::new());
        };
        let mut full = faces.to_vec();
        full.resize(self.batch, last);
        let mut said = Vec::with_capacity(self.members.len());
        for (network, say) in &self.members {
            said.push((network.predict(&full)?, *say));
        }
        let blended = |face: usize| blend_affects(said.iter().map(|(affects, say)| (affects[face], *say)));
        Ok((0..faces.len()).map(blended).collect())
    }
}
