//! The weights of a run with their model cards.

use std::path::{Path, PathBuf};

use crate::error_chain::sentence;
use crate::labels::Expression;
use crate::model::weights::{Card, ScriptSummary, StoredNetwork, Summary};
use crate::run::Plan;
use crate::table::WeightsRecord;

/// The weights of a network as recorded in the run, and their card.
#[derive(Debug)]
pub struct WeightsCard {
    /// As the run records it.
    pub record: WeightsRecord,
    /// Names and values of the card, or why it cannot be shown.
    pub card: Result<Vec<(&'static str, String)>, String>,
}

impl WeightsCard {
    /// Returns whether the network is untrained.
    pub fn is_untrained(&self) -> bool {
        !self.record.is_trained()
    }
}

/// Returns whether a network of the run is untrained, so that its numbers mean nothing.
pub fn untrained(records: &[WeightsRecord]) -> bool {
    !records.iter().all(WeightsRecord::is_trained)
}

/// Reads the cards of a run's weights from the files that its plan names, if these are unchanged.
pub fn cards(plan: &Plan, records: &[WeightsRecord]) -> Vec<WeightsCard> {
    let model = &plan.settings.pipeline.model;
    let mut files: Vec<PathBuf> = model
        .networks()
        .into_iter()
        .map(|member| member.weights)
        .collect();
    files.extend(model.detector_weights.clone());
    let card = |record: &WeightsRecord| {
        if record.role == "detector" {
            return Err("a face detector has none".to_owned());
        }
        let Some(sha256) = &record.sha256 else {
            return Err("a seeded initialisation, no file".to_owned());
        };
        let named = |file: &&PathBuf| {
            file.file_name()
                .is_some_and(|name| record.source == *name.to_string_lossy())
        };
        let file = files.iter().find(named);
        let file = file.ok_or_else(|| "its file is not named in the plan".to_owned())?;
        lines(file, sha256)
    };
    records
        .iter()
        .map(|record| WeightsCard {
            record: record.clone(),
            card: card(record),
        })
        .collect()
}

fn lines(file: &Path, sha256: &str) -> Result<Vec<(&'static str, String)>, String> {
    let is_same = |found: &str| match found == sha256 {
        true => Ok(()),
        false => Err(format!(
            "{}: another file by now (its sha256 differs)",
            file.display()
        )),
    };
    if StoredNetwork::is_torchscript(file).map_err(|error| sentence(&error))? {
        let summary = ScriptSummary::of(file).map_err(|error| sentence(&error))?;
        is_same(&summary.sha256)?;
        return Ok(vec![
            ("Architecture", summary.architecture.to_owned()),
            ("Tasks", summary.tasks.join(", ").replace('_', " ")),
            ("Card", in_one_line(&summary.card.to_toml())),
        ]);
    }
    let summary = Summary::of(file).map_err(|error| sentence(&error))?;
    is_same(&summary.sha256)?;
    let card = summary.card;
    let numbers = |three: [f32; 3]| three.map(|number| number.to_string()).join(", ");
    Ok(vec![
        ("Architecture", summary.architecture),
        ("Tasks", summary.tasks.join(", ").replace('_', " ")),
        ("Parameters", super::numbers::count(summary.parameters as u64)),
        (
            "Input",
            format!(
                "112 x 112 RGB, mean {}, deviation {}",
                numbers(card.normalisation.mean),
                numbers(card.normalisation.std)
            ),
        ),
        ("Alignment", card.alignment.to_string()),
        ("Weak expressions", weak(&card.weak_expressions)),
        ("Source", card.source),
        ("Licence", card.licence.unwrap_or_else(|| "not stated".to_owned())),
        (
            "Calibration",
            card.calibration
                .unwrap_or_else(|| "none: thresholds are 0.5".to_owned()),
        ),
    ])
}

/// The lines of a card side by side.
fn in_one_line(card: &str) -> String {
    let lines: Vec<&str> = card.lines().filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

fn weak(expressions: &[Expression]) -> String {
    let names: Vec<&str> = expressions.iter().map(|class| class.name()).collect();
    match names.is_empty() {
        true => "none recorded".to_owned(),
        false => format!(
            "{}: F1 below {} on images that it was not trained on",
            names.join(", "),
            Card::WEAK_F1
        ),
    }
}
