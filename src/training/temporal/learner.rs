//! A training step of a temporal network: the network as libtorch computes it, losses, gradients.

use rand::RngExt;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::super::device_reads::all_finite;
use super::super::error::TrainingError;
use super::super::loss::{Labels, Losses};
use super::super::loss_values::LossValues;
use super::super::optimizer::Adam;
use super::super::recipe::LossSettings;
use super::super::sampler::{Stream, random};
use super::recipe::TemporalRecipe;
use super::windows::WindowBatch;
use crate::labels::EXPRESSIONS;
use crate::model::{HeadOutputs, NamedTensors};
use crate::temporal::{InputScale, parameter_shapes};

/// A temporal network in training.
#[derive(Debug)]
pub struct TemporalLearner {
    /// In order of name.
    parameters: NamedTensors,
    dilations: Vec<u32>,
    dropout: f64,
    seed: u64,
    device: Device,
}

/// The first weights of a recipe's network: uniform within 1 over the square root of a neuron's inputs, as PyTorch's.
/// Biases and the last layer of each block are 0, so that a block begins by changing nothing.
///
/// # Errors
/// libtorch's.
pub fn first_weights(recipe: &TemporalRecipe) -> Result<NamedTensors, TchError> {
    let channels = recipe.temporal.channels as i64;
    let shapes = parameter_shapes(channels, recipe.temporal.dilations.len(), recipe.heads());
    let mut random = random(recipe.seed, Stream::Weights, 0);
    let tensor = |(name, shape): (String, Vec<i64>)| {
        let length = shape.iter().product::<i64>() as usize;
        let inputs: i64 = shape[1..].iter().product();
        let bound = match shape.len() == 1 || name.ends_with("mix.weight") {
            true => 0.0,
            false => 1.0 / (inputs as f32).sqrt(),
        };
        let values: Vec<f32> = (0..length)
            .map(|_| random.random_range(-1.0..1.0f32) * bound)
            .collect();
        Ok((name, Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?))
    };
    shapes.into_iter().map(tensor).collect()
}

