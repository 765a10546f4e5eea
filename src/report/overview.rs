//! `index.html`: the overview of a run.

use askama::Template;

use super::error::ReportError;
use super::numbers::{count, duration, percent, score, signed};
use super::score_page::ScorePage;
use super::video_entry::{AffectSums, CELLS, VideoEntry};
use super::weights_card::WeightsCard;
use crate::labels::{ActionUnit, EXPRESSIONS, Expression};
use crate::run::{RunReader, RunSummary, Stage, absolute, missing_tasks_warning};
use crate::table::{name_with_weakness, weak_expressions};

/// The page.
#[derive(Template)]
#[template(path = "overview.html")]
pub struct Overview<'a> {
    title: String,
    finished: String,
    abaw: &'a str,
    inference: &'a str,
    versions: Vec<(&'a str, &'a str)>,
    settings_hash: &'a str,
    tiles: Vec<Tile>,
    stages: Vec<Share>,
    expressions: Vec<Share>,
    units: Vec<Share>,
    plane: Option<Plane>,
    scores: Option<ScorePage>,
    videos: Vec<Line<'a>>,
    weights: Vec<WeightsCard>,
    untrained: bool,
    missing_tasks: Option<String>,
    settings: String,
    postprocess: String,
}

/// A number of the run.
struct Tile {
    name: &'static str,
    value: String,
    detail: String,
    is_bad: bool,
}

/// A part of a whole.
struct Share {
    name: String,
    text: String,
    /// 0 to 100.
    percent: f64,
    /// Expression class, for its colour; 99 for others.
    class: usize,
}

/// Where the faces are on the plane of valence and arousal.
struct Plane {
    cells: Vec<PlaneCell>,
    mean: String,
    mean_x: f64,
    mean_y: f64,
}

/// A cell of the plane that has faces in it; the plane is 21 x 21, from the upper left.
struct PlaneCell {
    x: usize,
    y: usize,
    /// Of the fullest cell, 0 to 1.
    share: f64,
    frames: String,
}

/// A video in the table: what is shown, and what it is sorted by.
struct Line<'a> {
    entry: &'a VideoEntry,
    failure: Option<String>,
    frames: String,
    length: String,
    length_s: f64,
    faces: String,
    faces_percent: f64,
    /// Frames in which the look at the subject is usable; of tables without that column those in which it was seen.
    usable: String,
    usable_percent: f64,
    persons: u64,
    valence: String,
    arousal: String,
    means: (f64, f64),
    shares: Vec<Share>,
    /// The most frequent expression, by which the column is sorted.
    foremost: &'static str,
    damage: String,
    work: String,
    work_s: f64,
    /// VA, expressions, action units: text and number.
    scores: Vec<(String, f64)>,
}

impl<'a> Overview<'a> {
    /// Of a finished run.
    ///
    /// # Errors
    /// Settings that cannot be written as TOML.
    pub fn new(
        run: &'a RunReader,
        summary: &'a RunSummary,
        entries: &'a [VideoEntry],
        scores: Option<ScorePage>,
        weights: Vec<WeightsCard>,
    ) -> Result<Self, ReportError> {
        let mut affect = AffectSums::default();
        let mut seconds = 0.0;
        for facts in entries.iter().filter_map(|entry| entry.facts.as_ref()) {
            affect.merge(&facts.affect);
            seconds += facts.seconds.unwrap_or(0.0);
        }
        let root = run.folder().root();
        let name = absolute(root);
        let postprocess = run
            .plan()
            .postprocess()
            .map_err(crate::finalise::SubjectError::from)?;
        let versions = summary.versions.iter();
        Ok(Self {
            title: name
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            finished: summary.finished.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            abaw: &summary.abaw,
            inference: &summary.inference,
            versions: versions
                .map(|(name, version)| (name.as_str(), version.as_str()))
                .collect(),
            settings_hash: &summary.settings_hash,
            tiles: tiles(summary, entries, seconds),
            stages: stages(summary),
            expressions: expression_shares(&affect, &weak_expressions(&summary.weights)),
            units: unit_shares(&affect),
            plane: plane(&affect),
            videos: worst_first(entries, scores.is_some()),
            scores,
            untrained: weights.iter().any(WeightsCard::is_untrained),
            weights,
            missing_tasks: missing_tasks_warning(&summary.weights),
            settings: toml::to_string_pretty(&run.plan().settings.pipeline)?,
            postprocess: toml::to_string_pretty(&postprocess)?,
        })
    }
}

