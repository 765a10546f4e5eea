//! Which network: its output layers and its order of classes, and how to tell from a checkpoint.

use std::collections::BTreeMap;
use std::fmt;

use super::error::ModelError;
use crate::labels::Expression;

/// Number of direction attention heads.
pub const ATTENTION_HEADS: usize = 2;

/// What differs between DDAMFN checkpoints: the layers from the 512-value embedding to the
/// outputs. Backbone and attention are always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The authors' code: a hidden layer 512 -> 512 with ReLU (`custom_classifier.dense`) before
    /// the output layers.
    Hidden(Tasks),
    /// The paper's text: output layers right on the embedding.
    Linear(Tasks),
    /// The official single-task network: `fc`, expressions in AffectNet's order.
    Official(AffectNet),
}

/// The output layers of a multitask head, `custom_classifier.*`. A single-task network has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tasks {
    /// `val_arousal`, 2 outputs.
    pub valence_arousal: bool,
    /// `emotions`.
    pub expressions: Option<Emotions>,
    /// `actions`, 12 outputs.
    pub action_units: bool,
}

impl Tasks {
    /// All three tasks, as the authors' code has them.
    pub const ALL: Tasks = Tasks {
        valence_arousal: true,
        expressions: Some(Emotions::Nine),
        action_units: true,
    };

    /// No task.
    const NONE: Tasks = Tasks {
        valence_arousal: false,
        expressions: None,
        action_units: false,
    };
}

/// Width of the multitask `emotions` layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emotions {
    /// ABAW's classes (the paper, the 8th ABAW code).
    Eight,
    /// ABAW's classes and a ninth output that was never a label (the authors' 7th ABAW code).
    Nine,
}

impl Emotions {
    /// Number of outputs.
    pub fn outputs(self) -> i64 {
        match self {
            Emotions::Eight => 8,
            Emotions::Nine => 9,
        }
    }
}

/// Width of the official `fc` layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AffectNet {
    /// Without contempt.
    Seven,
    /// With contempt.
    Eight,
}

impl AffectNet {
    /// Number of outputs.
    pub fn outputs(self) -> i64 {
        match self {
            AffectNet::Seven => 7,
            AffectNet::Eight => 8,
        }
    }
}

/// The order of a network's expression outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassOrder {
    /// Neutral, Anger, Disgust, Fear, Happiness, Sadness, Surprise, Other.
    Abaw,
    /// Neutral, Happy, Sad, Surprise, Fear, Disgust, Angry.
    AffectNet7,
    /// Neutral, Happy, Sad, Surprise, Fear, Disgust, Angry, Contempt.
    AffectNet8,
}

impl ClassOrder {
    /// The ABAW expression that each output stands for. A ninth ABAW output stands for nothing;
    /// AffectNet's contempt is ABAW's Other.
    pub fn expressions(self) -> &'static [Expression] {
        use Expression::*;
        match self {
            ClassOrder::Abaw => &Expression::ALL,
            ClassOrder::AffectNet7 => &[Neutral, Happiness, Sadness, Surprise, Fear, Disgust, Anger],
            ClassOrder::AffectNet8 => &[Neutral, Happiness, Sadness, Surprise, Fear, Disgust, Anger, Other],
        }
    }
}

impl fmt::Display for ClassOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClassOrder::Abaw => "ABAW",
            ClassOrder::AffectNet7 => "AffectNet-7",
            ClassOrder::AffectNet8 => "AffectNet-8",
        })
    }
}

impl Architecture {
    /// The authors' multitask network.
    pub const MULTITASK: Architecture = Architecture::Hidden(Tasks::ALL);

    /// The order of the expression outputs; `None` for a network without any.
    pub fn class_order(&self) -> Option<ClassOrder> {
        match self {
            Self::Hidden(tasks) | Self::Linear(tasks) => tasks.expressions.map(|_| ClassOrder::Abaw),
            Self::Official(AffectNet::Seven) => Some(ClassOrder::AffectNet7),
            Self::Official(AffectNet::Eight) => Some(ClassOrder::AffectNet8),
        }
    }

