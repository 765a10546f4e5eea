//! The layers from the embedding to the outputs of the tasks.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::architecture::{Architecture, Tasks};
use super::layers::Linear;
use crate::labels::ACTION_UNITS;

/// Length of the embedding.
pub(super) const EMBEDDING: i64 = 512;

/// The heads' outputs for each crop. A task without an output layer is `None`.
#[derive(Debug)]
pub struct HeadOutputs {
    /// `[N, 2]`, valence and arousal in (-1, 1), after the tanh.
    pub valence_arousal: Option<Tensor>,
    /// `[N, 7, 8 or 9]` before the softmax, in the network's own order of classes.
    pub expression_logits: Option<Tensor>,
    /// `[N, 12]` before the sigmoid.
    pub action_unit_logits: Option<Tensor>,
}

/// The output layers.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    hidden: Option<Linear>,
    valence_arousal: Option<Linear>,
    expressions: Option<Linear>,
    action_units: Option<Linear>,
}

impl Heads {
    /// `root` is the network's own path.
    pub(super) fn new(root: &Path, architecture: &Architecture) -> Result<Self, TchError> {
        match *architecture {
            Architecture::Hidden(tasks) => {
                let hidden = Linear::new(&(root / "custom_classifier" / "dense"), EMBEDDING, EMBEDDING)?;
                Self::multitask(root, tasks, Some(hidden))
            }
            Architecture::Linear(tasks) => Self::multitask(root, tasks, None),
            Architecture::Official(classes) => Ok(Self {
                hidden: None,
                valence_arousal: None,
                expressions: Some(Linear::new(&(root / "fc"), EMBEDDING, classes.outputs())?),
                action_units: None,
            }),
        }
    }

    fn multitask(root: &Path, tasks: Tasks, hidden: Option<Linear>) -> Result<Self, TchError> {
        let path = root / "custom_classifier";
        let layer = |name: &str, outputs: Option<i64>| {
            outputs
                .map(|outputs| Linear::new(&(&path / name), EMBEDDING, outputs))
                .transpose()
        };
        let emotions = tasks.expressions.map(|emotions| emotions.outputs());
        Ok(Self {
            hidden,
            valence_arousal: layer("val_arousal", tasks.valence_arousal.then_some(2))?,
            expressions: layer("emotions", emotions)?,
            action_units: layer("actions", tasks.action_units.then_some(ACTION_UNITS as i64))?,
        })
    }

    /// `embedding` is `[N, 512]`.
    pub(super) fn forward(&self, embedding: &Tensor) -> Result<HeadOutputs, TchError> {
        let x = match &self.hidden {
            Some(hidden) => hidden.forward(embedding)?.f_relu()?,
            None => embedding.shallow_clone(),
        };
        let output = |layer: &Option<Linear>| layer.as_ref().map(|layer| layer.forward(&x)).transpose();
        Ok(HeadOutputs {
            valence_arousal: output(&self.valence_arousal)?.map(|va| va.f_tanh()).transpose()?,
            expression_logits: output(&self.expressions)?,
            action_unit_logits: output(&self.action_units)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use tch::nn::VarStore;
    use tch::{Device, no_grad};

    use super::super::architecture::AffectNet;
    use super::*;

    #[test]
    fn the_official_head_gives_the_originals_logits() {
        let file = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ddamfn_parts.safetensors");
        let parts: std::collections::BTreeMap<_, _> =
            Tensor::read_safetensors(file).unwrap().into_iter().collect();
        let store = VarStore::new(Device::Cpu);
        let heads = Heads::new(&store.root(), &Architecture::Official(AffectNet::Eight)).unwrap();
        let logits = no_grad(|| {
            for (name, mut variable) in store.variables() {
                variable.copy_(&parts[&format!("affectnet8.weights.{name}")]);
            }
            heads
                .forward(&parts["affectnet8.embedding"])
                .unwrap()
                .expression_logits
                .unwrap()
        });
        let difference = (logits - &parts["affectnet8.logits"])
            .abs()
            .max()
            .double_value(&[]);
        assert!(difference <= 1e-5, "{difference:e}");
    }
}
