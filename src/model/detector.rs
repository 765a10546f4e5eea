//! The face detector: pictures in, faces out.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use super::detector_error::DetectorError;
use super::device_resize::DeviceResize;
use super::feed::{Feed, FrameBatch, FramePixels};
use super::retinaface::{Predictions, RetinaFace};
use crate::auto_number::AutoNumber;
use crate::cuda;
use crate::face::prior::priors;
use crate::face::resize::Resize;
use crate::face::{Candidate, Detection, DetectorSettings, detections};
use crate::frame::Picture;

/// RetinaFace with its weights on a device. A thread owns its detector; clones share the weights.
#[derive(Debug, Clone)]
pub struct Detector {
    network: RetinaFace,
    settings: DetectorSettings,
    resize: DeviceResize,
}

/// A pass that may still run.
pub struct PendingDetections {
    batch: FrameBatch,
    predictions: Predictions,
    best: Option<BestPriors>,
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
            resize: DeviceResize::default(),
        })
    }

    /// Where the network is.
    pub fn device(&self) -> Device {
        self.network.device()
    }

    /// The faces in each picture, in its pixels, most probable first. Pictures that are equal in the network's
    /// input size share passes of [`DetectorSettings::batch`]; results do not depend on batching.
    ///
    /// # Errors
    /// [`DetectorError::Torch`] if libtorch fails, such as for want of memory.
    pub fn detect(&self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, DetectorError> {
        let feed = Feed::new(
            self.device(),
            &self.settings,
            AutoNumber::Auto,
            self.device().is_cuda(),
        );
        let mut by_key = BTreeMap::<(u32, u32), Vec<usize>>::new();
        for (i, picture) in pictures.iter().enumerate() {
            if picture.width() > 0 && picture.height() > 0 {
                by_key.entry(feed.key(picture)).or_default().push(i);
            }
        }
        let mut faces = vec![Vec::new(); pictures.len()];
        for indices in by_key
            .values()
            .flat_map(|indices| indices.chunks(feed.frame_batch()))
        {
            let batch: Vec<&Picture> = indices.iter().map(|&i| pictures[i]).collect();
            let found = self.finish(self.submit(feed.frames(&batch)?)?)?;
            for (&i, candidates) in indices.iter().zip(found) {
                let size = (pictures[i].width(), pictures[i].height());
                let factor = Resize::factor_of(size.0, size.1, self.settings.long_side);
                faces[i] = detections(candidates, size, factor, self.settings.overlap);
            }
        }
        Ok(faces)
    }

    /// Gives one forward pass to the device. On a GPU it runs on while this thread does something else.
    ///
    /// # Errors
    /// [`DetectorError::Torch`] if libtorch fails, such as for want of memory.
    pub fn submit(&self, batch: FrameBatch) -> Result<PendingDetections, DetectorError> {
        tch::no_grad(|| {
            let predictions = self.network.forward(&self.input(&batch)?)?;
            let best = match self.device() {
                Device::Cuda(number) => Some(BestPriors::submit(&predictions, number)?),
                _ => None,
            };
            Ok(PendingDetections {
                batch,
                predictions,
                best,
            })
        })
    }

    /// Waits for a pass: for each picture the priors that are more probably a face than
    /// [`DetectorSettings::confidence`].
    ///
    /// # Errors
    /// [`DetectorError::Torch`] if libtorch fails.
    pub fn finish(&self, pass: PendingDetections) -> Result<Vec<Vec<Candidate>>, DetectorError> {
        let PendingDetections {
            batch,
            predictions,
            best,
        } = &pass;
        let best = best
            .as_ref()
            .map(|best| best.finish(batch, self.settings.confidence));
        match best.transpose()?.flatten() {
            Some(candidates) => Ok(candidates),
            None => self.candidates(predictions, batch),
        }
    }

    /// `[batch, 3, H, W]` on the network's device, on a CPU in channels_last.
    fn input(&self, batch: &FrameBatch) -> Result<Tensor, DetectorError> {
        let size = batch.size as i64;
        let ((width, height), device) = (batch.input, self.device());
        let values = match &batch.pixels {
            FramePixels::Resized(values) => values
                .as_floats(&[size, height.into(), width.into(), 3])?
                .f_to_device(device)?,
            FramePixels::Whole((width, height), bytes) => {
                let shape = [size, (*height).into(), (*width).into(), 3];
                let frames = bytes.on_device(device, &shape)?;
                self.resize.apply(&frames, self.settings.long_side)?
            }
        };
        let values = values.f_permute([0, 3, 1, 2])?;
        match device {
            Device::Cuda(_) => Ok(values.f_contiguous()?),
            _ => Ok(values),
        }
    }

    fn candidates(
        &self,
        predictions: &Predictions,
        batch: &FrameBatch,
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

        let priors = priors(batch.input.0, batch.input.1);
        let mut candidates = vec![Vec::new(); batch.pictures];
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

/// The most probable priors of each picture on their way from a GPU: all that is read in nearly every pass, so that a
/// batch's answers come down at once.
struct BestPriors {
    /// `[N, BEST, 16]` in the host's memory: score, number, 4 numbers of the box, 10 of the landmarks.
    numbers: Tensor,
    arrived: cuda::Event,
}

/// A face is found by some 20 priors.
const BEST: i64 = 512;
const NUMBERS: usize = 16;

impl BestPriors {
    fn submit(predictions: &Predictions, device: usize) -> Result<Self, DetectorError> {
        let numbers = best_priors(predictions)?.f_to_device_(Device::Cpu, Kind::Float, true, false)?;
        let arrived = cuda::Event::record(device)?;
        Ok(Self { numbers, arrived })
    }

    /// The candidates of each picture, in the order of priors; `None` if there are more than were read.
    fn finish(
        &self,
        batch: &FrameBatch,
        confidence: f32,
    ) -> Result<Option<Vec<Vec<Candidate>>>, DetectorError> {
        self.arrived.wait()?;
        candidates_of(&to_vec(&self.numbers)?, batch, confidence)
    }
}

/// The most probable priors, `[N, BEST or all, 16]`: score, number, box, landmarks.
fn best_priors(predictions: &Predictions) -> Result<Tensor, TchError> {
    let count = BEST.min(predictions.scores.size2()?.1);
    let (scores, numbers) = predictions.scores.f_topk(count, 1, true, true)?;
    let numbers = numbers.f_unsqueeze(2)?;
    let of = |all: &Tensor, values: i64| all.f_gather(1, &numbers.f_expand([-1, -1, values], false)?, false);
    let parts = [
        scores.f_unsqueeze(2)?,
        // A float32 holds whole numbers up to 16,777,216.
        numbers.f_to_kind(Kind::Float)?,
        of(&predictions.boxes, 4)?,
        of(&predictions.landmarks, 10)?,
    ];
    Tensor::f_cat(&parts, 2)
}

fn candidates_of(
    numbers: &[f32],
    batch: &FrameBatch,
    confidence: f32,
) -> Result<Option<Vec<Vec<Candidate>>>, DetectorError> {
    let priors = priors(batch.input.0, batch.input.1);
    let count = priors.len().min(BEST as usize);
    let mut candidates = Vec::with_capacity(batch.pictures);
    for rows in numbers
        .as_chunks::<NUMBERS>()
        .0
        .chunks_exact(count)
        .take(batch.pictures)
    {
        let mut found: Vec<(usize, Candidate)> = Vec::new();
        for row in rows.iter().take_while(|row| row[0] > confidence) {
            let number = row[1] as usize;
            let Some(&prior) = priors.get(number) else {
                continue;
            };
            let candidate = Candidate {
                prior,
                score: row[0],
                bounding_box: std::array::from_fn(|i| row[2 + i]),
                landmarks: std::array::from_fn(|i| row[6 + i]),
            };
            found.push((number, candidate));
        }
        if found.len() == count && count < priors.len() {
            return Ok(None);
        }
        // Of equal scores the first prior counts.
        found.sort_by_key(|(number, _)| *number);
        candidates.push(found.into_iter().map(|(_, candidate)| candidate).collect());
    }
    Ok(Some(candidates))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staging::StagingPool;
    use tch::IndexOp;

    #[test]
    fn the_best_priors_are_those_above_the_confidence() {
        tch::manual_seed(7);
        let (width, height) = (64, 48);
        let all = priors(width, height).len() as i64;
        let random = |values: &[i64]| Tensor::rand(values, (Kind::Float, Device::Cpu));
        let predictions = Predictions {
            scores: random(&[2, all]),
            boxes: random(&[2, all, 4]),
            landmarks: random(&[2, all, 10]),
        };
        let batch = FrameBatch {
            pictures: 2,
            size: 2,
            input: (width, height),
            pixels: FramePixels::Resized(StagingPool::new(Device::Cpu).take(0).unwrap()),
        };
        let numbers = to_vec(&best_priors(&predictions).unwrap()).unwrap();
        for confidence in [0.5, 0.9] {
            let found = candidates_of(&numbers, &batch, confidence).unwrap().unwrap();
            for (picture, candidates) in found.iter().enumerate() {
                let scores = to_vec(&predictions.scores.i(picture as i64)).unwrap();
                let above: Vec<f32> = scores.into_iter().filter(|score| *score > confidence).collect();
                let ours: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
                assert_eq!(ours, above);
            }
        }
    }
}
