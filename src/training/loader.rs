//! Batches, made beside the training step: images read, decoded and augmented on other threads.

use std::thread::Scope;

use crossbeam_channel::{Receiver, bounded};
use rayon::prelude::*;
use tch::{Kind, TchError, Tensor};

use super::augmentation::Augmentation;
use super::dataset::{Dataset, Sample};
use super::loss::Labels;
use super::sampler::{Stream, random};
use crate::frame::Picture;
use crate::labels::{ACTION_UNITS, INVALID_CLASS, INVALID_VALENCE_AROUSAL};
use crate::model::AlignedFace;

/// Batches that may wait.
const AHEAD: usize = 4;

/// Images and labels of one step.
#[derive(Debug)]
pub struct Batch {
    /// Its place in the epoch, 0-based.
    pub step: usize,
    /// `[N, 112, 112, 3]`, bytes, RGB.
    pub crops: Tensor,
    pub labels: Labels,
    /// The images by name.
    pub names: Vec<String>,
    /// Images that could not be read, and why; they are not in the batch.
    pub unreadable: Vec<(String, String)>,
}

/// An epoch of training images.
#[derive(Debug)]
pub struct Epoch<'a> {
    pub dataset: &'a Dataset,
    pub augmentation: &'a Augmentation,
    pub seed: u64,
    /// 0-based.
    pub number: usize,
    /// Places of the samples in the data set.
    pub order: Vec<usize>,
    pub steps: usize,
}

impl<'a> Epoch<'a> {
    /// Steps of `images` images in batches of at most `batch`. Batches are of equal size but for one
    /// image, so that the last one is no rest too small for batch statistics.
    pub fn steps(images: usize, batch: usize) -> usize {
        images.div_ceil(batch)
    }

    /// Begins to make the batches from a step on.
    pub fn batches<'scope>(
        self,
        first: usize,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Receiver<Result<Batch, TchError>>
    where
        'a: 'scope,
    {
        let (sender, receiver) = bounded(AHEAD);
        scope.spawn(move || {
            for step in first..self.steps {
                // Nobody takes batches any more: the run has stopped.
                if sender.send(self.batch(step)).is_err() {
                    return;
                }
            }
        });
        receiver
    }

    fn batch(&self, step: usize) -> Result<Batch, TchError> {
        let images = self.order.len();
        let places = step * images / self.steps..(step + 1) * images / self.steps;
        let read: Vec<(&Sample, Result<Picture, String>)> = places
            .into_par_iter()
            .map(|place| {
                let sample = &self.dataset.samples()[self.order[place]];
                let drawn = self.number as u64 * images as u64 + place as u64;
                let crop = self.dataset.crop(sample).map(|crop| {
                    let mut random = random(self.seed, Stream::Augmentation, drawn);
                    self.augmentation.apply(&crop, &mut random)
                });
                (sample, crop)
            })
            .collect();
        let (mut crops, mut samples, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, crop) in read {
            match crop {
                Ok(crop) => {
                    crops.extend_from_slice(crop.rgb());
                    samples.push(sample);
                }
                Err(reason) => unreadable.push((self.dataset.name(sample), reason)),
            }
        }
        let side = i64::from(AlignedFace::SIDE);
        Ok(Batch {
            step,
            crops: Tensor::f_from_data_size(&crops, &[samples.len() as i64, side, side, 3], Kind::Uint8)?,
            labels: labels(&samples)?,
            names: samples.iter().map(|sample| self.dataset.name(sample)).collect(),
            unreadable,
        })
    }
}

/// The labels as the losses take them, with the challenge's markers for what is not annotated.
fn labels(samples: &[&Sample]) -> Result<Labels, TchError> {
    let (mut points, mut classes, mut units) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples {
        let label = &sample.label;
        points.extend(match label.valence_arousal {
            Some(point) => [point.valence, point.arousal],
            None => [INVALID_VALENCE_AROUSAL; 2],
        });
        classes.push(
            label
                .expression
                .map_or(i64::from(INVALID_CLASS), |class| class.index() as i64),
        );
        units.extend(
            label
                .action_units
                .map(|unit| unit.map_or(f32::from(INVALID_CLASS), |active| f32::from(u8::from(active)))),
        );
    }
    let rows = samples.len() as i64;
    Ok(Labels {
        valence_arousal: Tensor::f_from_slice(&points)?.f_view([rows, 2])?,
        expression: Tensor::f_from_slice(&classes)?,
        action_units: Tensor::f_from_slice(&units)?.f_view([rows, ACTION_UNITS as i64])?,
    })
}
