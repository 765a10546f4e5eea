//! The network: a layer on each frame's inputs, residual blocks of dilated convolutions, and an output layer a task.
//!
//! ```text
//! h = input(x)
//! h = h + mix(relu(dilated(h)))      for each block; dilated: three frames, `dilation` apart
//! outputs = head(relu(h))            valence, arousal: tanh; expressions: softmax; action units: sigmoid
//! ```
//!
//! Frames before and after a sequence count as zeros in every layer.

use std::collections::BTreeMap;

use tch::{Kind, TchError, Tensor};

use super::input::{FaceNumbers, INPUTS, InputScale, NUMBERS};
use crate::labels::{ACTION_UNITS, Affect, EXPRESSIONS, ValenceArousal};
use crate::model::NamedTensors;

/// Frames that a dilated convolution sees.
const TAPS: usize = 3;
/// The limit of numbers of a frame between the layers, so that no file from outside takes all memory.
pub const MOST_CHANNELS: usize = 1024;
/// Likewise of blocks.
const MOST_BLOCKS: usize = 16;
/// Likewise of frames before and after a frame that its outputs depend on.
const MOST_REACH: u32 = 1 << 14;

/// The tasks that a network has outputs for, with the length of each output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemporalHeads {
    /// Valence and arousal.
    pub valence_arousal: bool,
    /// Expressions.
    pub expression: bool,
    /// Action units.
    pub action_units: bool,
}

impl TemporalHeads {
    /// Names of the output layers that there are, and their outputs.
    pub fn layers(self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            (VALENCE_AROUSAL, 2, self.valence_arousal),
            (EXPRESSION, EXPRESSIONS, self.expression),
            (UNITS, ACTION_UNITS, self.action_units),
        ]
        .into_iter()
        .filter_map(|(name, outputs, is_there)| is_there.then_some((name, outputs)))
    }
}

const VALENCE_AROUSAL: &str = "valence_arousal";
const EXPRESSION: &str = "expression";
const UNITS: &str = "action_units";

/// How many frames before and after a frame its outputs depend on.
pub fn reach(dilations: &[u32]) -> u32 {
    dilations.iter().sum()
}

/// Refuses dilations that are none or too large.
///
/// # Errors
/// The limits, in words.
pub fn check_dilations(dilations: &[u32]) -> Result<(), String> {
    let reach = dilations
        .iter()
        .try_fold(0u32, |sum, dilation| sum.checked_add(*dilation));
    let is_sound = (1..=MOST_BLOCKS).contains(&dilations.len())
        && !dilations.contains(&0)
        && reach.is_some_and(|reach| reach <= MOST_REACH);
    is_sound.then_some(()).ok_or_else(|| {
        format!("dilations must be 1 to {MOST_BLOCKS} numbers above 0 with a sum of at most {MOST_REACH}")
    })
}

/// The tensors of a network, by name: those that training changes.
pub fn parameter_shapes(channels: i64, blocks: usize, heads: TemporalHeads) -> BTreeMap<String, Vec<i64>> {
    let mut shapes = BTreeMap::new();
    let mut layer = |name: String, outputs: i64, weight: &[i64]| {
        let weight = [&[outputs], weight].concat();
        shapes.insert(format!("{name}.weight"), weight);
        shapes.insert(format!("{name}.bias"), vec![outputs]);
    };
    layer("input".to_owned(), channels, &[INPUTS as i64]);
    for block in 0..blocks {
        layer(
            format!("blocks.{block}.dilated"),
            channels,
            &[channels, TAPS as i64],
        );
        layer(format!("blocks.{block}.mix"), channels, &[channels]);
    }
    for (name, outputs) in heads.layers() {
        layer(name.to_owned(), outputs as i64, &[channels]);
    }
    shapes
}

/// A layer on the numbers of one frame.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// A row for each input: its weight in each output.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Layer {
    /// `weight` is `[outputs, inputs]`.
    fn new(weight: &Tensor, bias: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            weight: numbers(&weight.f_transpose(0, 1)?)?,
            bias: numbers(bias)?,
        })
    }

    /// The outputs before any input is added.
    pub(super) fn begin(&self) -> Vec<f32> {
        self.bias.clone()
    }

    /// Adds what the inputs contribute to `sums`, input by input: the order of the sum is always the same.
    pub(super) fn add(&self, inputs: &[f32], sums: &mut [f32]) {
        for (input, row) in inputs.iter().zip(self.weight.chunks_exact(sums.len())) {
            if *input != 0.0 {
                for (sum, weight) in sums.iter_mut().zip(row) {
                    *sum += input * weight;
                }
            }
        }
    }

    fn apply(&self, inputs: &[f32]) -> Vec<f32> {
        let mut sums = self.begin();
        self.add(inputs, &mut sums);
        sums
    }
}

/// A residual block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) dilation: usize,
    /// For the frame `dilation` before, the frame itself, the frame `dilation` after. The first has the bias.
    taps: [Layer; TAPS],
    mix: Layer,
}

impl Block {
    /// The block's output in a frame, from the maps in three frames.
    pub(super) fn apply(&self, maps: [&[f32]; TAPS]) -> Vec<f32> {
        let mut dilated = self.taps[0].begin();
        for (tap, map) in self.taps.iter().zip(maps) {
            tap.add(map, &mut dilated);
        }
        relu(&mut dilated);
        let mut sums = self.mix.apply(&dilated);
        for (sum, number) in sums.iter_mut().zip(maps[1]) {
            *sum += number;
        }
        sums
    }
}

