//! `abaw evaluate`: the scores of a run on labels, as a table or as JSON.

use std::process::ExitCode;

use abaw::finalise::{self, Evaluation};
use abaw::labels::{ActionUnit, Expression};
use abaw::metrics::{
    Interval, Intervals, Report, ReportIntervals, Scores, Tally, TaskTallies, intervals, leave_one_out,
};
use clap::Args;

use super::label_arguments::LabelArguments;
use super::{CommandResult, EXIT_DONE};

/// Draws of the bootstrap behind each interval, and the seed of their random numbers.
const DRAWS: usize = 1000;
const SEED: u64 = 1;
/// Videos listed at the end.
const WORST: usize = 10;
/// Names in a message.
const NAMED: usize = 3;

/// Score a run on labels: CCC, F1 and P with 95 % intervals, and the videos that lower P most.
///
/// Each score is given twice: with one mask for each task (a frame counts for the tasks that it is labelled for,
/// as in the challenges), and strict (only frames labelled for all three tasks, as in arXiv 2407.12390). Labelled
/// frames that the run lacks are filled from their neighbours, as in a submission.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    labels: LabelArguments,
    /// Use the strict mask for the first line and for the list of videos. The table and the JSON always
    /// have both masks.
    #[arg(long)]
    strict: bool,
    /// Score the frames with a usable look (column `usable`) too, and print both.
    #[arg(long)]
    usable: bool,
    /// As JSON: {"per_task": ..., "strict": ...}; with --usable also {"usable": {"per_task": ..., "strict": ...}}.
    #[arg(long)]
    json: bool,
}

/// Scores a run.
pub fn run(arguments: Arguments) -> CommandResult {
    let (run, labels) = arguments.labels.open()?;
    let evaluation = finalise::evaluate(&run, &labels)?;
    if evaluation.videos.is_empty() && !evaluation.trained_on.is_empty() {
        return Err(format!(
            "the run's temporal network was trained on all {} labelled videos of the run: score it on others",
            evaluation.trained_on.len()
        )
        .into());
    }
    if evaluation.videos.is_empty() {
        return Err(format!(
            "{}: the run has none of the {} labelled videos (first: {})",
            arguments.labels.labels.display(),
            evaluation.unknown.len(),
            some_of(&evaluation.unknown)
        )
        .into());
    }
    warn(&evaluation);
    let usable = arguments.usable.then(|| evaluation.usable_by_input());
    if arguments.json {
        let mut report = serde_json::to_value(evaluation.tally().report())?;
        if let Some(usable) = &usable {
            report["usable"] = serde_json::to_value(Tally::merged(usable).report())?;
        }
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&evaluation, usable.as_deref(), arguments.strict);
    }
    Ok(ExitCode::from(EXIT_DONE))
}

fn warn(evaluation: &Evaluation) {
    if !evaluation.trained_on.is_empty() {
        tracing::warn!(
            "left out: {} labelled videos that the temporal network was trained on: {}",
            evaluation.trained_on.len(),
            some_of(&evaluation.trained_on)
        );
    }
    if !evaluation.unknown.is_empty() {
        tracing::warn!(
            "{} labelled videos are not in the run and do not count: {}",
            evaluation.unknown.len(),
            some_of(&evaluation.unknown)
        );
    }
    let neutral = evaluation.videos.iter().filter(|video| video.neutral > 0);
    let neutral: Vec<String> = neutral.map(|video| video.name.clone()).collect();
    if !neutral.is_empty() {
        tracing::warn!(
            "{} videos have no prediction at all (no face, failed, or not annotated yet) and count with neutral \
             values: {}",
            neutral.len(),
            some_of(&neutral)
        );
    }
}

fn some_of(names: &[String]) -> String {
    let mut text = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED {
        text += ", ...";
    }
    text
}

fn print(evaluation: &Evaluation, usable: Option<&[Tally]>, strict: bool) {
    let by_input = evaluation.by_input();
    let scored = scored(&by_input);
    print_headline(&scored, strict);
    let sum = |count: fn(&finalise::ScoredVideo) -> u64| evaluation.videos.iter().map(count).sum::<u64>();
    println!(
        "{} videos, {} labelled frames, {} of them filled from other frames, {} neutral",
        evaluation.videos.len(),
        sum(|video| video.frames),
        sum(|video| video.filled),
        sum(|video| video.neutral)
    );
    match by_input.len() {
        0 | 1 => println!("no 95 % intervals: they need at least two videos\n"),
        videos => println!("95 % intervals: {DRAWS} draws of {videos} videos\n"),
    }
    print_scores(&scored);
    if let Some(usable) = usable {
        println!(
            "\nonly the {} of {} labelled frames with a usable look:",
            sum(|video| video.usable),
            sum(|video| video.frames)
        );
        let scored = self::scored(usable);
        print_headline(&scored, strict);
        println!();
        print_scores(&scored);
    }
    print_leave_one_out(evaluation, strict);
}

