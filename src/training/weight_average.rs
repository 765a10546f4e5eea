//! The running average of the weights, which is evaluated and saved in their place.

use tch::{Tensor, no_grad};

use super::error::TrainingError;
use crate::model::NamedTensors;

/// An exponential moving average of named tensors.
#[derive(Debug)]
pub struct WeightAverage {
    /// The share that stays at every step, once the average is old.
    decay: f64,
    tensors: NamedTensors,
}

impl WeightAverage {
    /// An average that is equal to `tensors`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(decay: f64, tensors: &NamedTensors) -> Result<Self, TrainingError> {
        Ok(Self {
            decay,
            tensors: copies(tensors)?,
        })
    }

    /// Moves the average towards `tensors`, which `steps` steps have changed. A young average forgets faster: it keeps at
    /// most `steps / (9 + steps)`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn update(&mut self, tensors: &NamedTensors, steps: usize) -> Result<(), TrainingError> {
        let steps = steps as f64;
        let kept = self.decay.min(steps / (9.0 + steps));
        no_grad(|| {
            for (name, tensor) in tensors {
                if let Some(average) = self.tensors.get_mut(name) {
                    let _ = average.f_lerp_(tensor, 1.0 - kept)?;
                }
            }
            Ok(())
        })
    }

    /// A copy of the average.
    ///
    /// # Errors
    /// libtorch's.
    pub fn tensors(&self) -> Result<NamedTensors, TrainingError> {
        copies(&self.tensors)
    }

    /// Takes over an average that was saved; false if a tensor is missing in it.
    ///
    /// # Errors
    /// libtorch's.
    pub fn restore(&mut self, saved: &NamedTensors) -> Result<bool, TrainingError> {
        for (name, average) in &mut self.tensors {
            match saved.get(name) {
                Some(saved) => average.f_copy_(saved)?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn copies(tensors: &NamedTensors) -> Result<NamedTensors, TrainingError> {
    let copy = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.f_detach_copy()?));
    tensors.iter().map(copy).collect()
}
