//! A run beside labels: how good its final numbers are, and its raw ones for tuning.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::predictions::{PredictionsError, RunReader};
use crate::affwild2::{FrameAnswer, LabelRow, Labels, VideoPredictions};
use crate::labels::{Expression, ValenceArousal};
use crate::metrics::{Annotation, Tally};
use crate::run::VideoId;
use crate::tuning::LabelledVideo;

/// A run scored on labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The labelled videos of the run, in the order of the labels.
    pub videos: Vec<ScoredVideo>,
    /// Labelled videos that the run knows nothing of; they do not count.
    pub unknown: Vec<String>,
}

/// One video, or one person of it, scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredVideo {
    /// As the labels call it.
    pub name: String,
    /// The input it is from; two people of one video share it.
    pub input: VideoId,
    pub tally: Tally,
    /// Frames with a label of any task; one listed twice counts twice.
    pub frames: u64,
    /// Those of them that the run lacks, filled from other frames of the video.
    pub filled: u64,
    /// Those of them scored with neutral values, for lack of any prediction in the video.
    pub neutral: u64,
}

impl Evaluation {
    /// All videos together.
    pub fn tally(&self) -> Tally {
        Tally::merged(self.videos.iter().map(|video| &video.tally))
    }

    /// One tally an input, for draws of videos: two people of one video are not independent.
    pub fn by_input(&self) -> Vec<Tally> {
        let mut inputs: BTreeMap<&VideoId, Tally> = BTreeMap::new();
        for video in &self.videos {
            inputs.entry(&video.input).or_default().merge(&video.tally);
        }
        inputs.into_values().collect()
    }
}

/// Scores a run's final numbers as a submission of them would be: labelled frames that the run lacks are
/// filled from their neighbours, videos of the run without any prediction (no face, or failed) get
/// neutral values. A task of which no video has a prediction is not scored.
///
/// # Errors
/// A table that cannot be read.
pub fn evaluate(run: &RunReader, labels: &Labels) -> Result<Evaluation, PredictionsError> {
    let by_video: Vec<_> = labels.by_video().collect();
    let known = |name: &str| run.input_named(name).is_some();
    let unknown = by_video.iter().filter(|(name, _)| !known(name));
    let unknown = unknown.map(|(name, _)| (*name).to_owned()).collect();
    let joined: Vec<Option<Joined>> = by_video
        .into_par_iter()
        .map(|(name, rows)| join(run, name, &rows))
        .collect::<Result<_, _>>()?;
    let mut videos: Vec<Joined> = joined.into_iter().flatten().collect();

    let spoken = videos.iter().fold(Spoken::default(), |all, video| Spoken {
        valence_arousal: all.valence_arousal || video.spoken.valence_arousal,
        expression: all.expression || video.spoken.expression,
        action_units: all.action_units || video.spoken.action_units,
    });
    for video in videos
        .iter_mut()
        .filter(|video| video.spoken == Spoken::default())
    {
        let neutral = Annotation {
            valence_arousal: spoken.valence_arousal.then(ValenceArousal::default),
            expression: spoken.expression.then_some(Expression::Neutral),
            action_units: spoken.action_units.then(Default::default),
        };
        for label in &video.silent_labels {
            video.scored.tally.add(label, &neutral);
        }
        video.scored.neutral = video.scored.frames;
    }
    Ok(Evaluation {
        videos: videos.into_iter().map(|video| video.scored).collect(),
        unknown,
    })
}

/// A labelled video after the first pass.
struct Joined {
    scored: ScoredVideo,
    spoken: Spoken,
    /// The labels of a video without any prediction, which is scored when all others are.
    silent_labels: Vec<Annotation>,
}

/// The tasks of which there is a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Spoken {
    valence_arousal: bool,
    expression: bool,
    action_units: bool,
}

fn join(run: &RunReader, name: &str, rows: &[&LabelRow]) -> Result<Option<Joined>, PredictionsError> {
    let Some((input, _)) = run.input_named(name) else {
        return Ok(None);
    };
    let predictions: VideoPredictions = run.predictions(name)?.unwrap_or_default();
    let mut joined = Joined {
        scored: ScoredVideo {
            name: name.to_owned(),
            input: input.id.clone(),
            tally: Tally::default(),
            frames: 0,
            filled: 0,
            neutral: 0,
        },
        spoken: Spoken::default(),
        silent_labels: Vec::new(),
    };
    for row in rows {
        let label = annotation(row);
        if label == Annotation::default() {
            continue;
        }
        let FrameAnswer {
            valence_arousal,
            expression,
            action_units,
            filled,
        } = predictions.answer(row.frame);
        let answer = Annotation {
            valence_arousal,
            expression,
            action_units,
        };
        joined.scored.frames += 1;
        if answer == Annotation::default() {
            joined.silent_labels.push(label);
            continue;
        }
        joined.scored.tally.add(&label, &answer);
        joined.scored.filled += u64::from(filled);
        joined.spoken.valence_arousal |= valence_arousal.is_some();
        joined.spoken.expression |= expression.is_some();
        joined.spoken.action_units |= action_units.is_some();
    }
    Ok(Some(joined))
}

/// The labelled videos of a run with its raw numbers; the names of those it has no table of beside.
///
/// # Errors
/// A table that cannot be read.
pub fn labelled_videos(
    run: &RunReader,
    labels: &Labels,
) -> Result<(Vec<LabelledVideo>, Vec<String>), PredictionsError> {
    let by_video: Vec<_> = labels.by_video().collect();
    let found: Vec<Result<LabelledVideo, String>> = by_video
        .into_par_iter()
        .map(|(name, rows)| {
            let Some((id, series)) = run.raw_series(name)? else {
                return Ok(Err(name.to_owned()));
            };
            let labels = rows.iter().map(|row| (row.frame, annotation(row))).collect();
            Ok(Ok(LabelledVideo::new(id.into(), series, labels)))
        })
        .collect::<Result<_, PredictionsError>>()?;
    let (mut videos, mut absent) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Ok(video) => videos.push(video),
            Err(name) => absent.push(name),
        }
    }
    Ok((videos, absent))
}

fn annotation(row: &LabelRow) -> Annotation {
    Annotation {
        valence_arousal: row.label.valence_arousal,
        expression: row.label.expression,
        action_units: row.label.all_action_units(),
    }
}