impl TemporalLearner {
    /// The network of these tensors on a device.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(recipe: &TemporalRecipe, tensors: &NamedTensors, device: Device) -> Result<Self, TchError> {
        let parameter = |(name, tensor): (&String, &Tensor)| {
            let own = tensor.f_to_device(device)?.f_detach_copy()?;
            Ok((name.clone(), own.f_set_requires_grad(true)?))
        };
        Ok(Self {
            parameters: tensors.iter().map(parameter).collect::<Result<_, TchError>>()?,
            dilations: recipe.temporal.dilations.clone(),
            dropout: recipe.temporal.dropout,
            seed: recipe.seed,
            device,
        })
    }

    /// The tensors that are trained, in order of name. They share their storage with the network.
    pub fn trained(&self) -> Vec<(String, Tensor)> {
        let parameters = self.parameters.iter();
        parameters
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect()
    }

    /// A copy of all tensors.
    ///
    /// # Errors
    /// libtorch's.
    pub fn tensors(&self) -> Result<NamedTensors, TchError> {
        let copy = |(name, tensor): (&String, &Tensor)| {
            Ok((name.clone(), tensor.f_detach_copy()?.f_to_device(Device::Cpu)?))
        };
        self.parameters.iter().map(copy).collect()
    }

    /// The outputs in the labelled frames, `[L, 2]`, `[L, 8]`, `[L, 12]`, as [`HeadOutputs`] describes them. `drop`: the
    /// number of the step whose channels are left out; `None`: none are.
    ///
    /// # Errors
    /// libtorch's.
    pub fn forward(&self, batch: &WindowBatch, drop: Option<u64>) -> Result<HeadOutputs, TchError> {
        let weight = |name: &str| &self.parameters[name];
        let on_device = |tensor: &Tensor| tensor.f_to_device(self.device);
        let (inputs, inside) = (on_device(&batch.inputs)?, on_device(&batch.inside)?);
        let map = inputs.f_linear(weight("input.weight"), Some(weight("input.bias")))?;
        let mut map = map.f_transpose(1, 2)?;
        for (number, dilation) in self.dilations.iter().enumerate() {
            let layer = |part: &str| format!("blocks.{number}.{part}");
            let dilation = i64::from(*dilation);
            let dilated = map.f_mul(&inside)?.f_conv1d(
                weight(&layer("dilated.weight")),
                Some(weight(&layer("dilated.bias"))),
                1,
                dilation,
                dilation,
                1,
            )?;
            let mut dilated = dilated.f_relu()?;
            if let Some(step) = drop.filter(|_| self.dropout > 0.0) {
                let kept = self.kept(step, number, dilated.size()[0], dilated.size()[1])?;
                dilated = dilated.f_mul(&kept)?;
            }
            let mix = weight(&layer("mix.weight")).f_unsqueeze(-1)?;
            let mixed = dilated.f_conv1d(&mix, Some(weight(&layer("mix.bias"))), 1, 0, 1, 1)?;
            map = map.f_add(&mixed)?;
        }
        let channels = map.size()[1];
        let frames = map.f_transpose(1, 2)?.f_reshape([-1, channels])?;
        let frames = frames.f_index_select(0, &on_device(&batch.labelled)?)?.f_relu()?;
        let head = |name: &str| {
            let layer = self.parameters.get(&format!("{name}.weight"));
            layer
                .map(|layer| frames.f_linear(layer, Some(weight(&format!("{name}.bias")))))
                .transpose()
        };
        Ok(HeadOutputs {
            valence_arousal: head("valence_arousal")?.map(|va| va.f_tanh()).transpose()?,
            expression_logits: head("expression")?,
            action_unit_logits: head("action_units")?,
        })
    }

    /// `[N, C, 1]`: 0 for the channels that are left out, the others scaled so that the mean stays. They depend on the
    /// seed, the step and the block alone.
    fn kept(&self, step: u64, block: usize, windows: i64, channels: i64) -> Result<Tensor, TchError> {
        let mut random = random(
            self.seed,
            Stream::Dropout,
            step * self.dilations.len() as u64 + block as u64,
        );
        let scale = 1.0 / (1.0 - self.dropout) as f32;
        let kept: Vec<f32> = (0..windows * channels)
            .map(|_| match random.random::<f64>() < self.dropout {
                true => 0.0,
                false => scale,
            })
            .collect();
        let kept = Tensor::f_from_slice(&kept)?.f_view([windows, channels, 1])?;
        kept.f_to_device(self.device)
    }

    /// Takes one step; `number` counts the steps of the whole run. `None` if no label of the batch counts.
    ///
    /// # Errors
    /// [`TrainingError::NotFiniteInWindows`], with the weights unchanged, or libtorch's.
    pub fn step(
        &mut self,
        batch: &WindowBatch,
        number: u64,
        settings: &LossSettings,
        class_weights: Option<&[f32; EXPRESSIONS]>,
        adam: &mut Adam,
        learning_rate: f64,
    ) -> Result<Option<LossValues>, TrainingError> {
        let outputs = self.forward(batch, Some(number))?;
        let on_device = |tensor: &Tensor| tensor.f_to_device(self.device);
        let labels = Labels {
            valence_arousal: on_device(&batch.labels.valence_arousal)?,
            expression: on_device(&batch.labels.expression)?,
            action_units: on_device(&batch.labels.action_units)?,
        };
        let class_weights = match class_weights {
            Some(weights) => Some(on_device(&Tensor::f_from_slice(weights)?)?),
            None => None,
        };
        let mask = settings.action_unit_mask;
        let losses = Losses::of_heads(&outputs, &labels, mask, class_weights.as_ref())?;
        let parts = [&losses.valence_arousal, &losses.expression, &losses.action_units];
        if parts.iter().all(|loss| loss.is_none()) {
            return Ok(None);
        }
        let total = losses.total(&settings.weights)?;
        for parameter in self.parameters.values_mut() {
            parameter.zero_grad();
        }
        total.f_backward()?;
        let gradients = self.parameters.values().map(|parameter| {
            let gradient = parameter.f_grad()?;
            Ok(gradient.defined().then_some(gradient))
        });
        let gradients: Vec<Option<Tensor>> = gradients.collect::<Result<_, TchError>>()?;
        let values = LossValues::of(&total, &losses)?;
        let what = match values.total.is_finite() {
            false => Some("loss"),
            true => (!all_finite(gradients.iter().flatten())?).then_some("gradient"),
        };
        if let Some(what) = what {
            return Err(TrainingError::NotFiniteInWindows {
                what,
                step: number as usize + 1,
            });
        }
        adam.step(&gradients, learning_rate)?;
        Ok(Some(values))
    }
}

