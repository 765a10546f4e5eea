//! A training step: losses and gradients of a batch, and the change of the weights.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::device_reads::all_finite;
use super::error::TrainingError;
use super::loader::Batch;
use super::loss::Labels;
use super::loss_values::LossValues;
use super::optimizer::{Adam, sam_ascend, sam_restore};
use super::recipe::{Layers, LossSettings, Phase};
use super::replica::{Gradients, Objective, Replica, is_trained, mean};
use crate::labels::EXPRESSIONS;
use crate::model::{Architecture, NamedTensors, Normalisation, Precision};

/// A network in training, in as many copies (replicas) as a batch has parts.
#[derive(Debug)]
pub struct Learner {
    /// The optimiser changes the first; the others are copied from it.
    replicas: Vec<Replica>,
    /// One thread for each replica if there are several.
    pool: Option<ThreadPool>,
    /// Of the feature maps; weights, gradients and losses are `f32`.
    precision: Precision,
    device: Device,
}

impl Learner {
    /// The network of `tensors` on a device, its feature maps computed in `precision`.
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
            .map_err(|error| TrainingError::Threads(error.into()))?;
        Ok(Self {
            replicas: (0..replicas).map(replica).collect::<Result<_, _>>()?,
            pool,
            precision,
            device,
        })
    }

    /// Freezes all other layers until the next call. Returns the tensors that are trained, in order of name.
    pub fn set_trained_layers(&self, layers: Layers) -> Vec<(String, Tensor)> {
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

    /// Takes one step on a batch. `class_weights`: one for each expression, in class order.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`], with the weights unchanged, or libtorch's.
    pub fn step(
        &mut self,
        batch: &Batch,
        phase: &Phase,
        settings: &LossSettings,
        class_weights: Option<&[f32; EXPRESSIONS]>,
        adam: &mut Adam,
        learning_rate: f64,
    ) -> Result<LossValues, TrainingError> {
        let objective = self.objective(phase, settings, class_weights)?;
        let trained = self.replicas[0].trained(phase.layers);
        let parts = self.parts(batch)?;
        let mut computed = self.compute(&parts, &objective)?;
        if let (Some(rho), true) = (phase.optimizer.rho(), computed.losses.total.is_finite()) {
            let before = sam_ascend(&trained, &computed.gradients, rho)?;
            self.synchronise(phase.layers)?;
            let above = self.compute(&parts, &objective)?;
            sam_restore(&trained, &before)?;
            computed.gradients = above.gradients;
        }
        let what = match computed.losses.total.is_finite() {
            false => Some("loss"),
            true => (!all_finite(computed.gradients.iter().flatten())?).then_some("gradient"),
        };
        if let Some(what) = what {
            return Err(TrainingError::NotFinite {
                what,
                epoch: 0,
                step: batch.step,
                images: batch.names.clone(),
            });
        }
        adam.step(&computed.gradients, learning_rate)?;
        self.synchronise(phase.layers)?;
        Ok(computed.losses)
    }

    fn objective(
        &self,
        phase: &Phase,
        settings: &LossSettings,
        class_weights: Option<&[f32; EXPRESSIONS]>,
    ) -> Result<Objective, TchError> {
        let mut weights = settings.weights;
        if phase.layers == Layers::Classifier {
            weights.attention = 0.0;
        }
        let on_device =
            |weights: &[f32; EXPRESSIONS]| Tensor::f_from_slice(weights)?.f_to_device(self.device);
        Ok(Objective {
            weights,
            mask: settings.action_unit_mask,
            class_weights: class_weights.map(on_device).transpose()?,
            layers: phase.layers,
        })
    }

    /// The images as the network's input and their labels, one part for each replica.
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

    /// Computes losses and gradients: means over the parts.
    fn compute(&mut self, parts: &[(Tensor, Labels)], objective: &Objective) -> Result<Gradients, TchError> {
        let computed: Vec<Gradients> = match &self.pool {
            None => vec![self.replicas[0].compute(&parts[0].0, &parts[0].1, objective)?],
            Some(pool) => {
                let work: Vec<_> = self
                    .replicas
                    .iter_mut()
                    .zip(parts)
                    .map(|(replica, (crops, labels))| {
                        (replica, crops.shallow_clone(), shared(labels), objective.shared())
                    })
                    .collect();
                pool.install(|| {
                    work.into_par_iter()
                        .map(|(replica, crops, labels, objective)| {
                            replica.compute(&crops, &labels, &objective)
                        })
                        .collect::<Result<_, _>>()
                })?
            }
        };
        mean(computed)
    }

    /// Copies the first replica's parameters to the others, and gives all of them the mean of their batch statistics.
    fn synchronise(&mut self, layers: Layers) -> Result<(), TchError> {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::loss::{ActionUnitMask, LossWeights};
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

    /// In mixed precision the losses and the direction and length of the gradient are about those of `f32`.
    #[test]
    fn bf16_points_where_f32_does() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ddamfn-demo.safetensors");
        let weights = Weights::load(&file).unwrap();
        let objective = Objective {
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
            learner.set_trained_layers(Layers::All);
            let parts = learner.parts(&batch()).unwrap();
            let computed = learner.compute(&parts, &objective).unwrap();
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
