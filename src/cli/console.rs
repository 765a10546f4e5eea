//! What a person or a machine sees on stderr while the engine works.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use abaw::escape::escape_control;
use abaw::run::{Event, NetworkTimes, QueueLengths, Stage, VideoId};
use abaw::stop::Stop;
use clap::{ColorChoice, ValueEnum};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Seconds between two lines of progress where there is no terminal.
pub const LINE_EVERY: Duration = Duration::from_secs(60);

/// The form of messages on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Sentences, and a progress bar on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// Also warnings and progress.
    Usual,
    /// Also a line for each video beside a bar.
    Verbose,
}

/// What messages are written, and how.
#[derive(Debug, Clone, Copy)]
pub struct Messages {
    pub format: LogFormat,
    pub verbosity: Verbosity,
    pub color: ColorChoice,
}

/// stderr, shared by messages and progress bars.
pub struct Console {
    bars: MultiProgress,
    messages: Messages,
}

impl Console {
    /// Sets up the messages of this process; called once.
    pub fn new(messages: Messages) -> Self {
        let bars = MultiProgress::new();
        let level = match messages.verbosity {
            Verbosity::Quiet => Level::ERROR,
            Verbosity::Usual => Level::INFO,
            Verbosity::Verbose => Level::DEBUG,
        };
        let lines = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(is_coloured(messages.color))
            .with_writer(AboveBars(bars.clone()));
        match messages.format {
            LogFormat::Text => lines.event_format(Sentence).init(),
            LogFormat::Json => lines.json().flatten_event(true).with_target(false).init(),
        }
        Self { bars, messages }
    }

    /// Whether only errors are asked for.
    pub fn is_quiet(&self) -> bool {
        self.messages.verbosity == Verbosity::Quiet
    }

    /// Makes a progress bar, and returns whether it is drawn: only on a terminal; elsewhere lines are printed instead.
    pub fn bar(&self, template: &str) -> (ProgressBar, bool) {
        let drawn = self.messages.format == LogFormat::Text && !self.is_quiet() && io::stderr().is_terminal();
        let bar = ProgressBar::new(0).with_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        if drawn {
            self.bars.add(bar.clone());
            bar.enable_steady_tick(Duration::from_millis(250));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        (bar, drawn)
    }

    /// Shows the progress of a run over `videos` inputs.
    pub fn progress(&self, videos: u64) -> Progress {
        let (bar, drawn) = self.bar("{bar:30} {pos}/{len} videos  {msg}  {elapsed}");
        bar.set_length(videos);
        Progress {
            bar,
            drawn,
            is_verbose: self.messages.verbosity == Verbosity::Verbose,
            running: Vec::new(),
            start: Instant::now(),
            last_line: Instant::now(),
            frames: 0,
            expected_frames: 0,
            started: 0,
            skipped: 0,
            failed: 0,
            videos,
            waiting: QueueLengths::default(),
            detector_passes: 0,
            network_passes: 0,
            network_times: NetworkTimes::default(),
        }
    }
}

/// Whether messages are coloured. NO_COLOR (no-color.org) counts where nothing is asked for.
fn is_coloured(color: ColorChoice) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
        }
    }
}

/// A video that is being annotated.
struct VideoProgress {
    start: Instant,
    frames: u64,
    expected: Option<u64>,
}

impl VideoProgress {
    /// The share that is done, in percent, and the seconds left at its speed so far.
    fn state(&self) -> Option<(f64, f64)> {
        let expected = self.expected.filter(|expected| *expected > 0)?;
        let done = (self.frames as f64 / expected as f64).min(1.0);
        (done > 0.0).then(|| {
            (
                100.0 * done,
                self.start.elapsed().as_secs_f64() * (1.0 - done) / done,
            )
        })
    }
}

/// The progress of a run.
pub struct Progress {
    bar: ProgressBar,
    drawn: bool,
    is_verbose: bool,
    /// The videos that are being annotated, the one that was begun first in front.
    running: Vec<(VideoId, VideoProgress)>,
    start: Instant,
    last_line: Instant,
    frames: u64,
    /// Sum of the containers' own counts over the videos begun.
    expected_frames: u64,
    started: u64,
    skipped: u64,
    failed: u64,
    videos: u64,
    /// Frames before the detector and faces before the networks, at the last news.
    waiting: QueueLengths,
    /// Batches that went through the detector and through the affect networks.
    detector_passes: u64,
    network_passes: u64,
    /// Where the time of the threads that run networks went.
    network_times: NetworkTimes,
}