/// A network that is ready to run.
#[derive(Debug, Clone)]
pub struct TemporalNetwork {
    scale: InputScale,
    input: Layer,
    pub(super) blocks: Vec<Block>,
    valence_arousal: Option<Layer>,
    expression: Option<Layer>,
    action_units: Option<Layer>,
    channels: usize,
}

impl TemporalNetwork {
    /// The network of these tensors. Those for training are named by [`parameter_shapes`]; `scale.mean` and
    /// `scale.factor` are `[534]`.
    ///
    /// # Errors
    /// What is missing, misshapen or too large, in words.
    pub fn new(tensors: &NamedTensors, dilations: &[u32]) -> Result<Self, String> {
        check_dilations(dilations)?;
        let heads = TemporalHeads {
            valence_arousal: tensors.contains_key("valence_arousal.weight"),
            expression: tensors.contains_key("expression.weight"),
            action_units: tensors.contains_key("action_units.weight"),
        };
        if heads.layers().next().is_none() {
            return Err("it has no output layer".to_owned());
        }
        let channels = tensors.get("input.bias").map_or(0, Tensor::numel);
        if !(1..=MOST_CHANNELS).contains(&channels) {
            return Err(format!("input.bias must have 1 to {MOST_CHANNELS} numbers"));
        }
        let mut shapes = parameter_shapes(channels as i64, dilations.len(), heads);
        for name in ["scale.mean", "scale.factor"] {
            shapes.insert(name.to_owned(), vec![NUMBERS as i64]);
        }
        for (name, shape) in &shapes {
            match tensors.get(name).map(Tensor::size) {
                Some(found) if found == *shape => {}
                Some(found) => return Err(format!("{name} is {found:?} instead of {shape:?}")),
                None => return Err(format!("{name} is missing")),
            }
        }
        Self::of_complete(tensors, dilations, heads, channels).map_err(|error| error.to_string())
    }

    fn of_complete(
        tensors: &NamedTensors,
        dilations: &[u32],
        heads: TemporalHeads,
        channels: usize,
    ) -> Result<Self, TchError> {
        let layer = |name: &str| {
            let bias = &tensors[&format!("{name}.bias")];
            Layer::new(&tensors[&format!("{name}.weight")], bias)
        };
        let block = |(number, dilation): (usize, &u32)| {
            let name = format!("blocks.{number}.dilated");
            let weight = &tensors[&format!("{name}.weight")];
            let bias = &tensors[&format!("{name}.bias")];
            let tap = |at: i64| Layer::new(&weight.f_select(2, at)?, bias);
            Ok(Block {
                dilation: *dilation as usize,
                taps: [tap(0)?, tap(1)?, tap(2)?],
                mix: layer(&format!("blocks.{number}.mix"))?,
            })
        };
        let head = |name: &str| {
            let is_there = heads.layers().any(|(there, _)| there == name);
            is_there.then(|| layer(name)).transpose()
        };
        Ok(Self {
            scale: InputScale {
                mean: numbers(&tensors["scale.mean"])?,
                factor: numbers(&tensors["scale.factor"])?,
            },
            input: layer("input")?,
            blocks: dilations
                .iter()
                .enumerate()
                .map(block)
                .collect::<Result<_, TchError>>()?,
            valence_arousal: head(VALENCE_AROUSAL)?,
            expression: head(EXPRESSION)?,
            action_units: head(UNITS)?,
            channels,
        })
    }

    /// How many frames before and after a frame its outputs depend on.
    pub fn reach(&self) -> u32 {
        self.blocks.iter().map(|block| block.dilation as u32).sum()
    }

    /// The names of the tasks that it has outputs for.
    pub fn tasks(&self) -> Vec<&'static str> {
        let heads = TemporalHeads {
            valence_arousal: self.valence_arousal.is_some(),
            expression: self.expression.is_some(),
            action_units: self.action_units.is_some(),
        };
        heads.layers().map(|(name, _)| name).collect()
    }

    /// Numbers of a frame between the layers.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The map of a frame's inputs; `None`: no face was seen.
    pub(super) fn first_map(&self, face: Option<&FaceNumbers>) -> Vec<f32> {
        let mut inputs = [0.0; INPUTS];
        self.scale.write(face, &mut inputs);
        self.input.apply(&inputs)
    }

    /// The outputs of a frame from its last map. A task without an output layer is `None`.
    pub(super) fn outputs(&self, mut map: Vec<f32>) -> Affect {
        relu(&mut map);
        let of = |layer: &Option<Layer>| layer.as_ref().map(|layer| layer.apply(&map));
        Affect {
            valence_arousal: of(&self.valence_arousal).map(|sums| ValenceArousal {
                valence: sums[0].tanh(),
                arousal: sums[1].tanh(),
            }),
            expression: of(&self.expression).map(|sums| softmax(&sums)),
            action_units: match of(&self.action_units) {
                Some(sums) => std::array::from_fn(|unit| Some(1.0 / (1.0 + (-sums[unit]).exp()))),
                None => [None; ACTION_UNITS],
            },
            extra_units: Box::default(),
        }
    }
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut numbers = vec![0.0; flat.numel()];
    flat.f_copy_data(&mut numbers, flat.numel())?;
    Ok(numbers)
}

fn relu(map: &mut [f32]) {
    for number in map {
        *number = number.max(0.0);
    }
}

fn softmax(logits: &[f32]) -> [f32; EXPRESSIONS] {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: [f32; EXPRESSIONS] = std::array::from_fn(|class| (logits[class] - largest).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}
