//! The end of a run in words and numbers.

use abaw::engine::{RunFolder, RunSummary, Status, UNTRAINED, silence};
use abaw::printable::printable;

/// Videos listed one by one; of larger runs only the failed ones are.
const LISTED: usize = 40;

/// Prints what a run came to and where its files are.
pub fn print(run: &RunFolder, summary: &RunSummary) {
    let all = summary.videos.len() <= LISTED;
    let width = summary
        .videos
        .iter()
        .map(|video| printable(video.id.as_str()).chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    println!(
        "{:width$}  {:>8}  {:>9}  {:>7}  {:>8}",
        "video", "frames", "with face", "persons", "seconds"
    );
    for video in &summary.videos {
        let id = printable(video.id.as_str());
        let seconds: f64 = video.seconds.values().sum();
        match (&video.failure, video.status) {
            (Some(failure), Status::Failed) => println!("{id:width$}  failed: {}", printable(&failure.error)),
            _ if all => println!(
                "{id:width$}  {:>8}  {:>9}  {:>7}  {seconds:>8.1}",
                video.frames, video.frames_with_face, video.persons
            ),
            _ => {}
        }
    }
    let totals = &summary.totals;
    let pace = match (totals.wall_seconds, totals.frames_per_second) {
        (Some(wall), Some(rate)) => format!(", {wall:.1} s, {rate:.1} frames a second"),
        _ => String::new(),
    };
    println!(
        "{} of {} videos done, {} frames, {} with a face{pace}",
        totals.done, totals.videos, totals.frames, totals.frames_with_face
    );
    println!("tables: {}/", run.tables().display());
    println!("summary: {}", run.summary().display());
    for weights in &summary.weights {
        if weights.weights == UNTRAINED {
            println!(
                "UNTRAINED weights: the numbers in these tables mean nothing; give real ones with --weights FILE"
            );
        }
    }
    if let Some(sentence) = silence(&summary.weights) {
        println!("{sentence}");
    }
}
