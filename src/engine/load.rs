//! The networks of a run: read once, cloned for each thread that runs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tch::Device;

use super::networks::Networks;
use crate::allocator;
use crate::cuda::{self, CudaError};
use crate::device::LibtorchVersion;
use crate::face::template::TemplateSet;
use crate::labels::{ExtraUnit, PerTask};
use crate::model::torchscript::ScriptNetwork;
use crate::model::weights::{StoredNetwork, WeightsError};
use crate::model::{
    Architecture, Detector, DetectorError, Ensemble, IdentityError, IdentityNetwork, InferenceForm,
    ModelError, Network, Precision, Predictor, initial_weights,
};
use crate::run::{FindWeightsError, InputKind, Plan, SEED, check_unchanged, warnings};
use crate::table::extra_units;
use crate::video::libav_versions;

/// Networks ready to run.
pub struct Loaded {
    /// The networks on each device, to be cloned for each thread.
    pub networks: Vec<Networks>,
    /// Device kind, precision and form, for the tables' footers.
    pub inference: String,
    /// Sentences that a person should read before trusting the numbers.
    pub warnings: Vec<String>,
}

/// The networks of a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    /// Weights that cannot be found or have changed.
    #[error(transparent)]
    Find(#[from] FindWeightsError),
    /// The detector's weights.
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// Affect weights that cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Features of a network that gives none.
    #[error(
        "the first network is a TorchScript program, which gives no feature: leave --features out, or name a DDAMFN \
         first under [model]"
    )]
    NoFeature,
    /// TF32 cannot be switched off.
    #[error("this libtorch cannot compute in f32 on a GPU")]
    Cuda(#[from] CudaError),
    /// The weights that tell people apart.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Affect weights that do not fit.
    #[error("affect weights")]
    Model(#[from] ModelError),
}

/// Versions of what shapes the numbers, by name.
pub fn versions() -> BTreeMap<String, String> {
    let libtorch = LibtorchVersion::linked().map(|version| version.to_string());
    [
        ("abaw", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", libtorch.unwrap_or_else(|| "unknown".to_owned())),
        ("libav", libav_versions()),
    ]
    .map(|(name, version)| (name.to_owned(), version))
    .into()
}

/// Reads the weights that a plan names and puts the networks on each of `devices`, which are of one kind.
///
/// # Errors
/// [`NetworksError`]; also if a file is not the one that was planned with.
pub fn load(plan: &Plan, devices: &[Device]) -> Result<Loaded, NetworksError> {
    let model = &plan.settings.pipeline.model;
    let mut planned = plan.weights.iter();
    check_unchanged(planned.next(), detector_weights(plan)?)?;
    let mut stored = Vec::new();
    for network in model.networks() {
        check_unchanged(planned.next(), &network.weights)?;
        stored.push(StoredNetwork::load(&network.weights)?);
    }
    if let Some(path) = &model.identity_weights {
        check_unchanged(plan.weights.last(), path)?;
    }
    prepare(plan, stored, devices)
}

/// Puts the networks of a plan on each of `devices`, which are of one kind. `stored`: those that annotate, as they were read for
/// the plan ([`FoundWeights::networks`](crate::run::FoundWeights)).
///
/// # Errors
/// [`NetworksError`].
pub fn prepare(plan: &Plan, stored: Vec<StoredNetwork>, devices: &[Device]) -> Result<Loaded, NetworksError> {
    let pipeline = &plan.settings.pipeline;
    let model = &pipeline.model;
    // A plan names one.
    let precision = model.precision.or(Precision::F32);
    let detector_path = detector_weights(plan)?;
    let mut warnings = warnings(&plan.weights);
    let mut members = Vec::new();
    for (network, stored) in model.networks().iter().zip(stored) {
        match &stored {
            StoredNetwork::Ddamfn(weights) => warnings.extend(other_alignment(plan, weights.card.alignment)),
            StoredNetwork::TorchScript(_) => warnings.extend(other_precision(precision, &network.weights)),
        }
        members.push((stored, network.weights_per_task()));
    }

    // A plan of an older version names no such weights; its tracks stay as they are.
    let identity = model.identity_weights.as_deref();
    let identity = identity.map(IdentityNetwork::open).transpose()?.map(Arc::new);

    if devices.iter().any(|device| device.is_cuda()) {
        cuda::allow_tf32(false)?;
    }
    let tf32 = (precision == Precision::Tf32).then(Arc::default);
    let features = model.features;
    if features && matches!(members.first(), Some((StoredNetwork::TorchScript(_), _))) {
        return Err(NetworksError::NoFeature);
    }
    let extra_units = extra_units(&plan.weights);
    let mut networks = Vec::with_capacity(devices.len());
    let mut inference = String::new();
    for &device in devices {
        let form = InferenceForm::fast(device, precision);
        inference = form.to_string();
        let affect = Ensemble::new(ensemble_members(&members, form, &extra_units)?, model.batch);
        networks.push(Networks {
            detector: Detector::load(detector_path, device, &pipeline.detector)?,
            affect: if features { affect.with_features() } else { affect },
            identity: identity.clone(),
            tf32: tf32.clone(),
            stand_in: None,
        });
    }
    drop(members);
    // Of what was read, most is free now.
    allocator::return_freed_memory();
    Ok(Loaded {
        networks,
        inference,
        warnings,
    })
}

/// The detector's weights of a plan.
fn detector_weights(plan: &Plan) -> Result<&Path, FindWeightsError> {
    let path = plan.settings.pipeline.model.detector_weights.as_deref();
    path.ok_or(FindWeightsError::NoDetector)
}

/// The affect networks in the form of a device, with their weights per task; one with random weights if there are none.
fn ensemble_members(
    members: &[(StoredNetwork, PerTask<f64>)],
    form: InferenceForm,
    extra_units: &[ExtraUnit],
) -> Result<Vec<(Network, PerTask<f64>)>, ModelError> {
    if members.is_empty() {
        let architecture = Architecture::MULTITASK;
        let tensors = initial_weights(&architecture, SEED)?;
        return Ok(vec![(
            Predictor::new(&tensors, &architecture, form)?.into(),
            PerTask::all(1.0),
        )]);
    }
    let network = |(stored, per_task): &(StoredNetwork, PerTask<f64>)| {
        let network = match stored {
            StoredNetwork::Ddamfn(weights) => {
                let predictor = Predictor::new(weights.tensors(), weights.architecture(), form)?;
                predictor.with_normalisation(weights.card.normalisation)?.into()
            }
            StoredNetwork::TorchScript(script) => {
                ScriptNetwork::new(&script.program, &script.card, form.device, extra_units)?.into()
            }
        };
        Ok((network, *per_task))
    };
    members.iter().map(network).collect()
}

/// The warning that a TorchScript network computes in another precision than it was asked for.
fn other_precision(precision: Precision, weights: &Path) -> Option<String> {
    let is_other = matches!(precision, Precision::Bf16 | Precision::F16);
    is_other.then(|| {
        format!(
            "{}: a TorchScript network computes in f32, whatever the precision",
            weights.display()
        )
    })
}

/// The warning that a run aligns faces to other templates than its weights were trained with. Crops
/// come aligned, to what is not known.
fn other_alignment(plan: &Plan, trained: TemplateSet) -> Option<String> {
    let ours = plan.settings.pipeline.alignment.templates;
    let aligns = plan.inputs.iter().any(|input| input.kind != InputKind::Crops);
    (aligns && ours != trained).then(|| {
        format!(
            "the weights were trained on faces aligned to {trained}, this run aligns to {ours}: \
             set templates = \"{trained}\" under [alignment] in the pipeline file"
        )
    })
}
