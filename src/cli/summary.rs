//! Prints the summary of a run.

use std::path::Path;

use abaw::escape::escape_control;
use abaw::labels::{Expression, FinalAffect, ValenceArousal};
use abaw::report::numbers::count;
use abaw::run::{DEMO, RunFolder, RunSummary, Status, missing_tasks_warning};
use abaw::table::{self, ColumnSelection, Row};

/// Largest run of which all videos are listed; of larger runs only failed and damaged videos are.
const LISTED: usize = 40;

/// Prints the results of a run and where its files are.
pub fn print(run: &RunFolder, summary: &RunSummary) {
    let all = summary.videos.len() <= LISTED;
    let width = summary
        .videos
        .iter()
        .map(|video| escape_control(video.id.as_str()).chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    println!(
        "{:width$}  {:>8}  {:>9}  {:>7}  {:>8}  the subject, mostly",
        "video", "frames", "with face", "persons", "seconds"
    );
    for video in &summary.videos {
        let id = escape_control(video.id.as_str());
        let seconds: f64 = video.seconds.values().sum();
        match (&video.failure, video.status) {
            (Some(failure), Status::Failed) => {
                println!("{id:width$}  failed: {}", escape_control(&failure.error))
            }
            _ if all || video.is_damaged() => println!(
                "{id:width$}  {:>8}  {:>9}  {:>7}  {seconds:>8.1}  {}{}",
                video.frames,
                video.frames_with_face,
                video.persons,
                if video.is_damaged() { "DAMAGED; " } else { "" },
                affect_of_subject(&run.table(&video.id)).unwrap_or_default()
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
    let damaged = summary.videos.iter().filter(|video| video.is_damaged()).count();
    if damaged > 0 {
        println!(
            "{damaged} videos are damaged, but annotated as far as they can be read: see `damage` in the summary"
        );
    }
    println!("tables: {}/", run.tables().display());
    println!("summary: {}", run.summary().display());
    for weights in &summary.weights {
        if !weights.is_trained() {
            println!(
                "UNTRAINED weights: the numbers in these tables mean nothing; give trained weights with --weights FILE"
            );
        } else if weights.source == DEMO {
            println!("weights: {DEMO}, for trying out and pre-labelling; others with --weights FILE");
        }
    }
    if let Some(sentence) = missing_tasks_warning(&summary.weights) {
        println!("{sentence}");
    }
}

/// Returns in how many frames the subject was seen if not in all, in how many of them the look was usable, its most frequent expression with the share of frames,
/// and mean valence and arousal. `None` if the table cannot be read or has none of these.
fn affect_of_subject(table: &Path) -> Option<String> {
    let (rows, _) = table::read_columns(table, ColumnSelection::Final).ok()?;
    let of_subject: Vec<&Row> = rows.iter().filter(|row| row.subject).collect();
    let predictions: Vec<FinalAffect> = of_subject.iter().map(|row| row.postprocessed).collect();
    let seen = of_subject.iter().filter(|row| row.sighting.is_face()).count();
    let usable = of_subject.iter().filter(|row| row.usable == Some(true)).count();
    let is_judged = of_subject.iter().any(|row| row.usable.is_some());
    let shown: Vec<Expression> = predictions
        .iter()
        .filter_map(|affect| affect.expression)
        .collect();
    let frames = |expression: &Expression| shown.iter().filter(|shown| *shown == expression).count();
    let mut words = Vec::new();
    if seen < of_subject.len() {
        words.push(format!(
            "seen in {} of {} frames",
            count(seen as u64),
            count(of_subject.len() as u64)
        ));
    }
    if is_judged && usable < seen {
        words.push(format!("usable in {}", count(usable as u64)));
    }
    if let Some(most) = Expression::ALL.iter().max_by_key(|expression| frames(expression))
        && !shown.is_empty()
    {
        let share = 100.0 * frames(most) as f64 / shown.len() as f64;
        words.push(format!("{} {share:.0} %", most.name().to_lowercase()));
    }
    let points: Vec<ValenceArousal> = predictions
        .iter()
        .filter_map(|affect| affect.affect.valence_arousal)
        .collect();
    if !points.is_empty() {
        let mean = |value: fn(&ValenceArousal) -> f32| {
            points.iter().map(|point| f64::from(value(point))).sum::<f64>() / points.len() as f64
        };
        words.push(format!(
            "valence {:+.2}, arousal {:+.2}",
            mean(|point| point.valence),
            mean(|point| point.arousal)
        ));
    }
    (!words.is_empty()).then(|| words.join(", "))
}
