//! The networks that annotate a face: one for all tasks, one a task, or several blended.

use tch::{Device, Tensor};

use super::crop::{AlignedFace, FaceCrops};
use super::error::ModelError;
use super::feed::{FaceBatch, Feed};
use super::predictor::{FaceOutputs, Predictor};
use super::torchscript::ScriptNetwork;
use crate::auto_number::AutoNumber;
use crate::blend::blend_affects;
use crate::cuda;
use crate::face::{CropForm, DetectorSettings};
use crate::labels::{Affect, PerTask};

/// A network that annotates faces. A clone shares its weights.
#[derive(Debug, Clone)]
pub enum Network {
    /// A DDAMFN.
    Ddamfn(Box<Predictor>),
    /// Another one, as a TorchScript program.
    TorchScript(Box<ScriptNetwork>),
}

impl From<Predictor> for Network {
    fn from(predictor: Predictor) -> Self {
        Self::Ddamfn(Box::new(predictor))
    }
}

impl From<ScriptNetwork> for Network {
    fn from(network: ScriptNetwork) -> Self {
        Self::TorchScript(Box::new(network))
    }
}

impl Network {
    fn device(&self) -> Device {
        match self {
            Self::Ddamfn(predictor) => predictor.form().device,
            Self::TorchScript(network) => network.device(),
        }
    }

    /// The outputs for the first `faces` faces of a table.
    fn finish(&self, table: &Tensor, faces: usize) -> Result<Vec<FaceOutputs>, ModelError> {
        let without_feature = |affect| FaceOutputs {
            affect,
            feature: None,
        };
        match self {
            Self::Ddamfn(predictor) => predictor.finish(table, faces),
            Self::TorchScript(network) => {
                let affects = network.finish(table, faces)?;
                Ok(affects.into_iter().map(without_feature).collect())
            }
        }
    }
}

/// Networks, each with its weight in each task. Clones share the networks' weights.
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<(Network, PerTask<f64>)>,
    /// In which faces are cut out beside DDAMFN's, each once.
    crop_forms: Vec<CropForm>,
    batch: AutoNumber,
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
    pub fn new(members: Vec<(Network, PerTask<f64>)>, batch: AutoNumber) -> Self {
        let mut crop_forms = Vec::new();
        for (network, _) in &members {
            if let Network::TorchScript(network) = network
                && !crop_forms.contains(&network.crop_form())
            {
                crop_forms.push(network.crop_form());
            }
        }
        Self {
            members,
            crop_forms,
            batch,
        }
    }

    /// The same ensemble, whose first network gives the feature of each face, if it is a DDAMFN.
    pub fn with_features(self) -> Self {
        let mut members = self.members.into_iter();
        let first = members.next().map(|(first, weights)| match first {
            Network::Ddamfn(predictor) => (predictor.with_features().into(), weights),
            other => (other, weights),
        });
        Self {
            members: first.into_iter().chain(members).collect(),
            ..self
        }
    }

    /// In which forms faces are cut out for it beside DDAMFN's: the [others](FaceCrops::others), in order.
    pub fn crop_forms(&self) -> &[CropForm] {
        &self.crop_forms
    }

    /// Where the networks are.
    pub fn device(&self) -> Device {
        let first = self.members.first();
        first.map_or(Device::Cpu, |(network, _)| network.device())
    }

    /// The networks' outputs for each face, in order, over batches of the ensemble's size. Results do not depend
    /// on batching.
    ///
    /// # Errors
    /// As [`Ensemble::finish`].
    pub fn predict(&self, faces: &[&FaceCrops]) -> Result<Vec<Affect>, ModelError> {
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
    /// A network's: libtorch's, for want of memory; outputs that are not as a card tells.
    pub fn submit(&self, batch: FaceBatch) -> Result<PendingInference, ModelError> {
        let shape = |side: u32| [batch.size as i64, i64::from(side), i64::from(side), 3];
        let is_ddamfn = |(network, _): &(Network, _)| matches!(network, Network::Ddamfn(_));
        let mut aligned = None;
        if self.members.iter().any(is_ddamfn) {
            let shape = shape(AlignedFace::SIDE);
            aligned = Some(batch.pixels.on_device(self.device(), &shape)?);
        }
        let mut others = Vec::with_capacity(batch.others.len());
        for (form, (side, pixels)) in self.crop_forms.iter().zip(&batch.others) {
            others.push((form, pixels.on_device(self.device(), &shape(*side))?));
        }
        let mut tables = Vec::with_capacity(self.members.len());
        for (network, _) in &self.members {
            tables.push(match network {
                Network::Ddamfn(predictor) => {
                    let pixels = aligned.as_ref().ok_or(ModelError::NoCrop)?;
                    predictor.submit(pixels)?
                }
                Network::TorchScript(network) => {
                    let of_form = others.iter().find(|(form, _)| **form == network.crop_form());
                    let (_, pixels) = of_form.ok_or(ModelError::NoCrop)?;
                    network.submit(pixels)?
                }
            });
        }
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
