//! `abaw doctor`: what this machine has and lacks.

use std::process::ExitCode;

use abaw::config::ModelSettings;
use abaw::device::{LibtorchVersion, Probe};
use abaw::{run, video};
use clap::Args;

use super::{CommandResult, EXIT_DONE, EXIT_USAGE};

/// Show what the program runs on: libtorch, CUDA or why not, libav, weights, cores.
#[derive(Args)]
pub struct Arguments {}

/// Prints the findings; exit code 2 if annotating cannot work.
pub fn run(_: Arguments) -> CommandResult {
    let probe = Probe::run();
    let libtorch = match probe.libtorch {
        Some(version) if version == LibtorchVersion::NEEDED => version.to_string(),
        Some(version) => format!("{version}, but {} is needed", LibtorchVersion::NEEDED),
        None => format!(
            "too old to say its version; {} is needed",
            LibtorchVersion::NEEDED
        ),
    };
    let cuda = match probe.cuda {
        Ok(count) => format!("{count} devices"),
        Err(reason) => format!("no: {reason}"),
    };
    let bf16 = if probe.cpu_bf16 { "with" } else { "without" };
    println!("abaw       {}", env!("CARGO_PKG_VERSION"));
    println!("libtorch   {libtorch}");
    println!("CUDA       {cuda}");
    println!("libav      {}", video::libav_versions());
    println!("cores      {}, {bf16} bf16 instructions", probe.cores);
    match run::find_weights(&mut ModelSettings::default()) {
        Ok(found) => {
            for record in found.records {
                let sha256 = record
                    .sha256
                    .as_deref()
                    .map(|sum| format!(", sha256 {sum}"))
                    .unwrap_or_default();
                println!(
                    "{:10} {} ({}{sha256})",
                    record.role, record.source, record.weights
                );
            }
            Ok(ExitCode::from(EXIT_DONE))
        }
        Err(error) => {
            println!("weights    {error}");
            Ok(ExitCode::from(EXIT_USAGE))
        }
    }
}
