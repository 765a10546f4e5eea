//! Smoothing over time: kernels, and windows in frames or seconds.
//!
//! Box and gaussian are defined on every frame of a shot: frames that a sparse list leaves out
//! count with their linear interpolation, as if the gaps had been listed and filled.

use super::PostprocessError;
use super::fill::between;
use crate::frame::FrameIndex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A length of time. In settings: `"10 frames"`, `"0.4 seconds"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Window {
    /// A number of frames.
    Frames(u32),
    /// Seconds, at least 0; needs the frame rate of the video.
    Seconds(f64),
}

impl Window {
    /// The length in frames, not rounded, at least 0.
    ///
    /// # Errors
    /// A window in seconds without a frame rate.
    pub fn in_frames(self, frame_rate: Option<f64>) -> Result<f64, PostprocessError> {
        match (self, frame_rate) {
            (Window::Frames(frames), _) => Ok(f64::from(frames)),
            (Window::Seconds(seconds), Some(rate)) => Ok((seconds * rate).max(0.0)),
            (Window::Seconds(_), None) => Err(PostprocessError::NoFrameRate(self)),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Frames(frames) => write!(f, "{frames} frames"),
            Window::Seconds(seconds) => write!(f, "{seconds} seconds"),
        }
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("a window is written \"10 frames\" or \"0.4 seconds\", not {text:?}");
        let (number, unit) = text.trim().split_once(' ').ok_or_else(refusal)?;
        match unit.trim() {
            "frame" | "frames" => number.parse().map(Window::Frames).map_err(|_| refusal()),
            "second" | "seconds" => match number.parse() {
                Ok(seconds) if f64::is_finite(seconds) && seconds >= 0.0 => Ok(Window::Seconds(seconds)),
                _ => Err(refusal()),
            },
            _ => Err(refusal()),
        }
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.to_string()
    }
}

/// How a task is smoothed over time. In settings: `kernel = "box"` and the fields beside it.
///
/// ```
/// use abaw::frame::FrameIndex;
/// use abaw::postprocess::{Kernel, Window};
///
/// let half_width = Window::Seconds(0.04);
/// let kernel = Kernel::Box { half_width }.in_frames(Some(25.0))?;
/// let frames: Vec<FrameIndex> = (1..=3).filter_map(FrameIndex::new).collect();
/// // The mean over a frame and its neighbours: of two frames at the ends of a shot.
/// assert_eq!(kernel.smooth(&frames, &[[0.0], [3.0], [6.0]]), [[1.5], [3.0], [4.5]]);
/// # Ok::<(), abaw::postprocess::PostprocessError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kernel", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kernel {
    /// No smoothing. (Braces, because serde accepts unknown fields in a unit variant.)
    None {},
    /// The mean over `[f - half_width, f + half_width]`, cut at the ends of the shot.
    Box {
        /// Rounded to whole frames.
        half_width: Window,
    },
    /// Weights `exp(-0.5 (df / sigma)^2)` up to `radius` on either side, divided by their sum inside
    /// the shot.
    Gaussian {
        /// Standard deviation; 0 smooths nothing.
        sigma: Window,
        /// Rounded to whole frames.
        radius: Window,
    },
    /// Weights `exp(-df^2 / sigma)` over `entries` predictions on either side, however far away:
    /// HSEmotion's kernel for sparse lists, in its symmetric form.
    FrameDistance {
        /// Squared frames, at least 0; 0 smooths nothing.
        #[serde(deserialize_with = "at_least_zero")]
        sigma: f64,
        /// Number of list entries with a prediction on either side.
        entries: u32,
    },
}

impl Default for Kernel {
    fn default() -> Self {
        Kernel::None {}
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kernel::None {} => write!(f, "no smoothing"),
            Kernel::Box { half_width } => write!(f, "box of {half_width}"),
            Kernel::Gaussian { sigma, radius } => write!(f, "gaussian of {sigma} up to {radius}"),
            Kernel::FrameDistance { sigma, entries } => write!(f, "{entries} entries, sigma {sigma:.0}"),
        }
    }
}

