//! The card of a TorchScript network: what it takes, and what its outputs are. TOML, filled in by a person.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::error::TorchScriptError;
use super::shapes::OutputShapes;
use crate::face::CropForm;
use crate::labels::{ActionUnit, Expression, ExtraUnit};
use crate::model::crop::Normalisation;

/// What must be known of a network to run it and to understand its outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkCard {
    /// Where the network comes from, in words.
    pub source: String,
    /// Under which licence, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Thresholds and smoothing found for the network, TOML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// What the network takes.
    pub input: NetworkInput,
    /// Which of its outputs are what.
    pub outputs: NetworkOutputs,
}

/// The input of a network: `[N, 3, size, size]`, each channel `(value / 255 - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkInput {
    /// How faces are cut out.
    pub crop: CropForm,
    /// The order of the channels.
    pub colours: ColourOrder,
    /// Of the channels in their order, on the scale of 0 to 1.
    pub normalisation: Normalisation,
}

/// The order of colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV reads pictures.
    Bgr,
}

/// Which of a network's outputs are what. Its outputs are columns, counted from 0; those of several tensors (in a tuple, list
/// or dictionary) stand side by side in their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkOutputs {
    /// Valence and arousal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valence_arousal: Option<ValenceArousalOutputs>,
    /// Expressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<ExpressionOutputs>,
    /// Action units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_units: Option<ActionUnitOutputs>,
}

/// The columns of valence and arousal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValenceArousalOutputs {
    /// The column of valence.
    pub valence: usize,
    /// The column of arousal.
    pub arousal: usize,
    /// What the network gives for the most negative and the most positive; it becomes -1 to 1.
    pub range: [f32; 2],
}

/// The columns of the expressions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpressionOutputs {
    /// The column of the first class.
    pub first: usize,
    /// The classes in the network's order. An expression that is not among them has the probability 0.
    pub classes: Vec<ExpressionClass>,
    /// What the numbers are.
    pub form: OutputForm,
}

/// The columns of the action units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionUnitOutputs {
    /// The column of the first unit.
    pub first: usize,
    /// The units in the network's order.
    pub units: Vec<OutputUnit>,
    /// What the numbers are.
    pub form: OutputForm,
}

/// What the numbers of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputForm {
    /// Before the softmax of expressions or the sigmoid of action units.
    Logits,
    /// In [0, 1]; those of expressions of sum 1.
    Probabilities,
}

/// What a class of a network is among the eight expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ExpressionClass {
    /// One of the eight. In cards other names are understood, too: those of AffectNet, FER2013 and RAF-DB.
    Known(Expression),
    /// An output that is left out, `-` in a card.
    LeftOut,
}

impl TryFrom<String> for ExpressionClass {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Ok(Self::Known(match name.to_lowercase().as_str() {
            "neutral" => Expression::Neutral,
            "anger" | "angry" => Expression::Anger,
            "disgust" | "disgusted" => Expression::Disgust,
            "fear" | "fearful" => Expression::Fear,
            "happiness" | "happy" | "joy" => Expression::Happiness,
            "sadness" | "sad" => Expression::Sadness,
            "surprise" | "surprised" => Expression::Surprise,
            "other" | "contempt" => Expression::Other,
            "-" => return Ok(Self::LeftOut),
            _ => {
                return Err(format!(
                    "`{name}` is no expression: Neutral, Anger, Disgust, Fear, Happiness, Sadness, Surprise, Other \
                     (contempt counts as such), or \"-\" for an output that is left out"
                ));
            }
        }))
    }
}

impl From<ExpressionClass> for String {
    fn from(class: ExpressionClass) -> Self {
        match class {
            ExpressionClass::Known(expression) => expression.name().to_owned(),
            ExpressionClass::LeftOut => "-".to_owned(),
        }
    }
}

/// Which action unit an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OutputUnit {
    /// One of ABAW's twelve.
    Abaw(ActionUnit),
    /// Another of FACS.
    Extra(ExtraUnit),
    /// An output that is left out, `-` in a card.
    LeftOut,
}

impl TryFrom<String> for OutputUnit {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == "-" {
            return Ok(Self::LeftOut);
        }
        let number = name
            .strip_prefix("AU")
            .or_else(|| name.strip_prefix("au"))
            .and_then(|number| number.parse().ok());
        let abaws = number.and_then(ActionUnit::of_number).map(Self::Abaw);
        let extra = number.and_then(ExtraUnit::new).map(Self::Extra);
        abaws.or(extra).ok_or_else(|| {
            format!(
                "`{name}` is no action unit: \"AU1\" to \"AU99\", or \"-\" for an output that is left out"
            )
        })
    }
}

impl From<OutputUnit> for String {
    fn from(unit: OutputUnit) -> Self {
        match unit {
            OutputUnit::Abaw(unit) => unit.name(),
            OutputUnit::Extra(unit) => unit.name(),
            OutputUnit::LeftOut => "-".to_owned(),
        }
    }
}

