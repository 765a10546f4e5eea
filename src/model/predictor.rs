//! Predictions for aligned faces, in the form that is fastest on a device.

use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::architecture::{Architecture, ClassOrder};
use super::crop::{AlignedFace, Normalisation, Normaliser};
use super::ddamfn::{Ddamfn, Outputs};
use super::error::{ModelError, NotFinite};
use super::inference_form::InferenceForm;
use super::layers::Mode;
use super::named_tensors::NamedTensors;
use crate::labels::{ACTION_UNITS, Affect, EXPRESSIONS, ValenceArousal};

/// Numbers of a face's feature: DDAMFN's embedding, from which its outputs are computed.
pub const FEATURE: usize = 512;

/// A network that annotates faces.
///
/// It is `Send` and not `Sync`: give each worker thread a clone. Clones share the weights. A worker
/// that is one of many calls `tch::set_num_threads(1)` first.
///
/// A face's prediction is the same, bit for bit, wherever it stands in its batch. Between batches
/// of different sizes it differs by rounding: 5 faces or one against 16 by less than 1e-4 in `f32`
/// and 0.02 in bf16 (`tests/model/ddamfn.rs`, with the weights that come along). Who fills up the last batch
/// makes predictions independent of batching.
#[derive(Debug, Clone)]
pub struct Predictor {
    network: Ddamfn,
    form: InferenceForm,
    class_order: Option<ClassOrder>,
    /// Whether there are outputs for valence and arousal, and for action units.
    tasks: [bool; 2],
    /// Whether the feature is given beside them.
    features: bool,
    normaliser: Normaliser,
}

impl Predictor {
    /// The network of a checkpoint's tensors in a form for inference, its input normalised as
    /// ImageNet's.
    ///
    /// # Errors
    /// [`ModelError::WeightsDoNotFit`], [`ModelError::NeedsCuda`], or libtorch's.
    pub fn new(
        tensors: &NamedTensors,
        architecture: &Architecture,
        form: InferenceForm,
    ) -> Result<Self, ModelError> {
        form.check()?;
        let mut network = Ddamfn::from_tensors(&VarStore::new(form.device), architecture, tensors)?;
        network.prepare(form)?;
        Ok(Self {
            network,
            form,
            class_order: architecture.class_order(),
            tasks: match architecture {
                Architecture::Hidden(tasks) | Architecture::Linear(tasks) => {
                    [tasks.valence_arousal, tasks.action_units]
                }
                Architecture::Official(_) => [false; 2],
            },
            features: false,
            normaliser: Normaliser::new(Normalisation::IMAGENET, form.device)?,
        })
    }

    /// The same network for inputs that are normalised in another way.
    ///
    /// # Errors
    /// libtorch's.
    pub fn with_normalisation(self, normalisation: Normalisation) -> Result<Self, ModelError> {
        Ok(Self {
            normaliser: Normaliser::new(normalisation, self.form.device)?,
            ..self
        })
    }

    /// The same network, which also gives the feature of each face.
    pub fn with_features(self) -> Self {
        Self {
            features: true,
            ..self
        }
    }

    /// How the network is run.
    pub fn form(&self) -> InferenceForm {
        self.form
    }

    /// The network's outputs for each face, in order.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where an output is NaN or infinite, or libtorch's.
    pub fn predict(&self, faces: &[&AlignedFace]) -> Result<Vec<Affect>, ModelError> {
        if faces.is_empty() {
            return Ok(Vec::new());
        }
        let pixels: Vec<&[u8]> = faces.iter().map(|face| face.picture().rgb()).collect();
        let side = i64::from(AlignedFace::SIDE);
        let shape = [faces.len() as i64, side, side, 3];
        let pixels = Tensor::f_from_data_size(&pixels.concat(), &shape, Kind::Uint8)?;
        let outputs = self.submit(&pixels.f_to_device(self.form.device)?)?;
        let outputs = self.finish(&outputs, faces.len())?;
        Ok(outputs.into_iter().map(|face| face.affect).collect())
    }