impl Kernel {
    /// The kernel with its windows in frames.
    ///
    /// # Errors
    /// A window in seconds without a frame rate.
    pub fn in_frames(self, frame_rate: Option<f64>) -> Result<ShotKernel, PostprocessError> {
        Ok(match self {
            Kernel::None {} => ShotKernel::None,
            Kernel::Box { half_width } => ShotKernel::Box {
                half_width: half_width.in_frames(frame_rate)?.round() as u32,
            },
            Kernel::Gaussian { sigma, radius } => ShotKernel::Gaussian {
                sigma: sigma.in_frames(frame_rate)?,
                radius: radius.in_frames(frame_rate)?.round() as u32,
            },
            Kernel::FrameDistance { sigma, entries } => ShotKernel::FrameDistance {
                sigma: sigma.max(0.0),
                entries,
            },
        })
    }
}

fn at_least_zero<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(serde::de::Error::custom(format!(
            "must be at least 0, not {number}"
        )))
    }
}

/// A [`Kernel`] whose windows are counted in frames, ready to run over a shot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ShotKernel {
    /// [`Kernel::None`].
    None,
    /// [`Kernel::Box`], in frames.
    Box {
        /// Frames on either side.
        half_width: u32,
    },
    /// [`Kernel::Gaussian`], in frames.
    Gaussian {
        /// Standard deviation, frames.
        sigma: f64,
        /// Frames on either side.
        radius: u32,
    },
    /// [`Kernel::FrameDistance`], in squared frames and in entries.
    FrameDistance {
        /// Squared frames.
        sigma: f64,
        /// Entries on either side.
        entries: u32,
    },
}

impl ShotKernel {
    /// Whether the kernel runs over a series without gaps; if not, it runs over the entries with a prediction only.
    pub fn wants_gaps_filled(self) -> bool {
        !matches!(self, ShotKernel::FrameDistance { .. })
    }

    /// Smooths the rows of one shot; `frames` increase and are as many as `rows`.
    pub fn smooth<const N: usize>(self, frames: &[FrameIndex], rows: &[[f64; N]]) -> Vec<[f64; N]> {
        let shot = Shot { frames, rows };
        match self {
            ShotKernel::None => rows.to_vec(),
            ShotKernel::Box { half_width } => shot.box_means(half_width),
            ShotKernel::Gaussian { sigma, radius } => shot.gaussian_means(sigma, radius),
            ShotKernel::FrameDistance { sigma, entries } => {
                shot.frame_distance_means(sigma, entries as usize)
            }
        }
    }
}

/// The rows of one shot as a curve over its frames: entries joined by lines.
struct Shot<'a, const N: usize> {
    frames: &'a [FrameIndex],
    rows: &'a [[f64; N]],
}

