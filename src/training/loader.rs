//! Batches, made beside the training step: images read, decoded and augmented on other threads.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, Scope};

use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use super::augmentation::Augmentation;
use super::dataset::{Dataset, Sample};
use super::error::TrainingError;
use super::loss::Labels;
use super::sampler::{Stream, random};
use crate::affwild2::FrameLabel;
use crate::frame::Picture;
use crate::labels::{ACTION_UNITS, INVALID_CLASS, INVALID_VALENCE_AROUSAL};
use crate::model::AlignedFace;

/// Batches that may wait.
const AHEAD: usize = 4;

/// Images and labels of one step.
#[derive(Debug)]
pub struct Batch {
    /// Its number in the epoch, 0-based.
    pub step: usize,
    /// `[N, 112, 112, 3]`, bytes, RGB.
    pub crops: Tensor,
    /// The labels of its images.
    pub labels: Labels,
    /// The names of its images.
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
    /// Indices of the samples in the data set, in the order of the epoch.
    pub order: Vec<usize>,
    /// Batches of the epoch.
    pub steps: usize,
    /// Where the batches are needed.
    pub device: Device,
}

impl<'a> Epoch<'a> {
    /// Steps of an epoch of `images` images in batches of at most `batch`. Sizes differ by one image at most, so that
    /// no batch is too small for batch statistics.
    pub fn steps(images: usize, batch: usize) -> usize {
        images.div_ceil(batch)
    }

    /// Starts a thread that makes the batches from step `first` on.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn batches<'scope>(
        self,
        first: usize,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Result<Receiver<Result<Batch, TchError>>, TrainingError>
    where
        'a: 'scope,
    {
        let (sender, receiver) = sync_channel(AHEAD);
        let make = move || {
            for step in first..self.steps {
                // The receiver is gone: the run has stopped.
                if sender.send(self.batch(step)).is_err() {
                    return;
                }
            }
        };
        Builder::new()
            .name("batches".to_owned())
            .spawn_scoped(scope, make)
            .map_err(|error| TrainingError::Threads(error.into()))?;
        Ok(receiver)
    }

    /// The part of the epoch's order that a step shows. On a GPU all batches of an epoch have one size, since cuDNN plans
    /// each size anew: fewer images than there are steps are left out of the epoch.
    fn part(&self, step: usize) -> std::ops::Range<usize> {
        let images = self.order.len();
        match self.device.is_cuda() {
            true => {
                let size = images / self.steps;
                step * size..(step + 1) * size
            }
            false => step * images / self.steps..(step + 1) * images / self.steps,
        }
    }

    fn batch(&self, step: usize) -> Result<Batch, TchError> {
        let images = self.order.len();
        let read: Vec<(&Sample, Result<Picture, String>)> = self
            .part(step)
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
        let size = [samples.len() as i64, side, side, 3];
        let labels = labels_of(samples.iter().map(|sample| &sample.label))?;
        Ok(Batch {
            step,
            crops: self.uploaded(Tensor::f_from_data_size(&crops, &size, Kind::Uint8)?)?,
            labels: Labels {
                valence_arousal: self.uploaded(labels.valence_arousal)?,
                expression: self.uploaded(labels.expression)?,
                action_units: self.uploaded(labels.action_units)?,
            },
            names: samples.iter().map(|sample| self.dataset.name(sample)).collect(),
            unreadable,
        })
    }

    /// The tensor on the epoch's device. To a GPU it goes from page-locked memory, so that nothing waits for the copy;
    /// libtorch keeps that memory until the copy is done.
    fn uploaded(&self, tensor: Tensor) -> Result<Tensor, TchError> {
        match self.device.is_cuda() {
            true => {
                let pinned = tensor.f_internal_pin_memory(self.device)?;
                pinned.f_to_device_(self.device, pinned.kind(), true, false)
            }
            false => Ok(tensor),
        }
    }
}

/// The labels as the losses take them, with the challenge's markers for what is not annotated.
pub(super) fn labels_of<'a>(labels: impl Iterator<Item = &'a FrameLabel>) -> Result<Labels, TchError> {
    let (mut points, mut classes, mut units) = (Vec::new(), Vec::new(), Vec::new());
    for label in labels {
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
    let rows = classes.len() as i64;
    Ok(Labels {
        valence_arousal: Tensor::f_from_slice(&points)?.f_view([rows, 2])?,
        expression: Tensor::f_from_slice(&classes)?,
        action_units: Tensor::f_from_slice(&units)?.f_view([rows, ACTION_UNITS as i64])?,
    })
}
