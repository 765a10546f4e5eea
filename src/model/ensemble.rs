//! The networks that annotate a face: one for all tasks, one a task, or several blended.

use tch::{Device, Tensor};

use super::crop::AlignedFace;
use super::error::ModelError;
use super::feed::{FaceBatch, Feed};
use super::predictor::{FaceOutputs, Predictor};
use crate::batch::BatchSize;
use crate::blend::blend_affects;
use crate::cuda;
use crate::face::DetectorSettings;
use crate::labels::{Affect, PerTask};

/// Networks, each with its weight in each task. Clones share the networks' weights.
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<(Predictor, PerTask<f64>)>,
    batch: BatchSize,
}

/// A pass that may still run.
pub struct PendingInference {
    batch: FaceBatch,
    /// The outputs of each network, in the host's memory once they have arrived.
    tables: Vec<Tensor>,
    arrived: Option<cuda::Event>,
}

impl Ensemble {
    /// The ensemble of these networks, with weights of at least 0, for batches of `batch` faces.
    pub fn new(members: Vec<(Predictor, PerTask<f64>)>, batch: BatchSize) -> Self {
        Self { members, batch }
    }

    /// The same ensemble, whose first network gives the feature of each face.
    pub fn with_features(self) -> Self {
        let mut members = self.members.into_iter();
        let first = members
            .next()
            .map(|(first, weights)| (first.with_features(), weights));
        Self {
            members: first.into_iter().chain(members).collect(),
            ..self
        }
    }

    /// Where the networks are.
    pub fn device(&self) -> Device {
        let first = self.members.first();
        first.map_or(Device::Cpu, |(network, _)| network.form().device)
    }

    /// The networks' outputs for each face, in order, over batches of the ensemble's size. Results do not depend
    /// on batching.
    ///
    /// # Errors
    /// As [`Ensemble::finish`].
    pub fn predict(&self, faces: &[&AlignedFace]) -> Result<Vec<Affect>, ModelError> {
        let feed = Feed::new(self.device(), &DetectorSettings::default(), self.batch, false);
        let mut affects = Vec::with_capacity(faces.len());
        for faces in faces.chunks(feed.face_batch()) {
            let outputs = self.finish(self.submit(feed.faces(faces)?)?)?;
            affects.extend(outputs.into_iter().map(|face| face.affect));
        }
        Ok(affects)
    }

    /// Gives one forward pass of each network to the device. On a GPU it runs on while this thread does something else.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn submit(&self, batch: FaceBatch) -> Result<PendingInference, ModelError> {
        let side = i64::from(AlignedFace::SIDE);
        let shape = [batch.size as i64, side, side, 3];
        let pixels = batch.pixels.on_device(self.device(), &shape)?;
        let tables = self.members.iter().map(|(network, _)| network.submit(&pixels));
        let tables = tables.collect::<Result<_, _>>()?;
        let arrived = match self.device() {
            Device::Cuda(number) => Some(cuda::Event::record(number)?),
            _ => None,
        };
        Ok(PendingInference {
            batch,
            tables,
            arrived,
        })
    }

    /// Waits for a pass: for each face the weighted mean of the networks' outputs. A task in which no network has a
    /// weight above 0 is `None`. The feature is the first network's, if it is wanted.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where an output is NaN or infinite, or libtorch's.
    pub fn finish(&self, pass: PendingInference) -> Result<Vec<FaceOutputs>, ModelError> {
        if let Some(arrived) = &pass.arrived {
            arrived.wait()?;
        }
        let faces = pass.batch.faces();
        let mut outputs = Vec::with_capacity(self.members.len());
        for ((network, weights), table) in self.members.iter().zip(&pass.tables) {
            outputs.push((network.finish(table, faces)?, *weights));
        }
        let affect =
            |face: usize| blend_affects(outputs.iter().map(|(of, weights)| (&of[face].affect, *weights)));
        let affects: Vec<Affect> = (0..faces).map(affect).collect();
        let first = outputs.into_iter().next().map(|(of, _)| of).unwrap_or_default();
        let features = first.into_iter().map(|face| face.feature);
        Ok(affects
            .into_iter()
            .zip(features)
            .map(|(affect, feature)| FaceOutputs { affect, feature })
            .collect())
    }
}
