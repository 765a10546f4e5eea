//! The face detector: pictures in, faces out.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::prior::{Prior, priors};
use super::resize::Resize;
use super::retinaface::{Predictions, RetinaFace};
use super::suppression::suppress;
use super::{BoundingBox, Detection, FaceError, Landmarks, Point};
use crate::frame::{FrameIndex, Picture};

/// How faces are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorSettings {
    /// Pixels along the longer side of what the network sees, at least 32; smaller pictures are enlarged
    /// to it. Faces under about 20 of these pixels are found by luck; the cost grows with the square.
    pub long_side: u32,
    /// Faces must be more probable than this, in [0, 1).
    pub confidence: f32,
    /// Greatest overlap (intersection over union) of two faces' boxes, in [0, 1]; of two boxes with
    /// more, the less probable one is dropped.
    pub overlap: f32,
    /// Pictures that go through the network together, at least 1. On a CPU few are fastest.
    pub batch: usize,
    /// The detector runs on every so manieth frame, from the first, and on the first frame of each
    /// shot; in between the tracker carries the faces on. 1: on every frame.
    pub every: NonZeroU32,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        Self {
            long_side: 640,
            confidence: 0.6,
            overlap: 0.35,
            batch: 4,
            every: NonZeroU32::MIN,
        }
    }
}

impl DetectorSettings {
    /// Width and height to which a frame's picture is resized for the network; `None` if the detector
    /// does not run on a frame of this number, unless a shot begins with it.
    pub fn input_of(&self, frame: FrameIndex, picture: &Picture) -> Option<(u32, u32)> {
        let runs = (frame.number() - 1).is_multiple_of(self.every.get());
        runs.then(|| Resize::output_size(picture.width(), picture.height(), self.long_side))
    }

    /// Refuses values out of their ranges.
    pub fn check(&self) -> Result<(), FaceError> {
        let wrong = |name, range| Err(FaceError::Setting { name, range });
        if self.long_side < 32 {
            return wrong("long_side", "at least 32");
        }
        if !(0.0..1.0).contains(&self.confidence) {
            return wrong("confidence", "from 0 to below 1");
        }
        if !(0.0..=1.0).contains(&self.overlap) {
            return wrong("overlap", "from 0 to 1");
        }
        if self.batch == 0 {
            return wrong("batch", "at least 1");
        }
        Ok(())
    }
}