impl Progress {
    /// Updates the progress by an event.
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::Started { id, expected_frames } => {
                let video = VideoProgress {
                    start: Instant::now(),
                    frames: 0,
                    expected: *expected_frames,
                };
                self.running.push((id.clone(), video));
                self.started += 1;
                self.expected_frames += expected_frames.unwrap_or(0);
            }
            Event::Frames { id, count, waiting } => {
                if let Some((_, video)) = self.running.iter_mut().find(|(running, _)| running == id) {
                    video.frames += count;
                }
                self.frames += count;
                self.waiting = *waiting;
            }
            Event::Pass { stage } => match stage {
                Stage::Detect => self.detector_passes += 1,
                _ => self.network_passes += 1,
            },
            Event::DeviceStarts { device } => {
                if self.drawn {
                    self.bar
                        .set_message(format!("cuda:{device}: preparing the networks"));
                    return;
                }
                tracing::info!("cuda:{device}: preparing the networks");
            }
            Event::NetworksEnded { times } => self.network_times.add(times),
            Event::BatchHalved { stage, batch } => {
                tracing::warn!(
                    "the device is out of memory: {} goes on in batches of {batch}",
                    stage.name()
                );
            }
            Event::Done {
                id,
                counts,
                seconds,
                damage,
                note,
            } => {
                self.ended(id);
                if let Some(damage) = damage {
                    tracing::warn!(video = %id, "{id}: damaged: {damage}");
                }
                if let Some(note) = note {
                    tracing::warn!(video = %id, "{id}: {note}");
                }
                if !self.drawn || self.is_verbose {
                    tracing::info!(
                        video = %id, frames = counts.frames, frames_with_face = counts.frames_with_face,
                        persons = counts.persons, work_seconds = seconds.values().sum::<f64>(),
                        frames_per_second = self.rate(),
                        "{id}: {} frames, {} with a face", counts.frames, counts.frames_with_face
                    );
                }
            }
            Event::Skipped { .. } => {
                self.skipped += 1;
                self.bar.inc(1);
            }
            Event::Failed { id, failure } => {
                self.failed += 1;
                self.ended(id);
                tracing::error!(video = %id, stage = failure.stage.name(), "{id}: {}", failure.error);
            }
        }
        self.bar.set_message(self.line());
        if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.print_line();
        }
    }

    fn ended(&mut self, id: &VideoId) {
        self.running.retain(|(running, _)| running != id);
        self.bar.inc(1);
    }

    /// Prints the progress, if no bar shows it.
    fn print_line(&self) {
        if !self.drawn {
            tracing::info!(
                videos = self.bar.position(),
                of = self.videos,
                frames = self.frames,
                failed = self.failed,
                frames_per_second = self.rate(),
                seconds_left = self.seconds_left(),
                frames_waiting = self.waiting.frames,
                faces_waiting = self.waiting.faces,
                detector_passes = self.detector_passes,
                network_passes = self.network_passes,
                network_idle_seconds = self.network_times.idle,
                network_start_seconds = self.network_times.start,
                network_submit_seconds = self.network_times.submit,
                network_wait_seconds = self.network_times.wait,
                network_other_seconds = self.network_times.other,
                "{}/{} videos, {}",
                self.bar.position(),
                self.videos,
                self.line()
            );
        }
    }

    /// Clears the bar, and prints the progress of the run.
    pub fn end(&mut self, stop: &Stop) {
        self.waiting = QueueLengths::default();
        self.clear();
        self.print_line();
        if stop.asked() {
            tracing::warn!(
                "stopped after {} frames; run the same command again to go on",
                self.frames
            );
        }
    }

    /// Clears the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Frames annotated so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn line(&self) -> String {
        let mut line = format!("{} frames, {:.1} a second", self.frames, self.rate());
        let QueueLengths { frames, faces } = self.waiting;
        if frames + faces > 0 {
            line += &format!(", {frames} frames and {faces} faces waiting");
        }
        let words = |seconds: f64| indicatif::HumanDuration(Duration::from_secs_f64(seconds));
        let first = self.running.first();
        if let Some((id, (percent, left))) = first.and_then(|(id, video)| Some((id, video.state()?))) {
            let id = escape_control(id.as_str());
            line += &format!(", {id} {percent:.0} %, {} left", words(left));
        }
        if let Some(left) = self.seconds_left() {
            line += &format!(", about {} left in all", words(left));
        }
        if self.failed > 0 {
            line += &format!(", {} failed", self.failed);
        }
        line
    }

    /// Frames a second since the start.
    fn rate(&self) -> f64 {
        self.frames as f64 / self.seconds().max(0.001)
    }

    /// Assumes that videos not begun are as long as those begun.
    fn seconds_left(&self) -> Option<f64> {
        let done = self.bar.position() == self.videos;
        if done || self.expected_frames == 0 || self.frames == 0 {
            return None;
        }
        let to_do = self.videos.saturating_sub(self.skipped);
        let all = self.expected_frames as f64 / self.started as f64 * to_do as f64;
        Some((all - self.frames as f64).max(0.0) / self.rate())
    }
}

/// A message as a sentence: the level only where it matters, never a time.
struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let (level, color) = match *event.metadata().level() {
            Level::ERROR => ("error: ", "\u{1b}[1;31m"),
            Level::WARN => ("warning: ", "\u{1b}[1;33m"),
            _ => ("", ""),
        };
        let (color, plain) = match writer.has_ansi_escapes() && !level.is_empty() {
            true => (color, "\u{1b}[0m"),
            false => ("", ""),
        };
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "{color}{level}{plain}{}", escape_control(&message.0))
    }
}

/// The sentence of an event, without the fields that machines read.
struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Writes lines above the progress bars. Whoever annotates goes on where stderr cannot be written (a full disk, a closed
/// terminal), so errors are dropped: reporting one would write to stderr again.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.suspend(|| io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'writer> MakeWriter<'writer> for AboveBars {
    type Writer = Self;

    fn make_writer(&'writer self) -> Self {
        self.clone()
    }
}
