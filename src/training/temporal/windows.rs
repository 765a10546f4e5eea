//! The windows of an epoch: every video as often as any other.

use rand::RngExt;
use rand::seq::SliceRandom;
use tch::{TchError, Tensor};

use super::super::error::TrainingError;
use super::super::loader::labels_of;
use super::super::loss::Labels;
use super::super::sampler::{Stream, random};
use super::labelled_sequences::LabelledSequences;
use super::recipe::TemporalRecipe;
use crate::affwild2::FrameLabel;
use crate::temporal::{INPUTS, InputScale};

/// Labelled frames of a sequence that a step learns from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Index of the sequence.
    sequence: usize,
    /// Frames whose labels count, counted from the sequence's first.
    frames: std::ops::Range<usize>,
}

/// Windows as the network takes them, and the labels in them.
#[derive(Debug)]
pub struct WindowBatch {
    /// `[N, T, 535]`: the windows with the frames around them that their outputs depend on.
    pub inputs: Tensor,
    /// `[N, 1, T]`: 1 in the frames of the sequence, 0 beyond.
    pub inside: Tensor,
    /// `[L]`: for each label the place of its frame in `N * T`.
    pub labelled: Tensor,
    /// The labels, `L` of them.
    pub labels: Labels,
}

/// Windows an epoch.
fn windows_an_epoch(recipe: &TemporalRecipe, data: &LabelledSequences) -> usize {
    let labelled = data.counts().images;
    recipe
        .windows
        .unwrap_or_else(|| labelled.div_ceil(recipe.temporal.window))
        .max(1)
}

/// Draws the windows of an epoch (0-based), in order: each video once before any comes twice. A window lies around a
/// labelled frame of the video, each as likely as any other. They depend on the seed and the epoch's number alone.
pub fn draw(recipe: &TemporalRecipe, data: &LabelledSequences, epoch: usize) -> Vec<Window> {
    let mut random = random(recipe.seed, Stream::Order, epoch as u64);
    let count = windows_an_epoch(recipe, data);
    let mut first_of_video = Vec::with_capacity(data.videos().len());
    let mut sequences = 0;
    for video in data.videos() {
        first_of_video.push(sequences);
        sequences += video.len();
    }
    let videos: Vec<_> = data.videos().collect();
    let mut order: Vec<usize> = Vec::with_capacity(count + videos.len());
    while order.len() < count && !videos.is_empty() {
        let mut all: Vec<usize> = (0..videos.len()).collect();
        all.shuffle(&mut random);
        order.extend(all);
    }
    order.truncate(count);
    let window = |video: usize| {
        let labels: usize = videos[video].iter().map(|sequence| sequence.labels.len()).sum();
        let mut drawn = random.random_range(0..labels);
        let mut number = 0;
        while drawn >= videos[video][number].labels.len() {
            drawn -= videos[video][number].labels.len();
            number += 1;
        }
        let sequence = &videos[video][number];
        let (anchor, _) = sequence.labels[drawn];
        let length = recipe.temporal.window.min(sequence.frames);
        let before = random.random_range(0..length);
        let start = anchor.saturating_sub(before).min(sequence.frames - length);
        Window {
            sequence: first_of_video[video] + number,
            frames: start..start + length,
        }
    };
    order.into_iter().map(window).collect()
}

/// Reads windows.
///
/// # Errors
/// The file system's, or libtorch's.
pub fn read(
    windows: &[Window],
    data: &LabelledSequences,
    scale: &InputScale,
    reach: usize,
) -> Result<WindowBatch, TrainingError> {
    let spans: Vec<std::ops::Range<usize>> = windows
        .iter()
        .map(|window| {
            let frames = data.sequences()[window.sequence].frames;
            window.frames.start.saturating_sub(reach)..frames.min(window.frames.end + reach)
        })
        .collect();
    let length = spans.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    let mut inputs = vec![0.0f32; windows.len() * length * INPUTS];
    let mut inside = vec![0.0f32; windows.len() * length];
    let (mut labelled, mut labels) = (Vec::new(), Vec::<&FrameLabel>::new());
    for (number, (window, span)) in windows.iter().zip(&spans).enumerate() {
        let sequence = &data.sequences()[window.sequence];
        let first = number * length;
        let of_window = &mut inputs[first * INPUTS..];
        for (inputs, face) in of_window
            .chunks_exact_mut(INPUTS)
            .zip(data.faces(sequence, span.clone())?)
        {
            scale.write(face.as_ref(), inputs);
        }
        inside[first..first + span.len()].fill(1.0);
        for (frame, label) in &sequence.labels {
            if window.frames.contains(frame) {
                labelled.push((first + frame - span.start) as i64);
                labels.push(label);
            }
        }
    }
    let (windows, length) = (windows.len() as i64, length as i64);
    let tensors = || -> Result<WindowBatch, TchError> {
        Ok(WindowBatch {
            inputs: Tensor::f_from_slice(&inputs)?.f_view([windows, length, INPUTS as i64])?,
            inside: Tensor::f_from_slice(&inside)?.f_view([windows, 1, length])?,
            labelled: Tensor::f_from_slice(&labelled)?,
            labels: labels_of(labels.into_iter())?,
        })
    };
    Ok(tensors()?)
}
