//! The networks that annotate a face: one for all tasks, one a task, or several blended.

use super::{AlignedFace, ModelError, Predictor};
use crate::blend::blend_affects;
use crate::labels::{Affect, PerTask};

/// Networks, each with its weight in each task. Clones share the networks' weights.
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<(Predictor, PerTask<f64>)>,
    batch: usize,
}

/// Faces before the networks: their bytes side by side.
pub struct FaceBatch {
    faces: usize,
    bytes: Vec<u8>,
}

impl FaceBatch {
    /// Copies the faces' pixels, filled up to `batch` faces with the last one; at most as many are taken.
    ///
    /// The networks always see so many, since their outputs differ by rounding between sizes of batches.
    pub fn prepare(faces: &[&AlignedFace], batch: usize) -> Self {
        let last = faces.last();
        let filled = faces.iter().chain(std::iter::repeat_n(last, batch).flatten());
        let pixels: Vec<&[u8]> = filled.take(batch).map(|face| face.picture().rgb()).collect();
        Self {
            faces: faces.len().min(batch),
            bytes: pixels.concat(),
        }
    }

    /// The number of faces, those that fill up not counted.
    pub fn faces(&self) -> usize {
        self.faces
    }

    /// `[batch, 112, 112, 3]`, RGB.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Ensemble {
    /// The ensemble of these networks, with weights of at least 0, for batches of `batch` faces, at least 1.
    pub fn new(members: Vec<(Predictor, PerTask<f64>)>, batch: usize) -> Self {
        Self { members, batch }
    }

    /// The networks' outputs for each face, in order, over batches of the ensemble's size. Results do not depend
    /// on batching.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict(&self, faces: &[&AlignedFace]) -> Result<Vec<Affect>, ModelError> {
        let mut affects = Vec::with_capacity(faces.len());
        for faces in faces.chunks(self.batch) {
            affects.extend(self.run(&FaceBatch::prepare(faces, self.batch))?);
        }
        Ok(affects)
    }

    /// One forward pass of each network: for each face the weighted mean of their outputs. A task in which no
    /// network has a weight above 0 is `None`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn run(&self, batch: &FaceBatch) -> Result<Vec<Affect>, ModelError> {
        let mut outputs = Vec::with_capacity(self.members.len());
        for (network, weights) in &self.members {
            outputs.push((network.predict_bytes(batch.bytes(), batch.faces())?, *weights));
        }
        let blended =
            |face: usize| blend_affects(outputs.iter().map(|(affects, weights)| (affects[face], *weights)));
        Ok((0..batch.faces()).map(blended).collect())
    }
}
