//! A run beside labels: scores of its final predictions, and its raw predictions for tuning.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::subject::{SubjectError, SubjectReader};
use crate::affwild2::{FrameAnswer, LabelRow, Labels, VideoPredictions};
use crate::labels::{Expression, PerTask, ValenceArousal};
use crate::metrics::{Annotation, Tally};
use crate::run::{RunReader, VideoId};
use crate::temporal::TemporalCard;
use crate::tuning::LabelledVideo;

/// A run scored on labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The labelled videos of the run, in the order of the labels.
    pub videos: Vec<ScoredVideo>,
    /// Labelled videos that are not in the run; they do not count.
    pub unknown: Vec<String>,
    /// Labelled videos that the run's temporal network was trained on; they do not count.
    pub trained_on: Vec<String>,
}

/// One video, or one person of it, scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredVideo {
    /// Its name in the labels.
    pub name: String,
    /// Its input; two persons of one video share it.
    pub input: VideoId,
    /// Sums for the scores.
    pub tally: Tally,
    /// Frames with a label of any task; one listed twice counts twice.
    pub frames: u64,
    /// Those of them that the run lacks, filled from other frames of the video.
    pub filled: u64,
    /// Those of them scored with neutral values, for lack of any prediction in the video.
    pub neutral: u64,
    /// Sums over the frames in which the look at the face was usable.
    pub usable_tally: Tally,
    /// The number of these frames.
    pub usable: u64,
}

impl Evaluation {
    /// All videos together.
    pub fn tally(&self) -> Tally {
        Tally::merged(self.videos.iter().map(|video| &video.tally))
    }

    /// One tally per input, for bootstrap samples: two persons of one video are not independent.
    pub fn by_input(&self) -> Vec<Tally> {
        self.sums_by_input(|video| &video.tally)
    }

    /// As [`Evaluation::by_input`], over frames with a usable look alone.
    pub fn usable_by_input(&self) -> Vec<Tally> {
        self.sums_by_input(|video| &video.usable_tally)
    }

    fn sums_by_input(&self, tally: impl Fn(&ScoredVideo) -> &Tally) -> Vec<Tally> {
        let mut inputs: BTreeMap<&VideoId, Tally> = BTreeMap::new();
        for video in &self.videos {
            inputs.entry(&video.input).or_default().merge(tally(video));
        }
        inputs.into_values().collect()
    }
}

/// Scores a run's final predictions as a submission of them would be scored.
///
/// Labelled frames that the run lacks are filled from their neighbours. Videos of the run without any prediction (no
/// face, or failed) get neutral values. A task without a prediction in any video is not scored. Videos that the run's
/// temporal network was trained on are left out.
///
/// # Errors
/// As [`SubjectReader::predictions`].
pub fn evaluate(run: &RunReader, labels: &Labels) -> Result<Evaluation, SubjectError> {
    let subjects = SubjectReader::of(run);
    let (by_video, trained_on) = not_trained_on(&subjects, labels)?;
    let known = |name: &str| run.input_named(name).is_some();
    let unknown = by_video.iter().filter(|(name, _)| !known(name));
    let unknown = unknown.map(|(name, _)| (*name).to_owned()).collect();
    let scored: Vec<Option<FirstPass>> = by_video
        .into_par_iter()
        .map(|(name, rows)| FirstPass::of(&subjects, name, &rows))
        .collect::<Result<_, _>>()?;
    let mut videos: Vec<FirstPass> = scored.into_iter().flatten().collect();

    let predicted = videos.iter().fold(PredictedTasks::default(), |all, video| {
        all.zip(video.predicted).map(|(all, one)| all || one)
    });
    for video in videos
        .iter_mut()
        .filter(|video| video.predicted == PredictedTasks::default())
    {
        let neutral = Annotation {
            valence_arousal: predicted.valence_arousal.then(ValenceArousal::default),
            expression: predicted.expression.then_some(Expression::Neutral),
            action_units: predicted.action_units.then(Default::default),
        };
        for label in &video.labels_without_prediction {
            video.scored.tally.add(label, &neutral);
        }
        video.scored.neutral = video.scored.frames;
    }
    Ok(Evaluation {
        videos: videos.into_iter().map(|video| video.scored).collect(),
        unknown,
        trained_on,
    })
}

/// A labelled video's name and its rows.
type LabelledRows<'labels> = (&'labels str, Vec<&'labels LabelRow>);

/// The labelled videos, without those that the run's temporal network was trained on, and the names of these.
fn not_trained_on<'labels>(
    subjects: &SubjectReader,
    labels: &'labels Labels,
) -> Result<(Vec<LabelledRows<'labels>>, Vec<String>), SubjectError> {
    let was_trained_on = of_card(subjects, TemporalCard::was_trained_on)?;
    let (left_out, kept): (Vec<_>, Vec<_>) = labels.by_video().partition(|(name, _)| was_trained_on(name));
    let names = left_out.into_iter().map(|(name, _)| name.to_owned());
    Ok((kept, names.collect()))
}

