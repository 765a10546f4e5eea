//! `abaw doctor`: what this machine has and lacks.

use std::process::ExitCode;

use abaw::config::ModelSettings;
use abaw::{device, engine, video};
use clap::Args;

use super::{CommandResult, EXIT_DONE, EXIT_USAGE};

/// Show what the program runs on: libtorch, CUDA or why not, libav, weights, cores.
#[derive(Args)]
pub struct Arguments {}

/// Prints the findings; exit code 2 if annotating cannot work.
pub fn run(_: Arguments) -> CommandResult {
    let torch = device::probe();
    println!("abaw       {}", env!("CARGO_PKG_VERSION"));
    println!("libtorch   {}", torch.libtorch);
    println!("CUDA       {}", torch.cuda);
    println!("libav      {}", video::libav_versions());
    println!("cores      {}", torch.cores);
    match engine::find_weights(&mut ModelSettings::default()) {
        Ok(records) => {
            for record in records {
                let sha256 = record.sha256.as_deref().map(|sum| format!(", sha256 {sum}")).unwrap_or_default();
                println!("{:10} {} ({}{sha256})", record.role, record.source, record.weights);
            }
            Ok(ExitCode::from(EXIT_DONE))
        }
        Err(error) => {
            println!("weights    {error}");
            Ok(ExitCode::from(EXIT_USAGE))
        }
    }
}
