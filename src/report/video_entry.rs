//! The numbers of a video in the overview, and their sums over all videos.

use crate::labels::{ACTION_UNITS, EXPRESSIONS};
use crate::metrics::Scores;
use crate::report::folder::slug;
use crate::run::{Status, VideoSummary};
use crate::table::{Footer, Row};

/// Cells along each side of the plane of valence and arousal.
pub const CELLS: usize = 21;

/// A line of the table of videos.
#[derive(Debug, Clone)]
pub struct VideoEntry {
    /// The video in the summary of the run.
    pub summary: VideoSummary,
    /// Its id as a file name.
    pub slug: String,
    /// Why its table cannot be read, if it was written.
    pub unreadable: Option<String>,
    /// Numbers from its table; `None` without a readable table.
    pub facts: Option<VideoFacts>,
    /// Scores on labels, if there are labels.
    pub scores: Option<Scores>,
}

/// Numbers of a table. Affect is that of the subject, in frames with a detected face.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoFacts {
    /// From the first frame to the end of the last; `None` if frames have no times.
    pub seconds: Option<f64>,
    /// Number of cuts.
    pub cuts: usize,
    /// Frames a second, as the container states it.
    pub fps: Option<f64>,
    /// Pixels of the upright frame.
    pub size: Option<(u64, u64)>,
    /// Frames in which the subject was seen.
    pub seen: u64,
    /// Those of them with a usable look; `None` in tables of older versions.
    pub usable: Option<u64>,
    /// Sums over the frames of the subject.
    pub affect: AffectSums,
}

/// Sums over frames.
#[derive(Debug, Clone, PartialEq)]
pub struct AffectSums {
    /// Frames with valence and arousal.
    pub points: u64,
    /// Sum of valence over these frames.
    pub valence: f64,
    /// Sum of arousal over these frames.
    pub arousal: f64,
    /// Frames by cell of the plane: `[arousal][valence]`, from -1 up.
    pub plane: [[u64; CELLS]; CELLS],
    /// Frames by expression.
    pub expressions: [u64; EXPRESSIONS],
    /// Frames with decisions on action units.
    pub decided: u64,
    /// Frames in which each action unit is active.
    pub action_units: [u64; ACTION_UNITS],
}

impl VideoEntry {
    /// Makes the entry from the summary of the run, without numbers from the table.
    pub fn new(summary: &VideoSummary) -> Self {
        Self {
            slug: slug(&summary.id),
            summary: summary.clone(),
            unreadable: None,
            facts: None,
            scores: None,
        }
    }

    /// The video's name.
    pub fn id(&self) -> &str {
        self.summary.id.as_str()
    }

    /// Returns why the video has no page; `None` if it has one.
    pub fn failure(&self) -> Option<String> {
        let recorded = self
            .summary
            .failure
            .as_ref()
            .filter(|_| self.summary.status == Status::Failed);
        recorded
            .map(|failure| format!("{}: {}", failure.stage.name(), failure.error))
            .or_else(|| self.unreadable.clone())
    }

    /// Describes the damage of the file; `None` for an intact one.
    pub fn damage(&self) -> Option<String> {
        let damage = self.summary.damage.as_object()?;
        let damages: Vec<String> = damage
            .iter()
            .filter_map(|(name, value)| {
                let name = name.replace('_', " ");
                match value {
                    serde_json::Value::Bool(true) => Some(name),
                    serde_json::Value::Number(count) if count.as_f64() != Some(0.0) => {
                        Some(format!("{count} {name}"))
                    }
                    serde_json::Value::Array(items) if !items.is_empty() => {
                        Some(format!("{} {name}", items.len()))
                    }
                    _ => None,
                }
            })
            .collect();
        (!damages.is_empty()).then(|| damages.join(", "))
    }

    /// Seconds of work, all stages.
    pub fn work_seconds(&self) -> f64 {
        self.summary.seconds.values().sum()
    }
}

impl VideoFacts {
    /// Reads a table.
    pub fn of(rows: &[Row], footer: &Footer) -> Self {
        let mut affect = AffectSums::default();
        let seen: Vec<&Row> = rows
            .iter()
            .filter(|row| row.subject && row.sighting.is_face())
            .collect();
        seen.iter().for_each(|row| affect.add(row));
        let is_judged = seen.iter().any(|row| row.usable.is_some());
        let usable = seen.iter().filter(|row| row.usable == Some(true)).count() as u64;
        let mut times = rows.iter().filter_map(|row| row.time_s);
        let first = times.next();
        let fps = footer.stream["fps"].as_f64().filter(|fps| *fps > 0.0);
        Self {
            seconds: first
                .zip(times.next_back())
                .map(|(first, last)| last - first + fps.map_or(0.0, f64::recip)),
            cuts: footer.cuts.len(),
            fps,
            size: footer.stream["width"]
                .as_u64()
                .zip(footer.stream["height"].as_u64()),
            seen: seen.len() as u64,
            usable: is_judged.then_some(usable),
            affect,
        }
    }
}

impl Default for AffectSums {
    fn default() -> Self {
        Self {
            points: 0,
            valence: 0.0,
            arousal: 0.0,
            plane: [[0; CELLS]; CELLS],
            expressions: [0; EXPRESSIONS],
            decided: 0,
            action_units: [0; ACTION_UNITS],
        }
    }
}

impl AffectSums {
    fn add(&mut self, row: &Row) {
        if let Some(point) = row.postprocessed.affect.valence_arousal {
            self.points += 1;
            self.valence += f64::from(point.valence);
            self.arousal += f64::from(point.arousal);
            self.plane[cell(point.arousal)][cell(point.valence)] += 1;
        }
        if let Some(expression) = row.postprocessed.expression {
            self.expressions[expression.index()] += 1;
        }
        let units = row.postprocessed.action_units;
        self.decided += u64::from(units.iter().any(Option::is_some));
        for (count, active) in self.action_units.iter_mut().zip(units) {
            *count += u64::from(active == Some(true));
        }
    }

    /// Adds those of another video.
    pub fn merge(&mut self, other: &Self) {
        self.points += other.points;
        self.valence += other.valence;
        self.arousal += other.arousal;
        self.decided += other.decided;
        let sums = self.plane.as_flattened_mut().iter_mut();
        let sums = sums.chain(&mut self.expressions).chain(&mut self.action_units);
        let more = other.plane.as_flattened().iter();
        for (sum, more) in sums.zip(more.chain(&other.expressions).chain(&other.action_units)) {
            *sum += more;
        }
    }

    /// Mean valence and arousal.
    pub fn means(&self) -> Option<(f64, f64)> {
        let points = self.points as f64;
        (self.points > 0).then(|| (self.valence / points, self.arousal / points))
    }
}

/// The cell of a coordinate in [-1, 1].
fn cell(coordinate: f32) -> usize {
    let position = (coordinate + 1.0) / 2.0 * CELLS as f32;
    (position.max(0.0) as usize).min(CELLS - 1)
}
