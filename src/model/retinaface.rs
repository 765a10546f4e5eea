//! The network RetinaFace mobilenet0.25 (Deng et al., arXiv 1905.00641, in its PyTorch form):
//! MobileNet body, feature pyramid, context modules (SSH), heads for face or not, box and landmarks.

use std::path::Path;

use tch::nn::{self, VarStore};
use tch::{Device, TchError, Tensor};

use super::detector_error::DetectorError;
use super::inference_form::InferenceForm;
use super::layers::{ConvBn, ConvSpec, Joined, Mode};
use super::named_tensors::{Misfit, NamedTensors, fill, misfit};
use super::precision::Precision;
use super::weights::read_tensors;

/// Channels of the feature pyramid and of all after it.
const PYRAMID: i64 = 64;
/// Priors a cell has.
const PRIORS: i64 = 2;
const LEAKY_SLOPE: f64 = 0.1;
/// The network is only run, never trained.
const MODE: Mode = Mode::Inference;

/// The network's outputs for each of the `P` priors of each of `N` pictures, the priors in the order
/// of [`priors`](crate::face::prior::priors).
pub struct Predictions {
    /// `[N, P]`, probability of a face.
    pub scores: Tensor,
    /// `[N, P, 4]`, the box relative to its prior.
    pub boxes: Tensor,
    /// `[N, P, 10]`, the landmarks relative to their prior, x and y in turn.
    pub landmarks: Tensor,
}

/// The network on one device, in float32, for inference. A clone shares the weights.
#[derive(Debug, Clone)]
pub struct RetinaFace {
    /// The body's stages, after which 1/8, 1/16 and 1/32 of the picture's size are left.
    stages: [Vec<ConvBn>; 3],
    /// From each stage to the pyramid's channels.
    lateral: [ConvBn; 3],
    /// After the sums at 1/8 and 1/16.
    merge: [ConvBn; 2],
    context: [Context; 3],
    /// The three heads of each level: face or not, box, landmarks.
    heads: [Joined; 3],
    device: Device,
}

impl RetinaFace {
    /// Reads a `.safetensors` file with the weights by their PyTorch names, with batch normalisations or with them
    /// folded.
    ///
    /// # Errors
    /// [`DetectorError::Unreadable`], [`DetectorError::Misfit`]; [`DetectorError::Torch`] if there is no such device.
    pub fn load(path: &Path, device: Device) -> Result<Self, DetectorError> {
        let (tensors, _) = read_tensors(path).map_err(DetectorError::Unreadable)?;
        let store = VarStore::new(device);
        let mut network = Self::define(&store, is_folded(&tensors))?;
        if let Some(misfit) = misfit(&store, &tensors) {
            return Err(DetectorError::Misfit {
                path: path.to_owned(),
                problem: first_problem(&misfit),
            });
        }
        fill(&store, &tensors)?;
        network.prepare(InferenceForm::fast(device, Precision::F32))?;
        Ok(network)
    }

    /// The network with all parameters zero, its variables registered in `store`. `folded`: without batch
    /// normalisations.
    fn define(store: &VarStore, folded: bool) -> Result<Self, TchError> {
        let root = &store.root();
        let pyramid = root / "fpn";
        let lateral = |name, channels| {
            let spec = ConvSpec::pointwise(channels, PYRAMID);
            layer(&(&pyramid / name), 0, folded, spec)
        };
        let merge = |name| layer(&(&pyramid / name), 0, folded, ConvSpec::full(PYRAMID, PYRAMID, 3));
        Ok(Self {
            stages: define_body(&(root / "body"), folded)?,
            lateral: [
                lateral("output1", 64)?,
                lateral("output2", 128)?,
                lateral("output3", 256)?,
            ],
            merge: [merge("merge1")?, merge("merge2")?],
            context: [
                Context::define(&(root / "ssh1"), folded)?,
                Context::define(&(root / "ssh2"), folded)?,
                Context::define(&(root / "ssh3"), folded)?,
            ],
            heads: [
                define_heads(root, 0)?,
                define_heads(root, 1)?,
                define_heads(root, 2)?,
            ],
            device: store.device(),
        })
    }

    fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        let layers = self.stages.iter_mut().flatten();
        for layer in layers.chain(&mut self.lateral).chain(&mut self.merge) {
            layer.prepare(form)?;
        }
        for context in &mut self.context {
            context.prepare(form)?;
        }
        self.heads.iter_mut().try_for_each(|heads| heads.prepare(form))
    }

    /// Where the network is and its input must be.
    pub fn device(&self) -> Device {
        self.device
    }

    /// One forward pass over pictures `[N, 3, H, W]`: BGR minus (104, 117, 123), float32, fastest in channels_last.
    pub fn forward(&self, input: &Tensor) -> Result<Predictions, TchError> {
        tch::no_grad(|| {
            let [fine, middle, coarse] = self.pyramid(input)?;
            let answers = Tensor::f_cat(
                &[
                    self.answers(0, &fine)?,
                    self.answers(1, &middle)?,
                    self.answers(2, &coarse)?,
                ],
                1,
            )?;
            let [classes, boxes, landmarks] = split_answers(&answers)?;
            Ok(Predictions {
                scores: probability_of_second(&classes)?,
                boxes,
                landmarks,
            })
        })
    }

    /// The feature maps `[N, 64, ...]` at 1/8, 1/16 and 1/32 of the picture's size.
    fn pyramid(&self, input: &Tensor) -> Result<[Tensor; 3], TchError> {
        let first = run(&self.stages[0], input)?;
        let second = run(&self.stages[1], &first)?;
        let third = run(&self.stages[2], &second)?;
        let coarse = leaky(self.lateral[2].forward(&third, MODE)?)?;
        let middle = leaky(self.lateral[1].forward(&second, MODE)?)?;
        let middle = leaky(self.merge[1].forward(&add_enlarged(middle, &coarse)?, MODE)?)?;
        let fine = leaky(self.lateral[0].forward(&first, MODE)?)?;
        let fine = leaky(self.merge[0].forward(&add_enlarged(fine, &middle)?, MODE)?)?;
        Ok([fine, middle, coarse])
    }

    /// The heads' outputs for one level of the pyramid, `[N, cells, 32]`.
    fn answers(&self, level: usize, features: &Tensor) -> Result<Tensor, TchError> {
        let context = self.context[level].forward(features)?;
        self.heads[level]
            .forward(&context, MODE)?
            .f_permute([0, 2, 3, 1])?
            .f_flatten(1, 2)
    }
}

/// Whether a file's batch normalisations are folded into its convolutions.
fn is_folded(tensors: &NamedTensors) -> bool {
    !tensors.keys().any(|name| name.ends_with(".running_var"))
}

fn first_problem(misfit: &Misfit) -> String {
    match (&misfit.missing[..], &misfit.misshapen[..]) {
        ([missing, ..], _) => format!("`{missing}` is missing"),
        (_, [other, ..]) => {
            format!(
                "`{}` has shape {:?}, not {:?}",
                other.name, other.found, other.expected
            )
        }
        ([], []) => String::new(),
    }
}

/// The convolution with this number in a PyTorch sequence, and the batch normalisation with the next number.
fn layer(path: &nn::Path, number: i64, folded: bool, spec: ConvSpec) -> Result<ConvBn, TchError> {
    match folded {
        true => ConvBn::folded(&(path / number), spec),
        false => ConvBn::named(path, &number.to_string(), &(number + 1).to_string(), spec),
    }
}

/// The MobileNet of a quarter's width: a convolution, then pairs of a depthwise and a 1x1 one.
fn define_body(path: &nn::Path, folded: bool) -> Result<[Vec<ConvBn>; 3], TchError> {
    let stage1 = path / "stage1";
    let first = layer(&(&stage1 / 0), 0, folded, ConvSpec::full(3, 8, 3).stride(2))?;
    let mut layers1 = vec![first];
    layers1.extend(define_pairs(
        &stage1,
        1,
        folded,
        &[8, 16, 32, 32, 64, 64],
        &[1, 2, 1, 2, 1],
    )?);
    let channels = [64, 128, 128, 128, 128, 128, 128];
    let layers2 = define_pairs(&(path / "stage2"), 0, folded, &channels, &[2, 1, 1, 1, 1, 1])?;
    let layers3 = define_pairs(&(path / "stage3"), 0, folded, &[128, 256, 256], &[2, 1])?;
    Ok([layers1, layers2, layers3])
}

/// The pairs of a stage from number `first` on, with the channels before and after each and its stride.
fn define_pairs(
    stage: &nn::Path,
    first: i64,
    folded: bool,
    channels: &[i64],
    strides: &[i64],
) -> Result<Vec<ConvBn>, TchError> {
    let mut layers = Vec::new();
    for ((number, ends), &stride) in (first..).zip(channels.windows(2)).zip(strides) {
        let (inputs, outputs) = (ends[0], ends[1]);
        let pair = stage / number;
        layers.push(layer(
            &pair,
            0,
            folded,
            ConvSpec::depthwise(inputs, 3).stride(stride),
        )?);
        layers.push(layer(&pair, 3, folded, ConvSpec::pointwise(inputs, outputs))?);
    }
    Ok(layers)
}