/// The tensors of the network's file: those that were trained, and the scale of the inputs.
///
/// # Errors
/// libtorch's.
pub fn with_scale(mut trained: NamedTensors, scale: &InputScale) -> Result<NamedTensors, TchError> {
    no_grad(|| {
        for (name, values) in [("scale.mean", &scale.mean), ("scale.factor", &scale.factor)] {
            let tensor = Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?;
            trained.insert(name.to_owned(), tensor);
        }
        Ok(trained)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::affwild2::FrameLabel;
    use crate::labels::Affect;
    use crate::temporal::{FaceNumbers, INPUTS, NUMBERS, SequencePass, TemporalNetwork};
    use crate::training::loader::labels_of;
    use crate::training::recipe::all_tasks;

    /// Numbers between -1 and 1 that repeat nowhere near.
    fn number(seed: usize) -> f32 {
        ((seed as f32 * 0.618).sin() * 43_758.547).fract()
    }

    fn outputs_of(affect: &Affect) -> Vec<f32> {
        let point = affect.valence_arousal.unwrap();
        let mut outputs = vec![point.valence, point.arousal];
        outputs.extend(affect.expression.unwrap());
        outputs.extend(affect.action_units.map(Option::unwrap));
        outputs
    }

    /// Two sequences, one shorter than the network reaches, with frames without a face.
    #[test]
    fn a_pass_in_time_gives_what_libtorch_gives() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/train-temporal.toml");
        let mut recipe = TemporalRecipe::read(&path).unwrap();
        recipe.tasks = all_tasks();
        recipe.temporal.channels = 24;
        recipe.temporal.dilations = vec![1, 2, 5];
        let mut tensors = first_weights(&recipe).unwrap();
        for (at, tensor) in tensors.values_mut().enumerate() {
            let numbers: Vec<f32> = (0..tensor.numel()).map(|i| 0.2 * number(i + 1000 * at)).collect();
            *tensor = Tensor::from_slice(&numbers).view(tensor.size().as_slice());
        }
        let scale = InputScale {
            mean: (0..NUMBERS).map(number).collect(),
            factor: (0..NUMBERS).map(|at| 1.5 + number(at + 7)).collect(),
        };
        let lengths = [40usize, 5];
        let faces: Vec<Vec<Option<FaceNumbers>>> = lengths
            .iter()
            .enumerate()
            .map(|(of, length)| {
                let face = |frame: usize| std::array::from_fn(|at| number(at + 613 * frame + 7919 * of));
                (0..*length)
                    .map(|frame| (frame % 4 != 2).then(|| face(frame)))
                    .collect()
            })
            .collect();
        let (mut inputs, mut inside, mut labelled) =
            (vec![0.0f32; 2 * 40 * INPUTS], vec![0.0f32; 80], Vec::new());
        for (of, sequence) in faces.iter().enumerate() {
            for (frame, face) in sequence.iter().enumerate() {
                let place = of * 40 + frame;
                scale.write(face.as_ref(), &mut inputs[place * INPUTS..][..INPUTS]);
                inside[place] = 1.0;
                labelled.push(place as i64);
            }
        }
        let batch = WindowBatch {
            inputs: Tensor::from_slice(&inputs).view([2, 40, INPUTS as i64]),
            inside: Tensor::from_slice(&inside).view([2, 1, 40]),
            labelled: Tensor::from_slice(&labelled),
            labels: labels_of(std::iter::empty::<&FrameLabel>()).unwrap(),
        };
        let learner = TemporalLearner::new(&recipe, &tensors, Device::Cpu).unwrap();
        let heads = no_grad(|| learner.forward(&batch, None)).unwrap();
        let expected = Tensor::cat(
            &[
                heads.valence_arousal.unwrap(),
                heads.expression_logits.unwrap().softmax(-1, Kind::Float),
                heads.action_unit_logits.unwrap().sigmoid(),
            ],
            1,
        );
        let expected: Vec<Vec<f32>> = Vec::try_from(expected).unwrap();

        let file = with_scale(tensors, &scale).unwrap();
        let network = TemporalNetwork::new(&file, &recipe.temporal.dilations).unwrap();
        assert_eq!(network.reach(), 8);
        let mut found = Vec::new();
        for sequence in &faces {
            let mut pass = SequencePass::new(&network);
            let early = sequence.iter().filter_map(|face| pass.push(face.as_ref()));
            found.extend(early.collect::<Vec<_>>());
            found.extend(pass.finish());
        }
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            for (found, expected) in outputs_of(found).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
        let spread = found
            .iter()
            .map(|affect| outputs_of(affect)[0])
            .fold(0.0f32, |most, v| most.max(v.abs()));
        assert!(spread > 0.01, "the outputs are all alike");
    }
}