impl<const N: usize> Shot<'_, N> {
    fn box_means(&self, half_width: u32) -> Vec<[f64; N]> {
        let totals = self.totals();
        let (mut low, mut high) = (0, 0);
        self.windows(half_width)
            .map(|(from, to)| {
                self.advance(&mut high, to);
                let mut sum = self.total(&totals, high, to);
                if from > self.number(0) {
                    self.advance(&mut low, from - 1);
                    let before = self.total(&totals, low, from - 1);
                    sum = std::array::from_fn(|i| sum[i] - before[i]);
                }
                let frames = f64::from(to - from) + 1.0;
                sum.map(|total| total / frames)
            })
            .collect()
    }

    fn gaussian_means(&self, sigma: f64, radius: u32) -> Vec<[f64; N]> {
        let weights: Vec<f64> = (0..=radius.min(self.span()))
            .map(|distance| match distance {
                0 => 1.0,
                _ => (-0.5 * (f64::from(distance) / sigma).powi(2)).exp(),
            })
            .collect();
        let mut start = 0;
        self.windows(radius)
            .enumerate()
            .map(|(centre, (from, to))| {
                self.advance(&mut start, from);
                let mut at = start;
                let mut mean = WeightedMean::new();
                for frame in from..=to {
                    self.advance(&mut at, frame);
                    let distance = frame.abs_diff(self.number(centre));
                    mean.add(&self.row(at, frame), weights[distance as usize]);
                }
                mean.row()
            })
            .collect()
    }

    fn frame_distance_means(&self, sigma: f64, entries: usize) -> Vec<[f64; N]> {
        (0..self.rows.len())
            .map(|centre| {
                let mut mean = WeightedMean::new();
                mean.add(&self.rows[centre], 1.0);
                // Weights fall with the distance: once one vanishes, so do those beyond.
                let mut add = |other: usize| {
                    let distance = f64::from(self.number(other).abs_diff(self.number(centre)));
                    let weight = (-distance * distance / sigma).exp();
                    mean.add(&self.rows[other], weight);
                    weight > 0.0
                };
                let end = centre
                    .saturating_add(entries)
                    .saturating_add(1)
                    .min(self.rows.len());
                for other in (centre.saturating_sub(entries)..centre).rev() {
                    if !add(other) {
                        break;
                    }
                }
                for other in centre + 1..end {
                    if !add(other) {
                        break;
                    }
                }
                mean.row()
            })
            .collect()
    }

    fn number(&self, entry: usize) -> u32 {
        self.frames[entry].number()
    }

    /// Frames from the first to the last, less one.
    fn span(&self) -> u32 {
        match (self.frames.first(), self.frames.last()) {
            (Some(first), Some(last)) => last.number() - first.number(),
            _ => 0,
        }
    }

    /// First and last frame number of the window around each entry, cut at the ends.
    fn windows(&self, radius: u32) -> impl Iterator<Item = (u32, u32)> {
        let (first, last) = match (self.frames.first(), self.frames.last()) {
            (Some(first), Some(last)) => (first.number(), last.number()),
            _ => (0, 0),
        };
        self.frames.iter().map(move |frame| {
            let frame = frame.number();
            (
                frame.saturating_sub(radius).max(first),
                frame.saturating_add(radius).min(last),
            )
        })
    }

    /// Moves `entry` on to the last one that is not after `frame`.
    fn advance(&self, entry: &mut usize, frame: u32) {
        while *entry + 1 < self.frames.len() && self.number(*entry + 1) <= frame {
            *entry += 1;
        }
    }

    /// The curve at `frame`, which lies at `entry` or between it and the next.
    fn row(&self, entry: usize, frame: u32) -> [f64; N] {
        let passed = frame - self.number(entry);
        if passed == 0 {
            return self.rows[entry];
        }
        let gap = self.number(entry + 1) - self.number(entry);
        let share = f64::from(passed) / f64::from(gap);
        between(&self.rows[entry], &self.rows[entry + 1], share)
    }

    /// For every entry the sum of the curve over all frames up to it.
    fn totals(&self) -> Vec<[f64; N]> {
        let mut totals: Vec<[f64; N]> = Vec::with_capacity(self.rows.len());
        for entry in 0..self.rows.len() {
            totals.push(match totals.last() {
                None => self.rows[entry],
                Some(_) => self.total(&totals, entry - 1, self.number(entry)),
            });
        }
        totals
    }

    /// The sum of the curve over all frames up to `frame`, which lies between `entry` and the next (both
    /// included). With `p` of the `g` frames to the next passed, the line from `a` to `b` adds
    /// `p a + (b - a) / g * p (p + 1) / 2`.
    fn total(&self, totals: &[[f64; N]], entry: usize, frame: u32) -> [f64; N] {
        let passed = frame - self.number(entry);
        if passed == 0 {
            return totals[entry];
        }
        let gap = f64::from(self.number(entry + 1) - self.number(entry));
        let passed = f64::from(passed);
        let (a, b) = (&self.rows[entry], &self.rows[entry + 1]);
        let rise = passed * (passed + 1.0) / (2.0 * gap);
        std::array::from_fn(|i| totals[entry][i] + passed * a[i] + (b[i] - a[i]) * rise)
    }
}

/// A weighted mean that is summed up row by row.
struct WeightedMean<const N: usize> {
    sum: [f64; N],
    weight: f64,
}

impl<const N: usize> WeightedMean<N> {
    fn new() -> Self {
        Self {
            sum: [0.0; N],
            weight: 0.0,
        }
    }

    fn add(&mut self, row: &[f64; N], weight: f64) {
        for (sum, value) in self.sum.iter_mut().zip(row) {
            *sum += weight * value;
        }
        self.weight += weight;
    }

    fn row(&self) -> [f64; N] {
        self.sum.map(|sum| sum / self.weight)
    }
}