    /// Gives one forward pass over bytes `[N, 112, 112, 3]`, which are on the network's device, to it: all tasks' outputs
    /// as one table in the host's memory. On a GPU the pass runs on while this thread does something else, and the
    /// table must not be read before an event recorded now.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub(super) fn submit(&self, pixels: &Tensor) -> Result<Tensor, ModelError> {
        no_grad(|| {
            let crops = self.normalise(pixels)?;
            let outputs = self.network.forward(&crops, Mode::Inference)?;
            let table = self.table(&outputs)?;
            Ok(table.f_to_device_(Device::Cpu, Kind::Float, self.form.device.is_cuda(), false)?)
        })
    }

    /// Bytes `[N, 112, 112, 3]` to the network's input `[N, 3, 112, 112]`.
    fn normalise(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        let crops = self.normaliser.apply(pixels)?;
        match self.form.channels_last {
            true => Ok(crops),
            false => crops.f_contiguous(),
        }
    }

    /// The outputs of all tasks side by side, `[N, outputs]`, and the feature if it is wanted, `[N, outputs + 512]`: valence and
    /// arousal, probabilities of expressions and of action units, feature.
    fn table(&self, Outputs { heads, embedding, .. }: &Outputs) -> Result<Tensor, TchError> {
        let mut columns = Vec::new();
        if let Some(valence_arousal) = &heads.valence_arousal {
            columns.push(valence_arousal.shallow_clone());
        }
        if let (Some(logits), Some(order)) = (&heads.expression_logits, self.class_order) {
            let classes = order.expressions().len() as i64;
            columns.push(logits.f_narrow(1, 0, classes)?.f_softmax(1, Kind::Float)?);
        }
        if let Some(logits) = &heads.action_unit_logits {
            columns.push(logits.f_sigmoid()?);
        }
        if self.features {
            columns.push(embedding.shallow_clone());
        }
        Tensor::f_cat(&columns, 1)
    }

    /// The outputs for the first `faces` faces of a table that [`Predictor::submit`] gave.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where an output is NaN or infinite, or libtorch's.
    pub(super) fn finish(&self, table: &Tensor, faces: usize) -> Result<Vec<FaceOutputs>, ModelError> {
        let width = table.size2()?.1 as usize;
        let mut values = vec![0.0f32; table.numel()];
        table.f_copy_data(&mut values, table.numel())?;
        let [valence_arousal, action_units] = self.tasks;
        let rows = values.chunks_exact(width).take(faces).enumerate();
        rows.map(|(crop, values)| {
            let mut row = OutputRow { crop, values };
            let affect = Affect {
                valence_arousal: valence_arousal.then(|| row.valence_arousal()).transpose()?,
                expression: self.class_order.map(|order| row.expression(order)).transpose()?,
                action_units: match action_units {
                    true => row.action_units()?,
                    false => [None; ACTION_UNITS],
                },
                extra_units: Box::default(),
            };
            let feature = self
                .features
                .then(|| row.take(FEATURE, NotFinite::Feature).map(Box::from));
            Ok(FaceOutputs {
                affect,
                feature: feature.transpose()?,
            })
        })
        .collect()
    }
}

/// What a network makes of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceOutputs {
    /// The outputs of its tasks.
    pub affect: Affect,
    /// The embedding from which they are computed, [`FEATURE`] numbers; `None` if it is not wanted.
    pub feature: Option<Box<[f32]>>,
}

/// One crop's outputs, taken from the left.
struct OutputRow<'a> {
    crop: usize,
    values: &'a [f32],
}

impl OutputRow<'_> {
    fn take(&mut self, count: usize, output: NotFinite) -> Result<&[f32], ModelError> {
        let (values, rest) = self.values.split_at(count);
        self.values = rest;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(ModelError::NotFinite {
                crop: self.crop,
                output,
            }),
        }
    }

    fn valence_arousal(&mut self) -> Result<ValenceArousal, ModelError> {
        let values = self.take(2, NotFinite::ValenceArousal)?;
        Ok(ValenceArousal {
            valence: values[0],
            arousal: values[1],
        })
    }

    fn expression(&mut self, order: ClassOrder) -> Result<[f32; EXPRESSIONS], ModelError> {
        let classes = order.expressions();
        let values = self.take(classes.len(), NotFinite::Expression)?;
        let mut probabilities = [0.0; EXPRESSIONS];
        for (class, probability) in classes.iter().zip(values) {
            probabilities[class.index()] = *probability;
        }
        Ok(probabilities)
    }

    fn action_units(&mut self) -> Result<[Option<f32>; ACTION_UNITS], ModelError> {
        let values = self.take(ACTION_UNITS, NotFinite::ActionUnits)?;
        Ok(std::array::from_fn(|unit| Some(values[unit])))
    }
}
