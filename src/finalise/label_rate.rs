//! Labels made at another frame rate than the video's.

use crate::affwild2::{LabelRow, Labels};
use crate::frame::FrameIndex;
use crate::run::{RunReader, RunReaderError};
use crate::table::{ColumnSelection, Footer};

/// Frame rates that labels are made at.
const USUAL_RATES: [f64; 20] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 12.5, 15.0, 20.0, 24.0, 25.0, 30.0, 48.0, 50.0, 60.0,
    100.0, 120.0,
];
/// Largest error of a rate that is told from counts: 29.97 counts as 30.
const TOLERANCE: f64 = 0.01;
/// Lines by which labels and frames may differ for other reasons, such as a decoder that drops the last frames.
const SPARE_LINES: f64 = 3.0;

/// Labels and videos have other frame rates, or cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum LabelRateError {
    /// The labels of most videos have another rate.
    #[error(
        "{videos} of {labelled} labelled videos have labels at another frame rate: {first} has {lines} labels for {frames} \
         frames, which is {label_fps} labels a second for {video_fps:.2} frames a second; give --labels-fps {label_fps} to \
         match them by time, or --labels-fps {video_fps:.2} if the labels are of a part of the frames"
    )]
    OtherRate {
        /// Videos with labels at this rate.
        videos: usize,
        /// Videos with labels and a frame rate.
        labelled: usize,
        /// The name of the first.
        first: String,
        /// Its labels.
        lines: u32,
        /// Its frames.
        frames: u64,
        /// Labels a second.
        label_fps: f64,
        /// Frames a second.
        video_fps: f64,
    },
    /// A table cannot be read.
    #[error(transparent)]
    Run(#[from] RunReaderError),
}

/// What was found beside the labels.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LabelNotes {
    /// Videos with a frame 0, for which line 1 of a label file is taken for frame 1.
    pub with_frame_0: usize,
}

/// Matches labels with the frames of a run: by number, or, with `labels_fps` labels a second, by time. Then each frame has
/// the label nearest to it, and each label is used once.
///
/// # Errors
/// [`LabelRateError::OtherRate`] without `labels_fps`, if the labels of most videos are as many as another usual rate
/// gives for their duration.
pub fn match_labels(
    run: &RunReader,
    labels: Labels,
    labels_fps: Option<f64>,
) -> Result<(Labels, LabelNotes), LabelRateError> {
    let notes = notes(run, &labels)?;
    match labels_fps {
        Some(labels_fps) => {
            let matched = labels.with_frames(|video, rows| frames_by_time(run, video, rows, labels_fps))?;
            Ok((matched, notes))
        }
        None => {
            check_rates(run, &labels)?;
            Ok((labels, notes))
        }
    }
}

fn footer(run: &RunReader, video: &str) -> Option<Footer> {
    let (input, _) = run.input_named(video)?;
    crate::table::read_footer(&run.folder().table(&input.id))
        .ok()
        .map(|(footer, _)| footer)
}

fn fps(footer: &Footer) -> Option<f64> {
    footer.stream["fps"].as_f64().filter(|fps| *fps > 0.0)
}

fn notes(run: &RunReader, labels: &Labels) -> Result<LabelNotes, LabelRateError> {
    let mut notes = LabelNotes::default();
    for (video, _) in labels.by_video().filter(|_| labels.are_by_line()) {
        // Only crops have a frame 0.
        if footer(run, video).is_none_or(|footer| fps(&footer).is_some()) {
            continue;
        }
        let first = first_frame(run, video)?;
        notes.with_frame_0 += usize::from(first.is_some_and(|first| first.number() == 0));
    }
    Ok(notes)
}

fn first_frame(run: &RunReader, video: &str) -> Result<Option<FrameIndex>, RunReaderError> {
    let Some((input, _)) = run.input_named(video) else {
        return Ok(None);
    };
    let table = run.columns(&input.id, ColumnSelection::Final)?;
    Ok(table.and_then(|(rows, _)| rows.first().map(|row| row.frame)))
}

fn check_rates(run: &RunReader, labels: &Labels) -> Result<(), LabelRateError> {
    if run.plan().settings.limit_frames.is_some() {
        return Ok(());
    }
    let mut labelled = 0;
    let mut others = Vec::new();
    for (video, rows) in labels.by_video() {
        let Some((footer, video_fps)) = footer(run, video).and_then(|footer| {
            let fps = fps(&footer)?;
            Some((footer, fps))
        }) else {
            continue;
        };
        labelled += 1;
        let lines = rows.iter().map(|row| row.frame.number()).max().unwrap_or(0);
        let frames = footer.counts.frames;
        // A list names its frames, and need not name the last.
        if !labels.are_by_line() && u64::from(lines) <= frames {
            continue;
        }
        if let Some(label_fps) = other_rate(lines, frames, video_fps) {
            others.push((video, lines, frames, label_fps, video_fps));
        }
    }
    match others.first() {
        Some(&(first, lines, frames, label_fps, video_fps)) if 2 * others.len() > labelled => {
            Err(LabelRateError::OtherRate {
                videos: others.len(),
                labelled,
                first: first.to_owned(),
                lines,
                frames,
                label_fps,
                video_fps,
            })
        }
        _ => Ok(()),
    }
}

