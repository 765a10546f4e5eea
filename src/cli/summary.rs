//! `abaw summary`, and the summary that ends a run.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abaw::error_chain::sentence;
use abaw::escape::escape_control;
use abaw::finalise::{PersonSummary, Spread, summarise_persons};
use abaw::labels::{Expression, FinalAffect, ValenceArousal};
use abaw::publish::publish;
use abaw::report::numbers::count;
use abaw::run::{DEMO, RunFolder, RunReader, RunSummary, Status, missing_tasks_warning};
use abaw::table::{self, ColumnSelection, Row, name_with_weakness, weak_expressions};
use clap::Args;
use serde_json::Value;

use super::{CommandResult, EXIT_DONE, EXIT_SOME_FAILED};

/// Show what a run found of each person, and write it to RUN/summary.csv.
///
/// A row for each video and person: frames, frames in which the face was seen, mean and standard deviation of valence and
/// arousal, the share of the frames with each expression and each action unit, and the longest stretch with one
/// expression other than neutral.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Print the rows as JSON: a list of objects with the columns of summary.csv.
    #[arg(long)]
    json: bool,
}

/// Summarises.
pub fn run(arguments: Arguments) -> CommandResult {
    let run = RunReader::open(RunFolder::new(&arguments.run))?;
    let mut persons = Vec::new();
    let mut failed = 0;
    for of_video in summarise_persons(&run) {
        match of_video {
            Ok(of_video) => persons.extend(of_video),
            Err(error) => {
                failed += 1;
                tracing::error!("{}", sentence(&error));
            }
        }
    }
    if arguments.json {
        let objects = persons
            .iter()
            .map(|person| Value::Object(person.columns().into_iter().collect()));
        println!("{}", serde_json::to_string_pretty(&objects.collect::<Vec<_>>())?);
    } else {
        print_persons(&persons, &weak_expressions(&run.plan().weights));
    }
    let path = run.folder().persons();
    match write_csv(&path, &persons) {
        Ok(()) if arguments.json => {}
        Ok(()) => println!("all columns: {}", path.display()),
        Err(error) => tracing::warn!("{}: {error}", path.display()),
    }
    Ok(ExitCode::from(if failed > 0 {
        EXIT_SOME_FAILED
    } else {
        EXIT_DONE
    }))
}

/// Writes `summary.csv`: all columns that any person has.
fn write_csv(path: &Path, persons: &[PersonSummary]) -> io::Result<()> {
    let rows: Vec<Vec<(String, Value)>> = persons.iter().map(PersonSummary::columns).collect();
    let mut header: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for (name, _) in rows.iter().flatten() {
        if known.insert(name.clone()) {
            header.push(name.clone());
        }
    }
    publish(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
        csv.write_record(&header)?;
        for row in &rows {
            let cells = header.iter().map(|column| {
                let value = row
                    .iter()
                    .find(|(name, _)| name == column)
                    .map(|(_, value)| value);
                match value {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(number) => number.to_string(),
                }
            });
            csv.write_record(cells)?;
        }
        csv.flush()
    })
}

/// `weak`: the expressions to be marked so.
fn print_persons(persons: &[PersonSummary], weak: &[Expression]) {
    let name = |class: Expression| name_with_weakness(class, weak).to_lowercase();
    let names = persons
        .iter()
        .map(|person| escape_control(&person.video).chars().count());
    let width = names.max().unwrap_or(0).max(5);
    println!(
        "{:width$}  {:>6}  {:>7}  {:>7}  {:>7}  {:>13}  {:>13}  {:<14}  longest bout",
        "video", "person", "frames", "seen", "usable", "valence", "arousal", "mostly"
    );
    for person in persons {
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let spread = |spread: Spread| match (spread.mean, spread.sd) {
            (Some(mean), Some(sd)) => format!("{mean:+.2} sd {sd:.2}"),
            (Some(mean), None) => format!("{mean:+.2}"),
            _ => "-".to_owned(),
        };
        let mostly = person.expressions.and_then(|shares| {
            let most = Expression::ALL
                .into_iter()
                .max_by(|a, b| shares[a.index()].total_cmp(&shares[b.index()]))?;
            Some(format!("{} {:.0} %", name(most), 100.0 * shares[most.index()]))
        });
        let bout = person.longest_bout.map(|bout| {
            let length = bout.seconds.map_or_else(
                || format!("{} frames", bout.frames),
                |seconds| format!("{seconds:.1} s"),
            );
            format!("{} {length}", name(bout.expression))
        });
        println!(
            "{:width$}  {:>6}  {:>7}  {:>7}  {:>7}  {:>13}  {:>13}  {:<14}  {}",
            escape_control(&person.video),
            person.person.map_or("-".to_owned(), |person| person.to_string()),
            person.frames,
            person.seen,
            number(person.usable),
            spread(person.valence),
            spread(person.arousal),
            mostly.unwrap_or_else(|| "-".to_owned()),
            bout.unwrap_or_else(|| "-".to_owned())
        );
    }
}

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
    let predictions: Vec<&FinalAffect> = of_subject.iter().map(|row| &row.postprocessed).collect();
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
