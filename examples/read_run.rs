//! Reads a run: for each video the mean valence and arousal of its subject.
//! `cargo run --release --example read_run -- RUN`

use std::error::Error;

use abaw::finalise::SubjectReader;
use abaw::run::{RunFolder, RunReader};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("RUN")?;
    let run = RunReader::open(RunFolder::new(folder))?;
    let subjects = SubjectReader::of(&run);
    for input in &run.plan().inputs {
        let Some(table) = subjects.table(input.id.as_str())? else {
            println!("{}: no table", input.id);
            continue;
        };
        // One row a frame; the final values are there where the run has any prediction of the video.
        let values: Vec<_> = table
            .rows
            .iter()
            .filter_map(|row| row.postprocessed.affect.valence_arousal)
            .collect();
        let mean = |sum: f32| sum / values.len() as f32;
        println!(
            "{}: {} frames, valence {:.2}, arousal {:.2}",
            input.id,
            table.rows.len(),
            mean(values.iter().map(|value| value.valence).sum()),
            mean(values.iter().map(|value| value.arousal).sum()),
        );
    }
    Ok(())
}