impl NetworkCard {
    /// Reads a card and checks it.
    ///
    /// # Errors
    /// [`TorchScriptError::Card`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, TorchScriptError> {
        let card: Self = toml::from_str(text)
            .map_err(|error| TorchScriptError::Card(error.to_string().trim().replace('\n', " ")))?;
        card.check().map_err(TorchScriptError::Card)?;
        Ok(card)
    }

    fn check(&self) -> Result<(), String> {
        self.input.crop.check()?;
        self.input.normalisation.check()?;
        let NetworkOutputs {
            valence_arousal,
            expression,
            action_units,
        } = &self.outputs;
        if valence_arousal.is_none() && expression.is_none() && action_units.is_none() {
            return Err(
                "no output is named: fill in one of [outputs.valence_arousal], [outputs.expression], \
                        [outputs.action_units]"
                    .to_owned(),
            );
        }
        if let Some(ValenceArousalOutputs {
            range: [low, high], ..
        }) = valence_arousal
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            return Err(format!("valence_arousal: range [{low}, {high}] is none"));
        }
        if let Some(expression) = expression
            && expression
                .classes
                .iter()
                .all(|class| *class == ExpressionClass::LeftOut)
        {
            return Err("expression: no class is named".to_owned());
        }
        if let Some(action_units) = action_units {
            let mut units: Vec<OutputUnit> = action_units.units.clone();
            units.retain(|unit| *unit != OutputUnit::LeftOut);
            let different: BTreeSet<OutputUnit> = units.iter().copied().collect();
            if units.is_empty() || different.len() != units.len() {
                return Err("action_units: units must be named, each once".to_owned());
            }
        }
        self.outputs.columns().map(drop)
    }

    /// Names in words of the tasks that the network has no output for.
    pub fn missing_tasks(&self) -> Vec<&'static str> {
        let tasks = [
            ("valence and arousal", self.outputs.valence_arousal.is_some()),
            ("expressions", self.outputs.expression.is_some()),
            ("action units", self.outputs.action_units.is_some()),
        ];
        tasks
            .into_iter()
            .filter_map(|(task, has)| (!has).then_some(task))
            .collect()
    }

    /// The units beside ABAW's twelve that the network has an output for, by their numbers.
    pub fn extra_units(&self) -> Vec<ExtraUnit> {
        let units = self
            .outputs
            .action_units
            .iter()
            .flat_map(|outputs| &outputs.units);
        let extra: BTreeSet<ExtraUnit> = units
            .filter_map(|unit| match unit {
                OutputUnit::Extra(unit) => Some(*unit),
                _ => None,
            })
            .collect();
        extra.into_iter().collect()
    }

    /// The card as TOML.
    pub fn to_toml(&self) -> String {
        // A card holds nothing that TOML cannot.
        toml::to_string(self).unwrap_or_default()
    }

    /// A card to be filled in, as TOML with what each line means.
    pub fn template(source: &str, shapes: &OutputShapes) -> String {
        let mut card = String::new();
        let mut line = |text: &str| {
            // A String takes everything.
            let _ = writeln!(card, "{text}");
        };
        line("# The card of a TorchScript network (docs/networks.md). Fill it in, then:");
        line("#   abaw weights import MODEL.pt --card THIS.toml --out NAME.safetensors");
        line(&format!("source = {}", toml::Value::from(source)));
        line("# licence = \"...\"");
        line("");
        line("[input]");
        line("# How a face is cut out. As the network was trained:");
        line(
            "#   the detector's box, margin in parts of its sides added on each side, shape \"stretched\" or \"square\":",
        );
        line("#     { kind = \"box\", margin = 0.0, shape = \"stretched\", size = 224 }");
        line("#   turned to templates of landmarks, \"arcface\" (one) or \"ddamfn\" (five):");
        line("#     { kind = \"templates\", templates = \"arcface\", size = 112 }");
        line(&format!(
            "crop = {{ kind = \"box\", margin = 0.0, shape = \"stretched\", size = {} }}",
            shapes.size
        ));
        line("# \"rgb\", or \"bgr\" as OpenCV reads pictures");
        line("colours = \"rgb\"");
        line("# Input = (value / 255 - mean) / std, for each channel; these are ImageNet's");
        line("normalisation = { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }");
        line("");
        line(&format!("# The network returns {shapes}"));
        line("# Take the # from the lines of each output that it has, and name its columns.");
        line("[outputs]");
        line("");
        line("# [outputs.expression]");
        line("# first = 0                # the column of the first class");
        line(
            "# classes = [\"Anger\", \"Contempt\", \"Disgust\", \"Fear\", \"Happiness\", \"Neutral\", \"Sadness\", \"Surprise\"]",
        );
        line("# form = \"logits\"          # or \"probabilities\"; \"-\" among the classes: left out");
        line("");
        line("# [outputs.valence_arousal]");
        line("# valence = 8              # its column");
        line("# arousal = 9");
        line("# range = [-1.0, 1.0]      # what it gives for the most negative and the most positive");
        line("");
        line("# [outputs.action_units]");
        line("# first = 10               # the column of the first unit");
        line("# units = [\"AU1\", \"AU2\", \"AU4\", \"AU12\", \"AU14\"]");
        line("# form = \"logits\"          # or \"probabilities\"");
        card
    }
}

impl NetworkOutputs {
    /// How many columns there must be at least.
    ///
    /// # Errors
    /// Columns that are no numbers of columns, or named twice, in words.
    pub fn columns(&self) -> Result<usize, String> {
        let mut named: Vec<usize> = Vec::new();
        if let Some(point) = &self.valence_arousal {
            named.extend([point.valence, point.arousal]);
        }
        let mut range = |first: usize, count: usize| match first.checked_add(count) {
            Some(end) if end <= MOST_COLUMNS => {
                named.extend(first..end);
                Ok(())
            }
            _ => Err(format!("columns from {first} on are more than {MOST_COLUMNS}")),
        };
        if let Some(expression) = &self.expression {
            range(expression.first, expression.classes.len())?;
        }
        if let Some(action_units) = &self.action_units {
            range(action_units.first, action_units.units.len())?;
        }
        if let Some(far) = named.iter().find(|column| **column >= MOST_COLUMNS) {
            return Err(format!("column {far}, but at most {MOST_COLUMNS} are read"));
        }
        named.sort_unstable();
        if let Some(pair) = named.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("column {} is named twice", pair[0]));
        }
        Ok(named.last().map_or(0, |last| last + 1))
    }
}

/// Columns that are read of a network.
const MOST_COLUMNS: usize = 65_536;