/// The usual rate that so many labels have in a video of so many frames, if it is another than the video's.
fn other_rate(labels: u32, frames: u64, video_fps: f64) -> Option<f64> {
    let (labels, frames) = (f64::from(labels), frames as f64);
    if labels < 2.0 || (labels - frames).abs() <= SPARE_LINES.max(TOLERANCE * frames) {
        return None;
    }
    let seconds = frames / video_fps;
    USUAL_RATES.into_iter().find(|&rate| {
        // The last label may be of the start or the end of its interval.
        let expected = rate * seconds;
        (labels - expected).abs() <= (TOLERANCE * expected).max(1.0) && expected > SPARE_LINES
    })
}

/// The frame of each label by time: that nearest to it; of several labels of one frame the nearest.
fn frames_by_time(
    run: &RunReader,
    video: &str,
    rows: &[&LabelRow],
    labels_fps: f64,
) -> Result<Vec<Option<FrameIndex>>, LabelRateError> {
    let Some((input, _)) = run.input_named(video) else {
        return Ok(rows.iter().map(|row| Some(row.frame)).collect());
    };
    let Some((table, footer)) = run.columns(&input.id, ColumnSelection::All)? else {
        return Ok(rows.iter().map(|row| Some(row.frame)).collect());
    };
    let mut frames: Vec<(FrameIndex, Option<f64>)> =
        table.iter().map(|row| (row.frame, row.time_s)).collect();
    frames.dedup_by_key(|(frame, _)| *frame);
    let starts_s = starts_s(&frames, fps(&footer));
    let nearest = |time_s: f64| {
        let after = starts_s.partition_point(|&start_s| start_s < time_s);
        let candidates = after.saturating_sub(1)..(after + 1).min(starts_s.len());
        candidates.min_by(|&a, &b| {
            (starts_s[a] - time_s)
                .abs()
                .total_cmp(&(starts_s[b] - time_s).abs())
        })
    };
    let half_a_label = 0.5 / labels_fps;
    let mut best: Vec<Option<(f64, usize)>> = vec![None; frames.len()];
    for (nth, row) in rows.iter().enumerate() {
        let time_s = f64::from(row.frame.number().saturating_sub(1)) / labels_fps;
        let Some(at) = nearest(time_s) else { continue };
        let away = (starts_s[at] - time_s).abs();
        let is_of_the_video = away <= half_a_label.max(1.0 / fps(&footer).unwrap_or(labels_fps));
        if is_of_the_video && best[at].is_none_or(|(nearest, _)| away < nearest) {
            best[at] = Some((away, nth));
        }
    }
    let mut matched = vec![None; rows.len()];
    for (at, best) in best.into_iter().enumerate() {
        if let Some((_, nth)) = best {
            matched[nth] = Some(frames[at].0);
        }
    }
    Ok(matched)
}

/// Seconds from the first frame; frames without a time follow at the frame rate.
fn starts_s(frames: &[(FrameIndex, Option<f64>)], fps: Option<f64>) -> Vec<f64> {
    let period_s = fps.map_or(0.04, |fps| 1.0 / fps);
    let first = frames.iter().find_map(|(_, time_s)| *time_s).unwrap_or(0.0);
    let mut starts_s: Vec<f64> = Vec::with_capacity(frames.len());
    for (_, time_s) in frames {
        let next = starts_s.last().map_or(0.0, |last| last + period_s);
        let start = time_s.map_or(next, |time_s| time_s - first);
        starts_s.push(if starts_s.last().is_some_and(|&last| start <= last) {
            next
        } else {
            start
        });
    }
    starts_s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_from_counts() {
        assert_eq!(other_rate(300, 250, 25.0), Some(30.0));
        assert_eq!(other_rate(50, 250, 25.0), Some(5.0));
        assert_eq!(other_rate(51, 250, 25.0), Some(5.0));
        assert_eq!(other_rate(299, 250, 25.0), Some(30.0));
        assert_eq!(other_rate(250, 250, 25.0), None);
        assert_eq!(other_rate(247, 250, 25.0), None);
        assert_eq!(other_rate(290, 250, 25.0), None);
        assert_eq!(other_rate(2000, 2002, 29.97), None);
        assert_eq!(other_rate(1, 250, 25.0), None);
    }
}
