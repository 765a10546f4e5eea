//! One training step: losses and gradients of a batch, perhaps in parts side by side, and what they do
//! to the weights.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::error::TrainingError;
use super::loader::Batch;
use super::loss::{ActionUnitMask, Labels, LossWeights, Losses};
use super::optimizer::{Adam, climb, climb_down};
use super::recipe::{Layers, LossSettings, Phase};
use crate::labels::EXPRESSIONS;
use crate::model::{Architecture, Ddamfn, Mode, NamedTensors, Normalisation, Precision};

/// The losses of a step, or their mean over steps. A task without a valid label is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LossValues {
    pub total: f64,
    pub valence_arousal: Option<f64>,
    pub expression: Option<f64>,
    pub action_units: Option<f64>,
    pub attention: f64,
}

/// What the losses count in a phase.
#[derive(Debug)]
struct Rules {
    weights: LossWeights,
    mask: ActionUnitMask,
    /// `[8]`, a weight for each expression.
    class_weights: Option<Tensor>,
    layers: Layers,
}

/// A network that learns, in as many copies as a batch has parts.
#[derive(Debug)]
pub struct Learner {
    /// The first is the one that the optimiser changes; the others follow it.
    replicas: Vec<Replica>,
    /// One thread a replica where there are several.
    pool: Option<ThreadPool>,
    /// Of the maps; weights, gradients and losses are `f32`.
    precision: Precision,
    device: Device,
}

#[derive(Debug)]
struct Replica {
    network: Ddamfn,
    /// All parameters, in order of name.
    parameters: Vec<(String, Tensor)>,
    /// Running means and variances, in order of name.
    statistics: Vec<(String, Tensor)>,
}

/// Losses and gradients of one part of a batch.
struct Computed {
    /// Images of the part.
    images: f64,
    losses: LossValues,
    gradients: Vec<Option<Tensor>>,
}

impl Learner {
    /// The network of `tensors` on a device, its maps computed in `precision`.
    ///
    /// # Errors
    /// Tensors that do not fit, libtorch's, or threads that cannot be started.
    pub fn new(
        architecture: &Architecture,
        tensors: &NamedTensors,
        replicas: usize,
        precision: Precision,
        device: Device,
    ) -> Result<Self, TrainingError> {
        let replica = |_| Replica::new(architecture, tensors, device);
        let pool = (replicas > 1)
            .then(|| {
                ThreadPoolBuilder::new()
                    .num_threads(replicas)
                    .thread_name(|i| format!("replica {i}"))
                    .start_handler(|_| tch::set_num_threads(1))
                    .build()
            })
            .transpose()
            .map_err(|error| TrainingError::Threads(error.to_string()))?;
        Ok(Self {
            replicas: (0..replicas).map(replica).collect::<Result<_, _>>()?,
            pool,
            precision,
            device,
        })
    }

    /// The tensors that a phase trains, in order of name; all others are frozen until the next call.
    pub fn begin(&self, layers: Layers) -> Vec<(String, Tensor)> {
        for replica in &self.replicas {
            for (name, parameter) in &replica.parameters {
                let _ = parameter.set_requires_grad(is_trained(name, layers));
            }
        }
        self.replicas[0].trained(layers)
    }

    /// All weights, statistics too, by name. They share their storage with the network.
    pub fn tensors(&self) -> NamedTensors {
        let Replica {
            parameters,
            statistics,
            ..
        } = &self.replicas[0];
        let shared = |(name, tensor): &(String, Tensor)| (name.clone(), tensor.detach());
        parameters.iter().chain(statistics).map(shared).collect()
    }

