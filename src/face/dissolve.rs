//! Dissolves: one picture laid over another while it fades.

use std::collections::VecDeque;

use super::signature::Signature;

/// Lengths of dissolves that are looked for, frames. One that is in between is found with the shorter.
const LENGTHS: [usize; 9] = [4, 6, 8, 12, 16, 24, 32, 40, 52];
/// Differences between the first and the last picture of a dissolve, and the most that mixtures of both may then leave
/// unexplained of the pictures between them: the more alike the ends, the better must the mixtures be.
const LEVELS: [(f32, f32); 2] = [(0.6, 0.06), (0.35, 0.015)];
/// Quarters of a dissolve at which pictures must be mixtures, each nearer to its end by `LEAST_STEP`.
const QUARTERS: usize = 4;
const LEAST_STEP: f32 = 0.05;
const NEARLY_THERE: f32 = 0.95;
/// Frames after a dissolve in which its rest is no other one.
const REST: usize = 12;

/// Looks for dissolves in the frames of a shot so far.
#[derive(Debug, Clone)]
pub(super) struct DissolveDetector {
    longest: usize,
    /// The last frames that showed something, the newest last.
    frames: VecDeque<Signature>,
    /// Frames of the last dissolve's rest that may still come.
    rest: usize,
}

impl DissolveDetector {
    /// `longest`: in frames; dissolves that are longer are not found.
    pub fn new(longest: usize) -> Self {
        Self {
            longest,
            frames: VecDeque::new(),
            rest: 0,
        }
    }

    /// Takes the next frame: is it nearly the end of a dissolve?
    pub fn is_end(&mut self, frame: &Signature) -> bool {
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        let is_end = LENGTHS.iter().any(|&length| self.dissolved_over(length, frame));
        if is_end {
            self.frames.clear();
            self.rest = REST;
        } else {
            self.add(frame);
        }
        is_end
    }

    /// Forgets all frames: a shot begins with this one.
    pub fn begin(&mut self, frame: &Signature) {
        self.frames.clear();
        self.rest = 0;
        self.add(frame);
    }

    fn add(&mut self, frame: &Signature) {
        if self.longest > 0 {
            if self.frames.len() == self.longest {
                self.frames.pop_front();
            }
            self.frames.push_back(frame.clone());
        }
    }

    fn dissolved_over(&self, length: usize, last: &Signature) -> bool {
        let Some(start) = self.frames.len().checked_sub(length) else {
            return false;
        };
        let first = &self.frames[start];
        let difference = last.difference_still(first);
        let level = LEVELS.into_iter().find(|(least, _)| difference >= *least);
        let Some((_, most_unexplained)) = level else {
            return false;
        };
        let mut before = 0.0;
        (1..QUARTERS).all(|quarter| {
            let between = &self.frames[start + (2 * quarter * length + QUARTERS) / (2 * QUARTERS)];
            let (place, unexplained) = between.mixture(first, last);
            let goes_on = place > before + LEAST_STEP && place < NEARLY_THERE;
            before = place;
            goes_on && unexplained <= most_unexplained
        })
    }
}