/// The three heads of a level: face or not, box, landmarks.
fn define_heads(root: &nn::Path, level: i64) -> Result<Joined, TchError> {
    let head = |name: &str, values: i64| {
        let spec = ConvSpec::pointwise(PYRAMID, PRIORS * values);
        ConvBn::folded(&(root / name / level / "conv1x1"), spec)
    };
    let heads = vec![
        head("ClassHead", 2)?,
        head("BboxHead", 4)?,
        head("LandmarkHead", 10)?,
    ];
    Ok(Joined::new(heads))
}

/// `[N, cells, 32]`, all heads of a cell together, to `[N, P, 2]`, `[N, P, 4]` and `[N, P, 10]`.
fn split_answers(answers: &Tensor) -> Result<[Tensor; 3], TchError> {
    let part = |start: i64, values: i64| {
        answers
            .f_narrow(2, PRIORS * start, PRIORS * values)?
            .f_reshape([answers.size()[0], -1, values])
    };
    Ok([part(0, 2)?, part(2, 4)?, part(6, 10)?])
}

/// Softmax over two classes, the second one's share: `[N, P, 2]` to `[N, P]`. The logistic function of
/// their difference is the same and several times faster than libtorch's softmax over a short axis.
fn probability_of_second(classes: &Tensor) -> Result<Tensor, TchError> {
    classes
        .f_select(-1, 1)?
        .f_sub(&classes.f_select(-1, 0)?)?
        .f_sigmoid_()
}

/// A context module (SSH): what 3x3, 5x5 and 7x7 convolutions would see, from chains of 3x3 ones.
#[derive(Debug, Clone)]
struct Context {
    /// To the 32 channels of the 3x3 view and to the 16 where the wider ones begin.
    first: Joined,
    /// From those 16 to the 16 of the 5x5 view and to 16 on the way to 7x7.
    second: Joined,
    /// To the 16 of the 7x7 view.
    third: ConvBn,
}

impl Context {
    fn define(path: &nn::Path, folded: bool) -> Result<Self, TchError> {
        let part =
            |name, inputs, outputs| layer(&(path / name), 0, folded, ConvSpec::full(inputs, outputs, 3));
        let first = vec![part("conv3X3", PYRAMID, 32)?, part("conv5X5_1", PYRAMID, 16)?];
        let second = vec![part("conv5X5_2", 16, 16)?, part("conv7X7_2", 16, 16)?];
        Ok(Self {
            first: Joined::new(first),
            second: Joined::new(second),
            third: part("conv7x7_3", 16, 16)?,
        })
    }

    fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.first.prepare(form)?;
        self.second.prepare(form)?;
        self.third.prepare(form)
    }

    /// `[N, 64, H, W]` to the same shape.
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let first = self.first.forward(input, MODE)?;
        let second = self
            .second
            .forward(&leaky_copy(&first.f_narrow(1, 32, 16)?)?, MODE)?;
        let third = self
            .third
            .forward(&leaky_copy(&second.f_narrow(1, 16, 16)?)?, MODE)?;
        Tensor::f_cat(&[first.f_narrow(1, 0, 32)?, second.f_narrow(1, 0, 16)?, third], 1)?.f_relu_()
    }
}

/// Convolutions one after the other, a leaky ReLU after each.
fn run(layers: &[ConvBn], input: &Tensor) -> Result<Tensor, TchError> {
    layers.iter().try_fold(input.shallow_clone(), |features, layer| {
        leaky(layer.forward(&features, MODE)?)
    })
}

/// Leaky ReLU in place. tch's own has a fixed slope of 0.01; the derivative of a leaky ReLU times its input
/// is the leaky ReLU, and its derivative takes the slope.
fn leaky(features: Tensor) -> Result<Tensor, TchError> {
    features.f_leaky_relu_backward_grad_input(&features, &features, LEAKY_SLOPE, false)
}

/// The same of a part of other features, which stay as they are.
fn leaky_copy(features: &Tensor) -> Result<Tensor, TchError> {
    features.f_leaky_relu_backward(features, LEAKY_SLOPE, false)
}

/// `fine` plus `coarse` enlarged to its size by repeating pixels.
fn add_enlarged(mut fine: Tensor, coarse: &Tensor) -> Result<Tensor, TchError> {
    let (_, _, height, width) = fine.size4()?;
    fine.f_add_(&coarse.f_upsample_nearest2d([height, width], None, None)?)
}
