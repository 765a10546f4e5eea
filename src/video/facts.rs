//! The properties of a video stream, as its container states them.

use std::ptr;

use serde::{Deserialize, Serialize};

use ffmpeg_next as ffmpeg;

use ffmpeg::format::Pixel;
use ffmpeg::format::context::Input;
use ffmpeg::{Stream, decoder, ffi, frame};

use super::colour::Colour;
use super::orientation::Orientation;
use super::size::{FrameSize, PixelAspect};

/// A clock that gives this many times more or fewer frames than the packets is wrong.
const AGREEING: u64 = 4;

/// Packets of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum CountedPackets {
    /// All of them.
    All(u64),
    /// Those at the start of a large file.
    First {
        /// How many the whole file has by its size.
        expected: u64,
        /// Whether the container's clock may start again.
        clock_may_restart: bool,
    },
}

/// The properties of a video stream, as its container states them. None of them is used to number frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Name of the codec in libav, for example `h264`.
    pub codec: String,
    /// The size of a frame, shown and stored. A frame may differ where the size changes midway.
    #[serde(flatten)]
    pub size: FrameSize,
    /// Degrees by which frames are turned clockwise to be upright: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Whether frames are mirrored left to right before they are turned.
    pub mirrored: bool,
    /// Average frames a second; the stream's base rate where the container gives no average.
    pub fps: Option<f64>,
    /// Seconds from the first frame to the end.
    pub duration_s: Option<f64>,
    /// Where the file starts on its own clock, seconds: the earliest time of all its streams, which players show as 0.
    #[serde(default)]
    pub start_s: Option<f64>,
    /// Number of frames according to the container, which may be wrong.
    pub container_frames: Option<u64>,
    /// Packets of the stream, counted where the container has no number of frames.
    #[serde(skip)]
    pub(super) packets: Option<CountedPackets>,
    /// Name of the pixel format in libav, for example `yuv420p`.
    pub pixel_format: String,
    /// How its colours are converted to RGB; `None` if they are RGB already. From the first frame on, as in that frame;
    /// before it, as in the header.
    pub colour: Option<Colour>,
}

impl StreamFacts {
    pub(super) fn read(
        input: &Input,
        stream: &Stream,
        decoder: &decoder::Video,
        orientation: Orientation,
    ) -> Self {
        let size = FrameSize::new(
            decoder.width(),
            decoder.height(),
            pixel_aspect(input, stream, None),
            orientation,
        );
        let format = decoder.format();
        Self {
            codec: decoder.id().name().to_owned(),
            size,
            rotation: orientation.rotation(),
            mirrored: orientation.mirrored(),
            fps: [stream.avg_frame_rate(), stream.rate()]
                .into_iter()
                .map(f64::from)
                .find(|&rate| rate > 0.0),
            duration_s: duration_s(input, stream),
            start_s: start_s(input),
            packets: None,
            container_frames: u64::try_from(stream.frames()).ok().filter(|&frames| frames > 0),
            pixel_format: format_name(format),
            colour: Colour::choose(
                decoder.color_space(),
                decoder.color_range(),
                format,
                decoder.width(),
                decoder.height(),
            ),
        }
    }

    /// Corrects the properties by those of the first frame.
    pub(super) fn correct(&mut self, frame: &frame::Video, size: FrameSize, orientation: Orientation) {
        self.size = size;
        self.rotation = orientation.rotation();
        self.mirrored = orientation.mirrored();
        self.pixel_format = format_name(frame.format());
        self.colour = Colour::of_frame(frame);
    }

    /// Estimates the number of frames, for plans and progress bars: from packets, since clocks may jump. Only where the first
    /// packets of a large file speak for the others, and its clock agrees with them about so, it is the more exact.
    pub fn expected_frames(&self) -> Option<u64> {
        let from_time = || Some((self.duration_s? * self.fps?).round() as u64);
        let counted = match self.packets {
            Some(CountedPackets::All(frames)) => Some(frames),
            Some(CountedPackets::First {
                expected,
                clock_may_restart,
            }) => {
                let agrees =
                    |frames: &u64| (expected / AGREEING..=expected.saturating_mul(AGREEING)).contains(frames);
                let by_clock = from_time().filter(|frames| !clock_may_restart && agrees(frames));
                Some(by_clock.unwrap_or(expected))
            }
            None => None,
        };
        self.container_frames.or(counted)
    }
}

/// Returns the shape of a stream's pixels, or of one frame's: the container's word goes before the stream's own, as in
/// players.
pub(super) fn pixel_aspect(input: &Input, stream: &Stream, frame: Option<&frame::Video>) -> PixelAspect {
    let frame = frame.map_or(ptr::null_mut(), |frame| {
        // SAFETY: only the pointer is taken.
        unsafe { frame.as_ptr().cast_mut() }
    });
    // SAFETY: input, stream and frame are alive, and the call only reads them in spite of its signature.
    let ratio = unsafe {
        ffi::av_guess_sample_aspect_ratio(input.as_ptr().cast_mut(), stream.as_ptr().cast_mut(), frame)
    };
    PixelAspect::new(ratio.into())
}

fn format_name(format: Pixel) -> String {
    format
        .descriptor()
        .map_or("unknown", |known| known.name())
        .to_owned()
}

/// Returns the duration of the stream, or else of the file.
fn duration_s(input: &Input, stream: &Stream) -> Option<f64> {
    let of_stream = (stream.duration() > 0).then(|| stream.duration() as f64 * f64::from(stream.time_base()));
    let of_file = (input.duration() > 0).then(|| input.duration() as f64 / f64::from(ffi::AV_TIME_BASE));
    of_stream.or(of_file)
}

/// Returns the start of the file on its own clock.
fn start_s(input: &Input) -> Option<f64> {
    // SAFETY: the pointer is that of the open input; one plain field is read.
    let start = unsafe { (*input.as_ptr()).start_time };
    (start != ffi::AV_NOPTS_VALUE).then(|| start as f64 / f64::from(ffi::AV_TIME_BASE))
}