fn print_headline((report, intervals): &(Report, ReportIntervals), strict: bool) {
    let (name, scores, interval) = match strict {
        false => ("one mask a task", &report.per_task, &intervals.per_task),
        true => ("strict", &report.strict, &intervals.strict),
    };
    println!(
        "P {}{} ({name})",
        number(scores.p),
        interval
            .p
            .map(|interval| format!(", 95 % {}", range(Some(interval))))
            .unwrap_or_default()
    );
}

/// The scores of all inputs together, and the intervals around them.
fn scored(by_input: &[Tally]) -> (Report, ReportIntervals) {
    (Tally::merged(by_input).report(), intervals(by_input, DRAWS, SEED))
}

fn print_scores((report, intervals): &(Report, ReportIntervals)) {
    let (per_task, around) = (&report.per_task, &intervals.per_task);
    let (strict, around_strict) = (&report.strict, &intervals.strict);
    println!("{:<22}{:<32}strict", "", "one mask a task");
    let line = |name: &str, score: fn(&Scores) -> Option<f64>, of: fn(&Intervals) -> Option<Interval>| {
        println!(
            "{name:<22}{:<32}{}",
            beside(score(per_task), of(around)),
            beside(score(strict), of(around_strict))
        );
    };
    line(
        "CCC valence",
        |scores| scores.ccc_valence,
        |around| around.ccc_valence,
    );
    line(
        "CCC arousal",
        |scores| scores.ccc_arousal,
        |around| around.ccc_arousal,
    );
    line("VA", |scores| scores.va, |around| around.va);
    line(
        "EXPR, mean F1 of 8",
        |scores| scores.expression,
        |around| around.expression,
    );
    line("AU, mean F1 of 12", |scores| scores.au, |around| around.au);
    line("P", |scores| scores.p, |around| around.p);
    let frames = |scores: &Scores| {
        let frames = scores.frames;
        format!("{} / {} / {}", frames.va, frames.expression, frames.au)
    };
    println!(
        "{:<22}{:<32}{}",
        "frames VA/EXPR/AU",
        frames(per_task),
        frames(strict)
    );
    if let Some(occurring) = per_task
        .expression_sklearn
        .filter(|score| Some(*score) != per_task.expression)
    {
        println!("(EXPR over the classes that occur, as scikit-learn counts: {occurring:.4})");
    }
    println!();
    for expression in Expression::ALL {
        let f1 = |scores: &Scores| scores.f1_expression.map(|f1| f1[expression.index()]);
        f1_line(expression.name(), f1(per_task), f1(strict));
    }
    for unit in ActionUnit::ALL {
        let f1 = |scores: &Scores| scores.f1_au.map(|f1| f1[unit.index()]);
        f1_line(&unit.name(), f1(per_task), f1(strict));
    }
}

fn f1_line(class: &str, per_task: Option<f64>, strict: Option<f64>) {
    println!(
        "{:<22}{:<32}{}",
        format!("F1 {class}"),
        number(per_task),
        number(strict)
    );
}

fn print_leave_one_out(evaluation: &Evaluation, strict: bool) {
    let mask = |tally: &Tally| if strict { tally.strict } else { tally.per_task };
    let tallies: Vec<TaskTallies> = evaluation.videos.iter().map(|video| mask(&video.tally)).collect();
    let costs = leave_one_out(&tallies, |scores| scores.p.unwrap_or(0.0));
    let named: Vec<_> = costs
        .into_iter()
        .filter(|cost| cost.cost > 0.0)
        .take(WORST)
        .collect();
    if named.is_empty() {
        return;
    }
    println!("\nleave-one-out: change of P without the video, and the scores of the video");
    println!(
        "{:>8}  {:>7}  {:>7}  {:>7}  {:>7}  video",
        "change", "VA", "EXPR", "AU", "frames"
    );
    for cost in named {
        let (own, video) = (&cost.own, &evaluation.videos[cost.video]);
        println!(
            "{:>8.4}  {:>7}  {:>7}  {:>7}  {:>7}  {}",
            cost.cost,
            number(own.va),
            number(own.expression),
            number(own.au),
            video.frames,
            video.name
        );
    }
}

fn beside(score: Option<f64>, interval: Option<Interval>) -> String {
    match score {
        Some(_) if interval.is_none() => number(score),
        Some(_) => format!("{} [{}]", number(score), range(interval)),
        None => "-".to_owned(),
    }
}

fn number(score: Option<f64>) -> String {
    score.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"))
}

fn range(interval: Option<Interval>) -> String {
    let text = |interval: Interval| format!("{:.4} to {:.4}", interval.low, interval.high);
    interval.map_or_else(|| "-".to_owned(), text)
}