    /// The tasks that the network has no output for, in words.
    pub fn tasks_without_head(&self) -> Vec<&'static str> {
        let tasks = match *self {
            Architecture::Hidden(tasks) | Architecture::Linear(tasks) => tasks,
            Architecture::Official(_) => Tasks {
                expressions: Some(Emotions::Eight),
                ..Tasks::NONE
            },
        };
        [
            ("valence and arousal", tasks.valence_arousal),
            ("expressions", tasks.expressions.is_some()),
            ("action units", tasks.action_units),
        ]
        .into_iter()
        .filter(|(_, has_head)| !has_head)
        .map(|(task, _)| task)
        .collect()
    }

    /// The network that tensors belong to, judged by PyTorch's names and the shapes of the output
    /// layers. [`Ddamfn::from_tensors`] checks whether all other tensors are there.
    ///
    /// [`Ddamfn::from_tensors`]: super::Ddamfn::from_tensors
    pub fn of_shapes(shapes: &BTreeMap<String, Vec<i64>>) -> Result<Architecture, ModelError> {
        let outputs =
            |layer: &str| -> Option<i64> { shapes.get(&format!("{layer}.weight"))?.first().copied() };
        let unknown = |reason: String| Err(ModelError::UnknownArchitecture(reason));

        let is_head = |i: &usize| shapes.contains_key(&format!("cat_head{i}.CoordAtt.conv1.weight"));
        let heads = (0..=ATTENTION_HEADS).take_while(is_head).count();
        if heads != ATTENTION_HEADS {
            return unknown(format!(
                "attention heads (cat_head*.CoordAtt.*): {heads} instead of {ATTENTION_HEADS}"
            ));
        }

        let emotions = outputs("custom_classifier.emotions");
        let tasks = Tasks {
            valence_arousal: outputs("custom_classifier.val_arousal").is_some(),
            expressions: match emotions {
                None => None,
                Some(8) => Some(Emotions::Eight),
                Some(9) => Some(Emotions::Nine),
                Some(n) => return unknown(format!("custom_classifier.emotions has {n} outputs, not 8 or 9")),
            },
            action_units: outputs("custom_classifier.actions").is_some(),
        };
        match (outputs("fc"), tasks != Tasks::NONE) {
            (Some(7), false) => Ok(Self::Official(AffectNet::Seven)),
            (Some(8), false) => Ok(Self::Official(AffectNet::Eight)),
            (Some(n), false) => unknown(format!("fc has {n} outputs, not 7 or 8")),
            (Some(_), true) => unknown("both fc and custom_classifier.* output layers".to_owned()),
            (None, false) => unknown("no output layer, neither fc nor custom_classifier.*".to_owned()),
            (None, true) => match outputs("custom_classifier.dense") {
                Some(_) => Ok(Self::Hidden(tasks)),
                None => Ok(Self::Linear(tasks)),
            },
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden(tasks) => write!(f, "DDAMFN with a hidden layer and {tasks}"),
            Self::Linear(tasks) => write!(f, "DDAMFN with {tasks}"),
            Self::Official(classes) => write!(f, "official DDAMFN with {} expressions", classes.outputs()),
        }
    }
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.valence_arousal {
            parts.push("valence/arousal".to_owned());
        }
        if let Some(emotions) = self.expressions {
            parts.push(format!("{} expressions", emotions.outputs()));
        }
        if self.action_units {
            parts.push("12 action units".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

/// Whether a checkpoint's tensor is one that the original network holds and never uses: the
/// normalisation and slopes beside mixed depthwise convolutions, the third pool of an attention
/// head, the official network's last `bn`, and batch counters.
pub fn is_unused(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
        || name.contains(".conv_dw.bn.")
        || name.contains(".conv_dw.prelu.")
        || name.contains(".CoordAtt.Linear.")
        || name.starts_with("bn.")
}

#[cfg(test)]
mod tests {
    use super::super::ddamfn::parameter_shapes;
    use super::*;

    fn tasks(valence_arousal: bool, expressions: Option<Emotions>, action_units: bool) -> Tasks {
        Tasks {
            valence_arousal,
            expressions,
            action_units,
        }
    }

    #[test]
    fn every_architecture_is_known_by_its_tensors() {
        for architecture in [
            Architecture::MULTITASK,
            Architecture::Hidden(tasks(true, Some(Emotions::Eight), true)),
            Architecture::Hidden(tasks(true, None, false)),
            Architecture::Linear(tasks(false, Some(Emotions::Nine), true)),
            Architecture::Linear(tasks(false, None, true)),
            Architecture::Official(AffectNet::Seven),
            Architecture::Official(AffectNet::Eight),
        ] {
            let shapes = parameter_shapes(&architecture).unwrap();
            assert_eq!(Architecture::of_shapes(&shapes).unwrap(), architecture);
        }
    }

    #[test]
    fn what_is_no_known_network_is_refused_with_the_reason() {
        let multitask = parameter_shapes(&Architecture::MULTITASK).unwrap();
        let with = |name: &str, shape: &[i64]| {
            let mut shapes = multitask.clone();
            shapes.insert(name.to_owned(), shape.to_vec());
            shapes
        };
        let headless = multitask
            .iter()
            .filter(|(name, _)| !name.starts_with("custom_classifier"));
        for (shapes, reason) in [
            (BTreeMap::new(), "0 instead of 2"),
            (
                with("cat_head2.CoordAtt.conv1.weight", &[16, 512, 1, 1]),
                "3 instead of 2",
            ),
            (with("fc.weight", &[8, 512]), "both fc and custom_classifier"),
            (
                with("custom_classifier.emotions.weight", &[7, 512]),
                "7 outputs, not 8 or 9",
            ),
            (
                headless
                    .map(|(name, shape)| (name.clone(), shape.clone()))
                    .collect(),
                "no output layer",
            ),
        ] {
            let error = Architecture::of_shapes(&shapes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    /// The paper and the facts: 4,458,271 parameters of the multitask network, counted as PyTorch
    /// does, with those that are never used and without running statistics.
    #[test]
    fn the_multitask_network_has_the_parameters_of_the_original() {
        let shapes = parameter_shapes(&Architecture::MULTITASK).unwrap();
        let trainable = shapes.iter().filter(|(name, _)| !name.contains(".running_"));
        let used: i64 = trainable.map(|(_, shape)| shape.iter().product::<i64>()).sum();
        // bn (weight, bias) and prelu beside the mixed depthwise convolutions; two third pools
        // (7x7 convolution, bn).
        let expanded = 128 + 9 * 128 + 256 + 16 * 256 + 1024 + 6 * 512;
        let unused = 3 * expanded + 2 * (512 * 49 + 2 * 512);
        assert_eq!(used + unused, 4_458_271);
    }
}