    /// Takes a step on a batch. `class_weights` holds one for each expression.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`], the weights left as they were, or libtorch's.
    pub fn step(
        &mut self,
        batch: &Batch,
        phase: &Phase,
        settings: &LossSettings,
        class_weights: Option<&[f32; EXPRESSIONS]>,
        adam: &mut Adam,
        learning_rate: f64,
    ) -> Result<LossValues, TrainingError> {
        let rules = self.rules(phase, settings, class_weights)?;
        let trained = self.replicas[0].trained(phase.layers);
        let parts = self.parts(batch)?;
        let mut computed = self.compute(&parts, &rules)?;
        if let (Some(rho), true) = (phase.optimizer.rho(), computed.losses.total.is_finite()) {
            let before = climb(&trained, &computed.gradients, rho)?;
            self.follow(phase.layers)?;
            let above = self.compute(&parts, &rules)?;
            climb_down(&trained, &before)?;
            computed.gradients = above.gradients;
        }
        let finite = |gradient: &Tensor| bool::try_from(gradient.f_isfinite()?.f_all()?);
        let mut what = (!computed.losses.total.is_finite()).then_some("loss");
        for gradient in computed.gradients.iter().flatten() {
            if what.is_none() && !finite(gradient)? {
                what = Some("gradient");
            }
        }
        if let Some(what) = what {
            return Err(TrainingError::NotFinite {
                what,
                epoch: 0,
                step: batch.step,
                images: batch.names.clone(),
            });
        }
        adam.step(&computed.gradients, learning_rate)?;
        self.follow(phase.layers)?;
        Ok(computed.losses)
    }

    fn rules(
        &self,
        phase: &Phase,
        settings: &LossSettings,
        class_weights: Option<&[f32; EXPRESSIONS]>,
    ) -> Result<Rules, TchError> {
        let mut weights = settings.weights;
        if phase.layers == Layers::Classifier {
            weights.attention = 0.0;
        }
        let on_device =
            |weights: &[f32; EXPRESSIONS]| Tensor::f_from_slice(weights)?.f_to_device(self.device);
        Ok(Rules {
            weights,
            mask: settings.action_unit_mask,
            class_weights: class_weights.map(on_device).transpose()?,
            layers: phase.layers,
        })
    }

    /// The batch as the network's input, a part for each replica.
    fn parts(&self, batch: &Batch) -> Result<Vec<(Tensor, Labels)>, TchError> {
        let crops = normalise(&batch.crops.f_to_device(self.device)?)?.f_to_kind(self.precision.kind())?;
        let labels = &batch.labels;
        let count = self.replicas.len() as i64;
        let images = crops.size()[0];
        (0..count)
            .map(|part| {
                let (start, end) = (part * images / count, (part + 1) * images / count);
                let rows = |tensor: &Tensor| tensor.f_narrow(0, start, end - start);
                let labels = Labels {
                    valence_arousal: rows(&labels.valence_arousal)?.f_to_device(self.device)?,
                    expression: rows(&labels.expression)?.f_to_device(self.device)?,
                    action_units: rows(&labels.action_units)?.f_to_device(self.device)?,
                };
                Ok((rows(&crops)?, labels))
            })
            .collect()
    }

    /// Losses and gradients, means over the parts.
    fn compute(&mut self, parts: &[(Tensor, Labels)], rules: &Rules) -> Result<Computed, TchError> {
        let computed: Vec<Computed> = match &self.pool {
            None => vec![self.replicas[0].compute(&parts[0].0, &parts[0].1, rules)?],
            Some(pool) => {
                let work: Vec<_> = self
                    .replicas
                    .iter_mut()
                    .zip(parts)
                    .map(|(replica, (crops, labels))| {
                        (replica, crops.shallow_clone(), shared(labels), rules.shared())
                    })
                    .collect();
                pool.install(|| {
                    work.into_par_iter()
                        .map(|(replica, crops, labels, rules)| replica.compute(&crops, &labels, &rules))
                        .collect::<Result<_, _>>()
                })?
            }
        };
        mean(computed)
    }

    /// Brings the other replicas to the first one's parameters, and all to their mean statistics.
    fn follow(&mut self, layers: Layers) -> Result<(), TchError> {
        if self.replicas.len() == 1 {
            return Ok(());
        }
        no_grad(|| {
            let [first, others @ ..] = self.replicas.as_mut_slice() else {
                return Ok(());
            };
            for (i, (name, source)) in first.parameters.iter().enumerate() {
                if is_trained(name, layers) {
                    for other in others.iter_mut() {
                        other.parameters[i].1.f_copy_(source)?;
                    }
                }
            }
            if layers == Layers::All {
                for (i, (_, statistic)) in first.statistics.iter_mut().enumerate() {
                    for other in others.iter() {
                        let _ = statistic.f_add_(&other.statistics[i].1)?;
                    }
                    let _ = statistic.f_div_scalar_((others.len() + 1) as f64)?;
                    for other in others.iter_mut() {
                        other.statistics[i].1.f_copy_(statistic)?;
                    }
                }
            }
            Ok(())
        })
    }
}

