//! `abaw weights`: imports weights, and shows what a file of weights contains.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abaw::escape::escape_control_in_json;
use abaw::model::torchscript::{NetworkCard, TorchScriptError};
use abaw::model::weights::{
    self, NumberFormat, ScriptSummary, StoredNetwork, StoredScript, Summary, WeightsError,
};
use abaw::path_error::PathError;
use abaw::temporal::{TemporalSummary, TemporalWeights};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{CommandResult, EXIT_DONE, calibration};

/// Import weights, or show what a file of weights contains.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Turn a PyTorch checkpoint or state dict (.pt, .pth, .safetensors), or a TorchScript network with its card, into
    /// weights for this program.
    ///
    /// No code in a checkpoint is run: a file that contains more than tensors and plain values is refused, with
    /// the line of Python that makes a state dict of it. A TorchScript network is tried out on a batch, and refused if its
    /// outputs are not what the card names.
    Import {
        /// The checkpoint, or the TorchScript file.
        checkpoint: PathBuf,
        /// The card of a TorchScript network: `abaw weights card` makes one to fill in.
        #[arg(long, value_name = "FILE.toml")]
        card: Option<PathBuf>,
        /// Where to write the weights.
        #[arg(long, value_name = "FILE.safetensors")]
        out: PathBuf,
        /// How numbers are stored.
        #[arg(long, value_enum, default_value_t)]
        store: NumberFormat,
        /// Overwrite the output.
        #[arg(long)]
        force: bool,
        /// Thresholds and smoothing that `abaw tune` found, to be kept in the weights.
        #[arg(long, value_name = "FILE")]
        calibration: Option<PathBuf>,
    },
    /// Print a card to fill in for a TorchScript network: what it takes, which of its outputs are what.
    Card {
        /// The TorchScript file.
        model: PathBuf,
    },
    /// Show what a file of weights contains: architecture, tasks, classes, source, calibration.
    Show {
        /// Weights of this program, or a checkpoint that could be imported.
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the action.
pub fn run(arguments: Arguments) -> CommandResult {
    match arguments.action {
        Action::Import {
            checkpoint,
            card,
            out,
            store,
            force,
            calibration,
        } => {
            let calibration = calibration.as_deref().map(calibration::read).transpose()?;
            let calibration = calibration.map(|(text, _)| text);
            match card {
                Some(card) => import_script(&checkpoint, &card, out, force, calibration)?,
                None => import(&checkpoint, out, store, force, calibration)?,
            }
        }
        Action::Card { model } => print!("{}", weights::card_to_fill_in(&model)?),
        Action::Show { file, json } if StoredNetwork::is_torchscript(&file)? => {
            show(&ScriptSummary::of(&file)?, json)?
        }
        Action::Show { file, json } if TemporalWeights::is_one(&file) => {
            show(&TemporalSummary::of(&file)?, json)?
        }
        Action::Show { file, json } => show(&Summary::of(&file)?, json)?,
    }
    Ok(ExitCode::from(EXIT_DONE))
}

fn show(summary: &(impl Display + Serialize), json: bool) -> Result<(), serde_json::Error> {
    match json {
        false => println!("{}", summary.to_string().trim_end()),
        true => println!(
            "{}",
            escape_control_in_json(&serde_json::to_string_pretty(summary)?)
        ),
    }
    Ok(())
}

/// A TorchScript network cannot be imported.
#[derive(Debug, thiserror::Error)]
enum ImportScriptError {
    #[error(transparent)]
    File(#[from] PathError),
    #[error("{}: {source}", path.display())]
    Card { path: PathBuf, source: TorchScriptError },
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

fn import_script(
    model: &Path,
    card: &Path,
    out: PathBuf,
    force: bool,
    calibration: Option<String>,
) -> Result<(), ImportScriptError> {
    if !force && out.exists() {
        return Err(WeightsError::Exists { path: out }.into());
    }
    let text = std::fs::read_to_string(card).map_err(PathError::at(card))?;
    let mut read = NetworkCard::parse(&text).map_err(|source| ImportScriptError::Card {
        path: card.to_owned(),
        source,
    })?;
    read.calibration = calibration.or(read.calibration);
    let script = StoredScript::import(model, read)?;
    script.save(&out)?;
    println!(
        "wrote      {}: TorchScript network with {}",
        out.display(),
        script.tasks().join(", ")
    );
    Ok(())
}

fn import(
    checkpoint: &Path,
    out: PathBuf,
    store: NumberFormat,
    force: bool,
    calibration: Option<String>,
) -> Result<(), WeightsError> {
    if !force && out.exists() {
        return Err(WeightsError::Exists { path: out });
    }
    let mut imported = weights::import(checkpoint)?;
    for name in &imported.report.unknown {
        tracing::warn!("left out {name}: no DDAMFN has such a tensor");
    }
    if calibration.is_some() {
        imported.weights.card.calibration = calibration;
    }
    imported.weights.save(&out, store)?;
    println!("{}", imported.report.to_string().trim_end());
    println!(
        "wrote      {}: {}",
        out.display(),
        imported.weights.architecture()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = folder.path().join("checkpoint.pth");
        let packed = "tests/golden/checkpoints/multitask_constant.pth.gz";
        let packed = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(packed)).unwrap();
        let mut unpacked = std::fs::File::create(&checkpoint).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut unpacked).unwrap();

        let out = folder.path().join("weights.safetensors");
        std::fs::write(&out, "another's").unwrap();
        let run = |force| import(&checkpoint, out.clone(), NumberFormat::F32, force, None);
        assert!(matches!(run(false), Err(WeightsError::Exists { .. })));
        assert_eq!(std::fs::read(&out).unwrap(), b"another's");
        run(true).unwrap();
        assert_eq!(Summary::of(&out).unwrap().parameters, 4_376_863);
    }
}
