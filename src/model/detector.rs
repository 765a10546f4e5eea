//! The face detector: pictures in, faces out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, TchError, Tensor};

use super::retinaface::{Predictions, RetinaFace};
use crate::face::prior::priors;
use crate::face::resize::Resize;
use crate::face::{Candidate, Detection, DetectorBatch, DetectorSettings, FaceError, detections};
use crate::frame::Picture;

/// Why no faces could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The weight file is missing or no safetensors file.
    #[error("cannot read the detector's weights {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: TchError,
    },
    /// The weight file holds something else than RetinaFace mobilenet0.25.
    #[error("{} does not hold a RetinaFace mobilenet0.25: {problem}", path.display())]
    Misfit { path: PathBuf, problem: String },
    /// A setting out of its range.
    #[error(transparent)]
    Setting(#[from] FaceError),
    /// libtorch failed: out of memory, no such device.
    #[error("the face detector failed")]
    Torch(#[from] TchError),
}

/// RetinaFace with its weights on a device. A thread owns its detector; clones share the weights.
#[derive(Debug, Clone)]
pub struct Detector {
    network: RetinaFace,
    settings: DetectorSettings,
}

impl Detector {
    /// Reads the weights, a `.safetensors` file with RetinaFace mobilenet0.25 under its PyTorch names,
    /// and puts them on a device.
    ///
    /// # Errors
    /// If the file is not such a file, a setting is out of its range, or there is no such device.
    pub fn load(path: &Path, device: Device, settings: &DetectorSettings) -> Result<Self, DetectorError> {
        settings.check()?;
        Ok(Self {
            network: RetinaFace::load(path, device)?,
            settings: settings.clone(),
        })
    }

    /// The faces in each picture, in its pixels, most probable first. Pictures that are equal in the network's
    /// input size share passes of [`DetectorSettings::batch`]; results do not depend on batching.
    ///
    /// # Errors
    /// [`DetectorError::Torch`] if libtorch fails, such as for want of memory.
    pub fn detect(&self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, DetectorError> {
        let long_side = self.settings.long_side;
        let mut by_input = BTreeMap::<(u32, u32), Vec<usize>>::new();
        for (i, picture) in pictures.iter().enumerate() {
            let (width, height) = (picture.width(), picture.height());
            if width > 0 && height > 0 {
                let input = Resize::output_size(width, height, long_side);
                by_input.entry(input).or_default().push(i);
            }
        }
        let mut faces = vec![Vec::new(); pictures.len()];
        for indices in by_input
            .values()
            .flat_map(|indices| indices.chunks(self.settings.batch))
        {
            let batch: Vec<&Picture> = indices.iter().map(|&i| pictures[i]).collect();
            let found = self.run(&DetectorBatch::prepare(&batch, &self.settings))?;
            for (&i, candidates) in indices.iter().zip(found) {
                let factor = Resize::factor_of(pictures[i].width(), pictures[i].height(), long_side);
                faces[i] = detections(candidates, factor, self.settings.overlap);
            }
        }
        Ok(faces)
    }

    /// One forward pass: for each picture the priors that are more probably a face than
    /// [`DetectorSettings::confidence`].
    ///
    /// # Errors
    /// [`DetectorError::Torch`] if libtorch fails, such as for want of memory.
    pub fn run(&self, batch: &DetectorBatch) -> Result<Vec<Vec<Candidate>>, DetectorError> {
        let predictions = self.network.forward(&self.input(batch)?)?;
        self.candidates(&predictions, batch)
    }

    /// `[batch, 3, H, W]` in channels_last on the network's device; one transfer.
    fn input(&self, batch: &DetectorBatch) -> Result<Tensor, DetectorError> {
        let (height, width) = (i64::from(batch.height()), i64::from(batch.width()));
        Ok(Tensor::f_from_slice(batch.values())?
            .f_view([-1, height, width, 3])?
            .f_permute([0, 3, 1, 2])?
            .f_to_device(self.network.device())?)
    }

    fn candidates(
        &self,
        predictions: &Predictions,
        batch: &DetectorBatch,
    ) -> Result<Vec<Vec<Candidate>>, DetectorError> {
        let scores = to_vec(&predictions.scores)?;
        let chosen: Vec<usize> = (0..scores.len())
            .filter(|&i| scores[i] > self.settings.confidence)
            .collect();
        // Only the chosen rows leave the device.
        let index: Vec<i64> = chosen.iter().map(|&i| i as i64).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(self.network.device())?;
        let rows = |all: &Tensor| to_vec(&all.f_flatten(0, 1)?.f_index_select(0, &index)?);
        let boxes = rows(&predictions.boxes)?;
        let landmarks = rows(&predictions.landmarks)?;

        let priors = priors(batch.width(), batch.height());
        let mut candidates = vec![Vec::new(); batch.pictures()];
        let offsets = boxes.as_chunks().0.iter().zip(landmarks.as_chunks().0);
        for (i, (&bounding_box, &landmarks)) in chosen.into_iter().zip(offsets) {
            // What was filled up shows nothing.
            if let Some(candidates) = candidates.get_mut(i / priors.len()) {
                candidates.push(Candidate {
                    prior: priors[i % priors.len()],
                    score: scores[i],
                    bounding_box,
                    landmarks,
                });
            }
        }
        Ok(candidates)
    }
}

/// A float32 tensor's values in order.
fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, DetectorError> {
    let mut values = vec![0.0; tensor.numel()];
    tensor
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}