/// The lines of the table: failed videos, then those with the smallest share of frames with a usable look at a face; of equals
/// those with fewer frames with a face, then in the order of the plan.
fn worst_first(entries: &[VideoEntry], scored: bool) -> Vec<Line<'_>> {
    let mut lines: Vec<Line> = entries.iter().map(|entry| Line::of(entry, scored)).collect();
    let works = |line: &Line| line.failure.is_none();
    lines.sort_by(|a, b| {
        works(a)
            .cmp(&works(b))
            .then(a.usable_percent.total_cmp(&b.usable_percent))
            .then(a.faces_percent.total_cmp(&b.faces_percent))
    });
    lines
}

fn tiles(summary: &RunSummary, entries: &[VideoEntry], seconds: f64) -> Vec<Tile> {
    let totals = &summary.totals;
    let failed = entries.iter().filter(|entry| entry.failure().is_some()).count() as u64;
    let damaged = entries.iter().filter(|entry| entry.damage().is_some()).count() as u64;
    let tile = |name, value, detail: String, is_bad| Tile {
        name,
        value,
        detail,
        is_bad,
    };
    let work: f64 = totals.seconds.values().sum();
    let speed = totals
        .frames_per_second
        .or_else(|| (work > 0.0).then(|| totals.frames as f64 / work));
    let speed_detail = match (totals.frames_per_second, totals.wall_seconds) {
        (Some(_), Some(wall)) => format!("frames a second, {} on the clock", duration(wall)),
        _ => "frames a second of work".to_owned(),
    };
    vec![
        tile(
            "Videos",
            count(totals.videos),
            match seconds > 0.0 {
                true => format!("{} of film", duration(seconds)),
                false => String::new(),
            },
            false,
        ),
        tile("Frames", count(totals.frames), String::new(), false),
        tile(
            "Frames with a face",
            percent(totals.frames_with_face, totals.frames),
            count(totals.frames_with_face),
            false,
        ),
        tile(
            "Persons",
            count(totals.persons),
            "tracks of one face".to_owned(),
            false,
        ),
        tile("Failed", count(failed), "without a table".to_owned(), failed > 0),
        tile(
            "Damaged",
            count(damaged),
            "read all the same".to_owned(),
            damaged > 0,
        ),
        tile(
            "Speed",
            speed.map_or_else(|| "-".to_owned(), |speed| format!("{speed:.0}")),
            speed_detail,
            false,
        ),
    ]
}

fn stages(summary: &RunSummary) -> Vec<Share> {
    let seconds = &summary.totals.seconds;
    let whole: f64 = seconds.values().sum();
    let stage = |stage: Stage| {
        let seconds = seconds.get(stage.name())?;
        Some(Share {
            name: stage.name().to_owned(),
            text: duration(*seconds),
            percent: 100.0 * seconds / whole,
            class: 99,
        })
    };
    Stage::ALL.into_iter().filter_map(stage).collect()
}

/// `weak`: the expressions to be marked so.
fn expression_shares(affect: &AffectSums, weak: &[Expression]) -> Vec<Share> {
    let whole: u64 = affect.expressions.iter().sum();
    let share = |class: Expression| {
        let frames = affect.expressions[class.index()];
        Share {
            name: name_with_weakness(class, weak),
            text: percent(frames, whole),
            percent: 100.0 * frames as f64 / whole as f64,
            class: class.index(),
        }
    };
    match whole {
        0 => Vec::new(),
        _ => Expression::ALL.into_iter().map(share).collect(),
    }
}

