//! A copy of the network that computes losses and gradients of its part of a batch.

use tch::nn::VarStore;
use tch::{Device, TchError, Tensor};

use super::error::TrainingError;
use super::loss::{ActionUnitMask, Labels, LossWeights, Losses};
use super::loss_values::LossValues;
use super::recipe::Layers;
use crate::model::{Architecture, Ddamfn, Mode, ModelError, NamedTensors};

/// What a phase minimises, and by which layers.
#[derive(Debug)]
pub struct Objective {
    /// The weight of each loss in the total.
    pub weights: LossWeights,
    /// Which action unit labels count.
    pub mask: ActionUnitMask,
    /// `[8]`, a weight for each expression.
    pub class_weights: Option<Tensor>,
    /// The layers that are trained.
    pub layers: Layers,
}

/// One copy of a network in training, with batch statistics of its own.
#[derive(Debug)]
pub struct Replica {
    network: Ddamfn,
    /// All parameters, in order of name.
    pub parameters: Vec<(String, Tensor)>,
    /// Running means and variances, in order of name.
    pub statistics: Vec<(String, Tensor)>,
}

/// Losses and gradients of one part of a batch.
#[derive(Debug)]
pub struct Gradients {
    /// Images of the part.
    pub images: f64,
    /// The losses as numbers.
    pub losses: LossValues,
    /// One for each trained tensor, in order of name; `None` where the losses do not depend on it.
    pub gradients: Vec<Option<Tensor>>,
}

impl Replica {
    /// The network of `tensors` on a device.
    ///
    /// # Errors
    /// Tensors that do not fit, or libtorch's.
    pub fn new(
        architecture: &Architecture,
        tensors: &NamedTensors,
        device: Device,
    ) -> Result<Self, TrainingError> {
        let store = VarStore::new(device);
        let network = Ddamfn::from_tensors(&store, architecture, tensors)?;
        let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (statistics, parameters) = variables
            .into_iter()
            .partition(|(name, _)| name.ends_with(".running_mean") || name.ends_with(".running_var"));
        Ok(Self {
            network,
            parameters,
            statistics,
        })
    }

    /// The tensors of the trained layers, in order of name.
    pub fn trained(&self, layers: Layers) -> Vec<(String, Tensor)> {
        let trained = self
            .parameters
            .iter()
            .filter(|(name, _)| is_trained(name, layers));
        trained
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect()
    }

    /// Runs one forward and one backward pass over images `[N, 3, 112, 112]`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn compute(
        &mut self,
        crops: &Tensor,
        labels: &Labels,
        objective: &Objective,
    ) -> Result<Gradients, TchError> {
        let trained = self.trained(objective.layers);
        for (_, parameter) in &trained {
            parameter.shallow_clone().zero_grad();
        }
        let mode = match objective.layers {
            Layers::Classifier => Mode::Inference,
            Layers::All => Mode::Training,
        };
        let outputs = self.network.forward(crops, mode).map_err(torch)?;
        let losses = Losses::of(&outputs, labels, objective.mask, objective.class_weights.as_ref())?;
        let total = losses.total(&objective.weights)?;
        total.f_backward()?;
        let gradients = trained.iter().map(|(_, parameter)| {
            let gradient = parameter.f_grad()?;
            Ok(gradient.defined().then_some(gradient))
        });
        let gradients = gradients.collect::<Result<_, TchError>>()?;
        Ok(Gradients {
            images: crops.size()[0] as f64,
            losses: LossValues::of(&total, &losses)?,
            gradients,
        })
    }
}

impl Objective {
    /// The same for another thread.
    pub fn shared(&self) -> Self {
        Self {
            class_weights: self.class_weights.as_ref().map(Tensor::shallow_clone),
            ..*self
        }
    }
}

/// Means over parts, weighted by their images.
///
/// # Errors
/// libtorch's.
pub fn mean(parts: Vec<Gradients>) -> Result<Gradients, TchError> {
    let images: f64 = parts.iter().map(|part| part.images).sum();
    let losses = LossValues::mean(parts.iter().map(|part| (part.losses, part.images)));
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return Ok(Gradients {
            images,
            losses,
            gradients: Vec::new(),
        });
    };
    if first.images == images {
        return Ok(first);
    }
    let weigh = |gradient: Tensor, part: f64| gradient.f_mul_scalar(part / images);
    let mut gradients = first
        .gradients
        .into_iter()
        .map(|gradient| gradient.map(|gradient| weigh(gradient, first.images)).transpose())
        .collect::<Result<Vec<Option<Tensor>>, TchError>>()?;
    for part in parts {
        for (sum, gradient) in gradients.iter_mut().zip(part.gradients) {
            let Some(gradient) = gradient else { continue };
            let weighed = weigh(gradient, part.images)?;
            *sum = Some(match sum.take() {
                Some(sum) => sum.f_add(&weighed)?,
                None => weighed,
            });
        }
    }
    Ok(Gradients {
        images,
        losses,
        gradients,
    })
}

/// Whether a phase that trains `layers` changes the tensor of this name.
pub fn is_trained(name: &str, layers: Layers) -> bool {
    match layers {
        Layers::All => true,
        Layers::Classifier => name.starts_with("custom_classifier."),
    }
}

/// The network's own error here can only be libtorch's.
fn torch(error: ModelError) -> TchError {
    match error {
        ModelError::Torch(error) => error,
        other => TchError::Torch(other.to_string()),
    }
}
