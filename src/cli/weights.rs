//! `abaw weights`: imports weights, and shows what a file of weights contains.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abaw::escape::escape_control_in_json;
use abaw::model::weights::{self, NumberFormat, Summary, WeightsError};
use clap::{Args, Subcommand};

use super::{CommandResult, EXIT_DONE, calibration};

/// Import weights, or show what a file of weights contains.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Turn a PyTorch checkpoint or state dict (.pt, .pth, .safetensors) into weights for this program.
    ///
    /// No code in the checkpoint is run: a file that contains more than tensors and plain values is refused, with
    /// the line of Python that makes a state dict of it.
    Import {
        /// The checkpoint.
        checkpoint: PathBuf,
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
            out,
            store,
            force,
            calibration,
        } => {
            let calibration = calibration.as_deref().map(calibration::read).transpose()?;
            let calibration = calibration.map(|(text, _)| text);
            import(&checkpoint, out, store, force, calibration)?
        }
        Action::Show { file, json: false } => println!("{}", Summary::of(&file)?.to_string().trim_end()),
        Action::Show { file, json: true } => {
            let json = serde_json::to_string_pretty(&Summary::of(&file)?)?;
            println!("{}", escape_control_in_json(&json));
        }
    }
    Ok(ExitCode::from(EXIT_DONE))
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