fn unit_shares(affect: &AffectSums) -> Vec<Share> {
    let share = |unit: ActionUnit| {
        let frames = affect.action_units[unit.index()];
        Share {
            name: unit.name(),
            text: percent(frames, affect.decided),
            percent: 100.0 * frames as f64 / affect.decided as f64,
            class: 99,
        }
    };
    match affect.decided {
        0 => Vec::new(),
        _ => ActionUnit::ALL.into_iter().map(share).collect(),
    }
}

fn plane(affect: &AffectSums) -> Option<Plane> {
    let (valence, arousal) = affect.means()?;
    let fullest = *affect.plane.as_flattened().iter().max()?;
    let mut cells = Vec::new();
    for (row, of_row) in affect.plane.iter().enumerate() {
        for (column, &frames) in of_row.iter().enumerate().filter(|(_, frames)| **frames > 0) {
            cells.push(PlaneCell {
                x: column,
                y: CELLS - 1 - row,
                // The square root, so that rare cells are visible beside the fullest.
                share: (frames as f64 / fullest as f64).sqrt(),
                frames: count(frames),
            });
        }
    }
    Some(Plane {
        cells,
        mean: format!("valence {}, arousal {}", signed(valence), signed(arousal)),
        mean_x: (valence + 1.0) / 2.0 * CELLS as f64,
        mean_y: (1.0 - arousal) / 2.0 * CELLS as f64,
    })
}

impl<'a> Line<'a> {
    fn of(entry: &'a VideoEntry, scored: bool) -> Self {
        let summary = &entry.summary;
        let facts = entry.facts.as_ref();
        let means = facts.and_then(|facts| facts.affect.means());
        let length_s = facts.and_then(|facts| facts.seconds);
        let counts = facts.map_or([0; EXPRESSIONS], |facts| facts.affect.expressions);
        let whole: u64 = counts.iter().sum();
        let shares = Expression::ALL
            .into_iter()
            .zip(counts)
            .filter(|(_, frames)| *frames > 0);
        let foremost = shares.clone().max_by_key(|(_, frames)| *frames);
        let usable = facts.and_then(|facts| facts.usable);
        let seen = facts.map_or(0, |facts| facts.seen);
        let work_s = entry.work_seconds();
        let number = |score: Option<f64>| score.unwrap_or(f64::MIN);
        let text = |mean: Option<f64>| mean.map_or_else(|| "-".to_owned(), signed);
        let scores = entry.scores.as_ref();
        let columns = [
            scores.and_then(|scores| scores.va),
            scores.and_then(|scores| scores.expression),
            scores.and_then(|scores| scores.au),
        ];
        Self {
            failure: entry.failure(),
            frames: count(summary.frames),
            length: length_s.map_or_else(|| "-".to_owned(), duration),
            length_s: length_s.unwrap_or(0.0),
            faces: percent(summary.frames_with_face, summary.frames),
            faces_percent: 100.0 * summary.frames_with_face as f64 / summary.frames.max(1) as f64,
            usable: usable.map_or_else(|| "-".to_owned(), |usable| percent(usable, summary.frames)),
            usable_percent: 100.0 * usable.unwrap_or(seen) as f64 / summary.frames.max(1) as f64,
            persons: summary.persons,
            valence: text(means.map(|(valence, _)| valence)),
            arousal: text(means.map(|(_, arousal)| arousal)),
            means: means.unwrap_or((f64::MIN, f64::MIN)),
            foremost: foremost.map_or("", |(class, _)| class.name()),
            shares: shares
                .map(|(class, frames)| Share {
                    name: class.name().to_owned(),
                    text: percent(frames, whole),
                    percent: 100.0 * frames as f64 / whole as f64,
                    class: class.index(),
                })
                .collect(),
            damage: entry.damage().unwrap_or_default(),
            work: duration(work_s),
            work_s,
            scores: match scored {
                true => columns.map(|own| (score(own), number(own))).into(),
                false => Vec::new(),
            },
            entry,
        }
    }
}
