//! The network RetinaFace mobilenet0.25 (Deng et al., arXiv 1905.00641, in its PyTorch form):
//! MobileNet body, feature pyramid, context modules (SSH), heads for face or not, box and landmarks.

use std::path::Path;

use tch::{Device, TchError, Tensor};

use super::convolution::{Convolution, Weights};
use super::detector::DetectorError;

/// Channels of the feature pyramid and of all after it.
const PYRAMID: i64 = 64;
/// Priors a cell has.
const PRIORS: i64 = 2;
const LEAKY_SLOPE: f64 = 0.1;

/// What the network says of each of the `P` priors of each of `N` pictures, the priors in the order
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
    stages: [Vec<Convolution>; 3],
    /// From each stage to the pyramid's channels.
    lateral: [Convolution; 3],
    /// After the sums at 1/8 and 1/16.
    merge: [Convolution; 2],
    context: [Context; 3],
    heads: [Convolution; 3],
    device: Device,
}

impl RetinaFace {
    /// Reads the weights by their PyTorch names, with batch normalisations or with them folded.
    ///
    /// # Errors
    /// [`DetectorError::Unreadable`], [`DetectorError::Misfit`]; [`DetectorError::Torch`] if there is no such device.
    pub fn load(path: &Path, device: Device) -> Result<Self, DetectorError> {
        let weights = &Weights::read(path, device)?;
        Ok(Self {
            stages: load_body(weights)?,
            lateral: [
                Convolution::full(weights, "fpn.output1.0", (64, PYRAMID), 1, 1)?,
                Convolution::full(weights, "fpn.output2.0", (128, PYRAMID), 1, 1)?,
                Convolution::full(weights, "fpn.output3.0", (256, PYRAMID), 1, 1)?,
            ],
            merge: [
                Convolution::full(weights, "fpn.merge1.0", (PYRAMID, PYRAMID), 3, 1)?,
                Convolution::full(weights, "fpn.merge2.0", (PYRAMID, PYRAMID), 3, 1)?,
            ],
            context: [
                Context::load(weights, "ssh1")?,
                Context::load(weights, "ssh2")?,
                Context::load(weights, "ssh3")?,
            ],
            heads: [
                load_heads(weights, 0)?,
                load_heads(weights, 1)?,
                load_heads(weights, 2)?,
            ],
            device,
        })
    }

    /// Where the network is and its input must be.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Looks at pictures `[N, 3, H, W]`: BGR minus (104, 117, 123), float32, fastest in channels_last.
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
        let coarse = leaky(self.lateral[2].forward(&third)?)?;
        let middle = leaky(self.lateral[1].forward(&second)?)?;
        let middle = leaky(self.merge[1].forward(&add_enlarged(middle, &coarse)?)?)?;
        let fine = leaky(self.lateral[0].forward(&first)?)?;
        let fine = leaky(self.merge[0].forward(&add_enlarged(fine, &middle)?)?)?;
        Ok([fine, middle, coarse])
    }

    /// The heads' outputs for one level of the pyramid, `[N, cells, 32]`.
    fn answers(&self, level: usize, features: &Tensor) -> Result<Tensor, TchError> {
        let context = self.context[level].forward(features)?;
        self.heads[level]
            .forward(&context)?
            .f_permute([0, 2, 3, 1])?
            .f_flatten(1, 2)
    }
}

/// The MobileNet of a quarter's width: a convolution, then pairs of a depthwise and a 1x1 one.
fn load_body(weights: &Weights) -> Result<[Vec<Convolution>; 3], DetectorError> {
    let mut stage1 = vec![Convolution::full(weights, "body.stage1.0.0", (3, 8), 3, 2)?];
    stage1.extend(load_pairs(
        weights,
        "body.stage1",
        1,
        &[8, 16, 32, 32, 64, 64],
        &[1, 2, 1, 2, 1],
    )?);
    let channels = [64, 128, 128, 128, 128, 128, 128];
    let stage2 = load_pairs(weights, "body.stage2", 0, &channels, &[2, 1, 1, 1, 1, 1])?;
    let stage3 = load_pairs(weights, "body.stage3", 0, &[128, 256, 256], &[2, 1])?;
    Ok([stage1, stage2, stage3])
}

/// The pairs of a stage from number `first` on, with the channels before and after each and its stride.
fn load_pairs(
    weights: &Weights,
    stage: &str,
    first: usize,
    channels: &[i64],
    strides: &[i64],
) -> Result<Vec<Convolution>, DetectorError> {
    let mut layers = Vec::new();
    for ((number, ends), &stride) in (first..).zip(channels.windows(2)).zip(strides) {
        let (from, to) = (ends[0], ends[1]);
        let (depthwise, full) = (format!("{stage}.{number}.0"), format!("{stage}.{number}.3"));
        layers.push(Convolution::depthwise(weights, &depthwise, from, stride)?);
        layers.push(Convolution::full(weights, &full, (from, to), 1, 1)?);
    }
    Ok(layers)
}

/// The three heads of a level as one convolution: face or not, box, landmarks.
fn load_heads(weights: &Weights, level: usize) -> Result<Convolution, DetectorError> {
    let head = |name: &str, values: i64| {
        let name = format!("{name}.{level}.conv1x1");
        Convolution::full(weights, &name, (PYRAMID, PRIORS * values), 1, 1)
    };
    let face_or_not = head("ClassHead", 2)?;
    Ok(face_or_not
        .beside(&head("BboxHead", 4)?)?
        .beside(&head("LandmarkHead", 10)?)?)
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
/// Convolutions of one input are joined.
#[derive(Debug, Clone)]
struct Context {
    /// To the 32 channels of the 3x3 view and to the 16 where the wider ones begin.
    first: Convolution,
    /// From those 16 to the 16 of the 5x5 view and to 16 on the way to 7x7.
    second: Convolution,
    /// To the 16 of the 7x7 view.
    third: Convolution,
}

impl Context {
    fn load(weights: &Weights, name: &str) -> Result<Self, DetectorError> {
        let part = |part: &str, from: i64, to: i64| {
            Convolution::full(weights, &format!("{name}.{part}.0"), (from, to), 3, 1)
        };
        Ok(Self {
            first: part("conv3X3", PYRAMID, 32)?.beside(&part("conv5X5_1", PYRAMID, 16)?)?,
            second: part("conv5X5_2", 16, 16)?.beside(&part("conv7X7_2", 16, 16)?)?,
            third: part("conv7x7_3", 16, 16)?,
        })
    }

    /// `[N, 64, H, W]` to the same shape.
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let first = self.first.forward(input)?;
        let second = self.second.forward(&leaky_copy(&first.f_narrow(1, 32, 16)?)?)?;
        let third = self.third.forward(&leaky_copy(&second.f_narrow(1, 16, 16)?)?)?;
        Tensor::f_cat(&[first.f_narrow(1, 0, 32)?, second.f_narrow(1, 0, 16)?, third], 1)?.f_relu_()
    }
}

/// Convolutions one after the other, a leaky ReLU after each.
fn run(layers: &[Convolution], input: &Tensor) -> Result<Tensor, TchError> {
    layers.iter().try_fold(input.shallow_clone(), |features, layer| {
        leaky(layer.forward(&features)?)
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
