//! What must be known of weights besides their numbers, and how it is kept in `.safetensors` metadata.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::face::template::TemplateSet;
use crate::labels::Expression;
use crate::model::architecture::{Architecture, ClassOrder};
use crate::model::crop::Normalisation;

/// Version of the metadata that this program writes and reads.
pub(super) const FORMAT_VERSION: &str = "1";

/// What is known of weights besides their numbers.
///
/// Architecture, tasks and class order are not in it: the tensors themselves tell them
/// ([`Weights::architecture`](super::Weights::architecture)). They are written into the file for those who read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// How pixels become the network's input.
    pub normalisation: Normalisation,
    /// The templates that the faces of the training data were aligned to.
    pub alignment: TemplateSet,
    /// Where the weights come from, in words.
    pub source: String,
    /// Under which licence, if known.
    pub licence: Option<String>,
    /// False for a seeded initialisation: its predictions mean nothing.
    pub trained: bool,
    /// Thresholds and smoothing found for these weights, TOML. Its content is the post-processing's matter.
    pub calibration: Option<String>,
    /// Expressions that the network seldom tells right: F1 below [`Card::WEAK_F1`] on images that it was not trained on.
    #[serde(default)]
    pub weak_expressions: Vec<Expression>,
}

impl Card {
    /// An expression with a lower F1 is weak.
    pub const WEAK_F1: f64 = 0.6;

    /// The card of trained weights that came without one: input as DDAMFN's authors publish it.
    pub fn as_published(source: String) -> Self {
        Self {
            normalisation: Normalisation::IMAGENET,
            alignment: TemplateSet::Ddamfn,
            source,
            licence: None,
            trained: true,
            calibration: None,
            weak_expressions: Vec::new(),
        }
    }

    /// The metadata of a file with weights of `architecture`: the card's fields and what the tensors
    /// tell. What is not text is written as JSON.
    pub(super) fn to_metadata(&self, architecture: &Architecture) -> BTreeMap<String, String> {
        let fields = [
            ("format_version", Some(FORMAT_VERSION.to_owned())),
            ("architecture", Some(architecture.to_string())),
            ("tasks", Some(json!(task_names(architecture)).to_string())),
            ("class_order", class_order(architecture)),
            ("normalisation", serde_json::to_string(&self.normalisation).ok()),
            ("alignment", Some(self.alignment.to_string())),
            ("source", Some(self.source.clone())),
            ("licence", self.licence.clone()),
            ("trained", Some(self.trained.to_string())),
            ("calibration", self.calibration.clone()),
            (
                "weak_expressions",
                (!self.weak_expressions.is_empty()).then(|| json!(self.weak_expressions).to_string()),
            ),
        ];
        fields
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), text?)))
            .collect()
    }

    /// Reads the metadata of a file; `None` if this program did not write it. The error is what is wrong, in words.
    pub(super) fn from_metadata(
        metadata: &HashMap<String, String>,
        architecture: &Architecture,
    ) -> Result<Option<Self>, String> {
        match metadata.get("format_version").map(String::as_str) {
            None => return Ok(None),
            Some(FORMAT_VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "format_version {other}, but this program knows {FORMAT_VERSION} only"
                ));
            }
        }
        let expected = class_order(architecture);
        if metadata.get("class_order") != expected.as_ref() {
            return Err(format!(
                "class_order is not {} as the output layers give",
                expected.unwrap_or_default()
            ));
        }
        let mut fields = serde_json::Map::new();
        for (key, text) in metadata {
            let value = match key.as_str() {
                "normalisation" | "trained" | "weak_expressions" => {
                    serde_json::from_str(text).map_err(|error| format!("{key}: {error}"))?
                }
                _ => text.as_str().into(),
            };
            fields.insert(key.clone(), value);
        }
        let card: Card = serde_json::from_value(fields.into()).map_err(|error| error.to_string())?;
        card.normalisation.check()?;
        Ok(Some(card))
    }
}

/// Whether the metadata of a file are those of a TorchScript network.
pub(super) fn is_torchscript(metadata: &HashMap<String, String>) -> bool {
    metadata.get("architecture").map(String::as_str) == Some(TORCHSCRIPT)
}

/// The architecture of a TorchScript network in the metadata.
pub(super) const TORCHSCRIPT: &str = "TorchScript";

/// The names of the tasks in files.
pub(super) const TASKS: [&str; 3] = ["valence_arousal", "expression", "action_units"];

/// The tasks that a network has outputs for.
pub(super) fn task_names(architecture: &Architecture) -> Vec<&'static str> {
    let (valence_arousal, expression, action_units) = match architecture {
        Architecture::Hidden(tasks) | Architecture::Linear(tasks) => (
            tasks.valence_arousal,
            tasks.expressions.is_some(),
            tasks.action_units,
        ),
        Architecture::Official(_) => (false, true, false),
    };
    let present = [valence_arousal, expression, action_units];
    let tasks = TASKS.into_iter().zip(present);
    tasks
        .filter_map(|(name, present)| present.then_some(name))
        .collect()
}

/// The names of a network's expression classes, by output.
pub(super) fn class_names(architecture: &Architecture) -> Option<Vec<&'static str>> {
    const AFFECTNET: [&str; 8] = [
        "Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry", "Contempt",
    ];
    Some(match architecture.class_order()? {
        ClassOrder::Abaw => Expression::ALL.map(Expression::name).to_vec(),
        ClassOrder::AffectNet7 => AFFECTNET[..7].to_vec(),
        ClassOrder::AffectNet8 => AFFECTNET.to_vec(),
    })
}

fn class_order(architecture: &Architecture) -> Option<String> {
    class_names(architecture).map(|names| json!(names).to_string())
}