impl Replica {
    fn new(
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

    fn trained(&self, layers: Layers) -> Vec<(String, Tensor)> {
        let trained = self
            .parameters
            .iter()
            .filter(|(name, _)| is_trained(name, layers));
        trained
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect()
    }

    fn compute(&mut self, crops: &Tensor, labels: &Labels, rules: &Rules) -> Result<Computed, TchError> {
        let trained = self.trained(rules.layers);
        for (_, parameter) in &trained {
            parameter.shallow_clone().zero_grad();
        }
        let mode = match rules.layers {
            Layers::Classifier => Mode::Inference,
            Layers::All => Mode::Training,
        };
        let outputs = self.network.forward(crops, mode).map_err(torch)?;
        let losses = Losses::of(&outputs, labels, rules.mask, rules.class_weights.as_ref())?;
        let total = losses.total(&rules.weights)?;
        total.f_backward()?;
        let gradients = trained.iter().map(|(_, parameter)| {
            let gradient = parameter.f_grad()?;
            Ok(gradient.defined().then_some(gradient))
        });
        let value = |loss: &Option<Tensor>| loss.as_ref().map(f64::try_from).transpose();
        Ok(Computed {
            images: crops.size()[0] as f64,
            losses: LossValues {
                total: f64::try_from(&total)?,
                valence_arousal: value(&losses.valence_arousal)?,
                expression: value(&losses.expression)?,
                action_units: value(&losses.action_units)?,
                attention: f64::try_from(&losses.attention)?,
            },
            gradients: gradients.collect::<Result<_, TchError>>()?,
        })
    }
}

impl Rules {
    /// The same for another thread.
    fn shared(&self) -> Self {
        Self {
            class_weights: self.class_weights.as_ref().map(Tensor::shallow_clone),
            ..*self
        }
    }
}

/// Means over parts, each part counting as its images.
fn mean(parts: Vec<Computed>) -> Result<Computed, TchError> {
    let images: f64 = parts.iter().map(|part| part.images).sum();
    let losses = LossValues::mean(parts.iter().map(|part| (part.losses, part.images)));
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return Ok(Computed {
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
    Ok(Computed {
        images,
        losses,
        gradients,
    })
}

impl LossValues {
    /// The mean of values with weights; a task's over those that have it.
    pub fn mean(values: impl Iterator<Item = (LossValues, f64)> + Clone) -> LossValues {
        let mean = |of: &dyn Fn(&LossValues) -> Option<f64>| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (values, weight) in values.clone() {
                if let Some(value) = of(&values) {
                    sum += value * weight;
                    weights += weight;
                }
            }
            (weights > 0.0).then(|| sum / weights)
        };
        LossValues {
            total: mean(&|values| Some(values.total)).unwrap_or_default(),
            valence_arousal: mean(&|values| values.valence_arousal),
            expression: mean(&|values| values.expression),
            action_units: mean(&|values| values.action_units),
            attention: mean(&|values| Some(values.attention)).unwrap_or_default(),
        }
    }
}

/// Bytes `[N, 112, 112, 3]` to the network's input, channels last in memory.
fn normalise(crops: &Tensor) -> Result<Tensor, TchError> {
    let on_scale_of_bytes = |channels: [f32; 3]| {
        Tensor::f_from_slice(&channels.map(|value| value * 255.0))?.f_to_device(crops.device())
    };
    crops
        .f_to_kind(Kind::Float)?
        .f_sub(&on_scale_of_bytes(Normalisation::IMAGENET.mean)?)?
        .f_div(&on_scale_of_bytes(Normalisation::IMAGENET.std)?)?
        .f_permute([0, 3, 1, 2])
}

fn shared(labels: &Labels) -> Labels {
    Labels {
        valence_arousal: labels.valence_arousal.shallow_clone(),
        expression: labels.expression.shallow_clone(),
        action_units: labels.action_units.shallow_clone(),
    }
}

fn is_trained(name: &str, layers: Layers) -> bool {
    match layers {
        Layers::All => true,
        Layers::Classifier => name.starts_with("custom_classifier."),
    }
}

/// The network's own error here can only be libtorch's.
fn torch(error: crate::model::ModelError) -> TchError {
    match error {
        crate::model::ModelError::Torch(error) => error,
        other => TchError::Torch(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::crops::read_crop;
    use crate::model::weights::Weights;

    /// Of two faces, each as it is and mirrored, in four lights: 16 images with labels of all sorts.
    fn batch() -> Batch {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/crops");
        let images: Vec<Tensor> = ["shrunk.png", "enlarged.png"]
            .iter()
            .flat_map(|name| {
                let crop = read_crop(&golden.join(name)).unwrap();
                let crop = Tensor::from_slice(crop.rgb()).view([112, 112, 3]);
                let mirrored = crop.flip([1]);
                [1.0, 0.85, 0.7, 0.55]
                    .into_iter()
                    .flat_map(move |light| [&crop, &mirrored].map(|crop| (crop * light).to_kind(Kind::Uint8)))
            })
            .collect();
        let steps = Tensor::arange(16, (Kind::Float, Device::Cpu));
        let units = Tensor::arange(16 * 12, (Kind::Int64, Device::Cpu)) * 7;
        Batch {
            step: 0,
            crops: Tensor::stack(&images, 0),
            labels: Labels {
                valence_arousal: Tensor::stack(&[&steps / 8.0 - 1.0, 0.5 - &steps / 16.0], 1),
                expression: Tensor::arange(16, (Kind::Int64, Device::Cpu)).remainder(8),
                action_units: (units.remainder(5) / 3)
                    .view([16, 12])
                    .to_kind(Kind::Float)
                    .floor(),
            },
            names: vec![String::new(); 16],
            unreadable: Vec::new(),
        }
    }

    /// In mixed precision a trained network has the losses, and its gradient the direction and length,
    /// that it has in `f32`.
    #[test]
    fn bf16_points_where_f32_does() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ddamfn-demo.safetensors");
        let weights = Weights::load(&file).unwrap();
        let rules = Rules {
            weights: LossWeights::default(),
            mask: ActionUnitMask::Rows,
            class_weights: None,
            layers: Layers::All,
        };
        let [wide, narrow] = [Precision::F32, Precision::Bf16].map(|precision| {
            let mut learner = Learner::new(
                weights.architecture(),
                weights.tensors(),
                2,
                precision,
                Device::Cpu,
            )
            .unwrap();
            learner.begin(Layers::All);
            let parts = learner.parts(&batch()).unwrap();
            let computed = learner.compute(&parts, &rules).unwrap();
            let flat: Vec<Tensor> = computed
                .gradients
                .iter()
                .flatten()
                .map(|gradient| gradient.flatten(0, -1))
                .collect();
            assert!(flat.iter().all(|gradient| gradient.kind() == Kind::Float));
            (computed.losses.total, Tensor::cat(&flat, 0).to_kind(Kind::Double))
        });
        let dot = |a: &Tensor, b: &Tensor| a.dot(b).double_value(&[]);
        let length = |gradient: &Tensor| dot(gradient, gradient).sqrt();
        let cosine = dot(&wide.1, &narrow.1) / (length(&wide.1) * length(&narrow.1));
        let ratio = length(&narrow.1) / length(&wide.1);
        println!(
            "losses {} {}, cosine {cosine}, ratio of lengths {ratio}",
            wide.0, narrow.0
        );
        assert!(wide.0 != narrow.0, "both were computed in f32");
        assert!(
            (wide.0 - narrow.0).abs() < 0.02 * wide.0,
            "{} {}",
            wide.0,
            narrow.0
        );
        assert!(
            cosine > 0.95 && (ratio - 1.0).abs() < 0.05,
            "cosine {cosine}, ratio {ratio}"
        );
    }
}