/// RetinaFace with its weights on a device. A thread owns its detector; [`Detector::fork`] makes one
/// for another thread.
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
    pub fn load(path: &Path, device: Device, settings: &DetectorSettings) -> Result<Self, FaceError> {
        settings.check()?;
        Ok(Self {
            network: RetinaFace::load(path, device)?,
            settings: settings.clone(),
        })
    }

    /// The same detector for another thread; the weights are shared.
    pub fn fork(&self) -> Self {
        Self {
            network: self.network.fork(),
            settings: self.settings.clone(),
        }
    }

    /// The faces in each picture, in its pixels, most probable first. Pictures that are alike in the
    /// network's input size are looked at together, [`DetectorSettings::batch`] at once.
    ///
    /// What is found in a picture does not depend on the others: a batch that is not full is filled
    /// up, so that the network always looks at as many.
    ///
    /// # Errors
    /// [`FaceError::Torch`] if libtorch fails, such as for want of memory.
    pub fn detect(&self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, FaceError> {
        let mut by_input = BTreeMap::<(u32, u32), Vec<usize>>::new();
        for (i, picture) in pictures.iter().enumerate() {
            let (width, height) = (picture.width(), picture.height());
            if width > 0 && height > 0 {
                let input = Resize::output_size(width, height, self.settings.long_side);
                by_input.entry(input).or_default().push(i);
            }
        }
        let mut detections = vec![Vec::new(); pictures.len()];
        for ((width, height), places) in by_input {
            let priors = priors(width, height);
            for places in places.chunks(self.settings.batch) {
                let batch: Vec<&Picture> = places.iter().map(|&i| pictures[i]).collect();
                let found = self.detect_batch(&batch, &priors)?;
                for (&i, faces) in places.iter().zip(found) {
                    detections[i] = faces;
                }
            }
        }
        Ok(detections)
    }

    /// The faces in each of some pictures of one input size, a batch at most.
    fn detect_batch(
        &self,
        pictures: &[&Picture],
        priors: &[Prior],
    ) -> Result<Vec<Vec<Detection>>, FaceError> {
        let resize = |picture: &&Picture| {
            Resize::to_long_side(picture.width(), picture.height(), self.settings.long_side)
        };
        let resizes: Vec<Resize> = pictures.iter().map(resize).collect();
        let input = self.input(pictures, &resizes)?;
        let predictions = self.network.forward(&input)?;
        let mut candidates = vec![Vec::new(); pictures.len()];
        for (place, candidate) in self.candidates(&predictions, priors)? {
            // What was filled up shows nothing.
            let Some((resize, candidates)) = resizes.get(place).zip(candidates.get_mut(place)) else {
                continue;
            };
            let candidate = scale(candidate, 1.0 / resize.factor());
            if is_finite(&candidate) {
                candidates.push(candidate);
            }
        }
        Ok(candidates
            .into_iter()
            .map(|candidates| suppress(candidates, self.settings.overlap))
            .collect())
    }

    /// `[batch, 3, H, W]` in channels_last on the network's device; one transfer. Places without a
    /// picture are 0.
    fn input(&self, pictures: &[&Picture], resizes: &[Resize]) -> Result<Tensor, FaceError> {
        let (width, height) = match resizes.first() {
            Some(resize) => (resize.width() as usize, resize.height() as usize),
            None => (0, 0),
        };
        let batch = self.settings.batch;
        let mut values = Vec::with_capacity(batch * height * width * 3);
        for (picture, resize) in pictures.iter().zip(resizes) {
            resize.append(picture, &mut values);
        }
        values.resize(batch * height * width * 3, 0.0);
        let shape = [batch as i64, height as i64, width as i64, 3];
        Ok(Tensor::f_from_slice(&values)?
            .f_view(shape)?
            .f_permute([0, 3, 1, 2])?
            .f_to_device(self.network.device())?)
    }

    /// The priors with a face, each with its picture's place in the batch, in pixels of the network's
    /// input, before suppression.
    fn candidates(
        &self,
        predictions: &Predictions,
        priors: &[Prior],
    ) -> Result<Vec<(usize, Detection)>, FaceError> {
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

        let mut candidates = Vec::with_capacity(chosen.len());
        let offsets = boxes.as_chunks().0.iter().zip(landmarks.as_chunks().0);
        for (i, (&bounding_box, &landmarks)) in chosen.into_iter().zip(offsets) {
            let (place, prior) = (i / priors.len(), priors[i % priors.len()]);
            let detection = Detection {
                score: scores[i],
                bounding_box: prior.bounding_box(bounding_box),
                landmarks: prior.landmarks(landmarks),
            };
            candidates.push((place, detection));
        }
        Ok(candidates)
    }
}

/// A float32 tensor's values in order.
fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, FaceError> {
    let mut values = vec![0.0; tensor.numel()];
    tensor
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

fn scale(detection: Detection, factor: f64) -> Detection {
    let scale = |value: f32| (f64::from(value) * factor) as f32;
    let BoundingBox { x1, y1, x2, y2 } = detection.bounding_box;
    Detection {
        score: detection.score,
        bounding_box: BoundingBox {
            x1: scale(x1),
            y1: scale(y1),
            x2: scale(x2),
            y2: scale(y2),
        },
        landmarks: Landmarks(detection.landmarks.0.map(|Point { x, y }| Point {
            x: scale(x),
            y: scale(y),
        })),
    }
}

/// Damaged weights can give numbers that no face has.
fn is_finite(detection: &Detection) -> bool {
    let BoundingBox { x1, y1, x2, y2 } = detection.bounding_box;
    let points = detection.landmarks.0;
    [x1, y1, x2, y2]
        .into_iter()
        .chain(points.into_iter().flat_map(|p| [p.x, p.y]))
        .all(f32::is_finite)
}