/// Whether the card of the run's temporal network lists the input that labels call by a name; false without one.
fn of_card(
    subjects: &SubjectReader,
    lists: fn(&TemporalCard, &str) -> bool,
) -> Result<impl Fn(&str) -> bool, SubjectError> {
    let card = subjects.temporal_card()?;
    let run = subjects.run();
    Ok(move |name: &str| {
        let input = run.input_named(name);
        card.zip(input)
            .is_some_and(|(card, (input, _))| lists(card, input.id.as_str()))
    })
}

/// The tasks for which there is a prediction.
type PredictedTasks = PerTask<bool>;

/// A labelled video, scored as far as its own predictions go.
struct FirstPass {
    scored: ScoredVideo,
    predicted: PredictedTasks,
    /// Labels of a video without any prediction: scored once it is known which tasks other videos have.
    labels_without_prediction: Vec<Annotation>,
}

impl FirstPass {
    /// `None` for a video that is not in the run.
    fn of(subjects: &SubjectReader, name: &str, rows: &[&LabelRow]) -> Result<Option<Self>, SubjectError> {
        let Some((input, _)) = subjects.run().input_named(name) else {
            return Ok(None);
        };
        let predictions: VideoPredictions = subjects.predictions(name)?.unwrap_or_default();
        let mut video = Self {
            scored: ScoredVideo {
                name: name.to_owned(),
                input: input.id.clone(),
                tally: Tally::default(),
                frames: 0,
                filled: 0,
                neutral: 0,
                usable_tally: Tally::default(),
                usable: 0,
            },
            predicted: PredictedTasks::default(),
            labels_without_prediction: Vec::new(),
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
                usable,
            } = predictions.answer(row.frame);
            let answer = Annotation {
                valence_arousal,
                expression,
                action_units,
            };
            video.scored.frames += 1;
            if answer == Annotation::default() {
                video.labels_without_prediction.push(label);
                continue;
            }
            video.scored.tally.add(&label, &answer);
            if usable {
                video.scored.usable_tally.add(&label, &answer);
                video.scored.usable += 1;
            }
            video.scored.filled += u64::from(filled);
            video.predicted.valence_arousal |= valence_arousal.is_some();
            video.predicted.expression |= expression.is_some();
            video.predicted.action_units |= action_units.is_some();
        }
        Ok(Some(video))
    }
}

/// The labelled frames that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelledFrames {
    /// All of them.
    All,
    /// Those with a usable look at the face (column `usable`).
    Usable,
}

/// The labelled videos of a run for tuning.
pub struct VideosToTune {
    /// Each with its predictions before post-processing.
    pub videos: Vec<LabelledVideo>,
    /// Names of those that have no table.
    pub absent: Vec<String>,
    /// Names of those that the run's temporal network was trained on, which are left out.
    pub trained_on: Vec<String>,
    /// Names of those that chose the epoch of the temporal network.
    pub chosen_on: Vec<String>,
}

/// The labelled videos of a run with its raw predictions, or those of its temporal network.
///
/// # Errors
/// As [`SubjectReader::raw_series`].
pub fn labelled_videos(
    run: &RunReader,
    labels: &Labels,
    frames: LabelledFrames,
) -> Result<VideosToTune, SubjectError> {
    let subjects = SubjectReader::of(run);
    let (by_video, trained_on) = not_trained_on(&subjects, labels)?;
    let was_chosen_on = of_card(&subjects, TemporalCard::was_chosen_on)?;
    let names = by_video.iter().map(|(name, _)| (*name).to_owned());
    let chosen_on = names.filter(|name| was_chosen_on(name)).collect();
    let found: Vec<Result<LabelledVideo, String>> = by_video
        .into_par_iter()
        .map(|(name, rows)| {
            let Some(subject) = subjects.raw_series(name)? else {
                return Ok(Err(name.to_owned()));
            };
            let counts =
                |row: &&&LabelRow| frames == LabelledFrames::All || subject.usable.contains(&row.frame);
            let labels = rows.iter().filter(counts);
            let labels = labels.map(|row| (row.frame, annotation(row))).collect();
            let gap = run.plan().settings.pipeline.postprocess.fill_gap_s;
            Ok(Ok(LabelledVideo::new(
                subject.id.into(),
                subject.series,
                gap,
                labels,
            )))
        })
        .collect::<Result<_, SubjectError>>()?;
    let (mut videos, mut absent) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Ok(video) => videos.push(video),
            Err(name) => absent.push(name),
        }
    }
    Ok(VideosToTune {
        videos,
        absent,
        trained_on,
        chosen_on,
    })
}

fn annotation(row: &LabelRow) -> Annotation {
    Annotation {
        valence_arousal: row.label.valence_arousal,
        expression: row.label.expression,
        action_units: row.label.all_action_units(),
    }
}
