//! Writes the original's sound into the film: copies its packets, or encodes them as AAC if MP4 does not support their
//! codec.

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::Output;
use ffmpeg::{Packet, Rational, codec, ffi};

use super::error::RenderError;
use super::recoder::Recoder;
use crate::video::{ClockSegment, SoundReader};

/// Sound that steps back by more seconds belongs to another stretch of the clock.
const BACK_S: f64 = 0.1;
/// Sound that is ahead by more seconds is a pause, or belongs to another stretch of the clock.
const AHEAD_S: f64 = 5.0;

/// The sound of a film that is being written.
pub struct AudioTrack {
    reader: SoundReader,
    stream: usize,
    mode: Mode,
    /// Already read, but later than the last frame.
    waiting: Option<Packet>,
    ended: bool,
    last_tick: Option<i64>,
    timing: SoundTiming,
    refused: u64,
}

enum Mode {
    Copy,
    Recode(Box<Recoder>),
    /// No decoder for it.
    Silent,
}

impl AudioTrack {
    /// Adds a stream for the sound to a film that has not begun.
    pub fn begin(reader: SoundReader, output: &mut Output) -> Result<Self, RenderError> {
        let parameters = reader.parameters();
        let mut sound = Self {
            reader,
            stream: usize::MAX,
            mode: Mode::Copy,
            waiting: None,
            ended: false,
            last_tick: None,
            timing: SoundTiming::default(),
            refused: 0,
        };
        if holds(output, parameters.id()) {
            let mut stream = output.add_stream(None::<ffmpeg::Codec>)?;
            stream.set_parameters(parameters);
            stream.set_time_base(sound.reader.time_base());
            // SAFETY: the stream is open; its tag is another container's and must be chosen anew.
            unsafe { (*(*stream.as_mut_ptr()).codecpar).codec_tag = 0 };
            sound.stream = stream.index();
            return Ok(sound);
        }
        match Recoder::open(parameters, sound.reader.time_base()) {
            Ok(recoder) => {
                let mut stream = output.add_stream_with(recoder.encoder())?;
                stream.set_time_base(recoder.time_base());
                sound.stream = stream.index();
                sound.mode = Mode::Recode(Box::new(recoder));
            }
            Err(_) => sound.mode = Mode::Silent,
        }
        Ok(sound)
    }

    /// Writes what comes before `until_s`, in seconds of the film; everything without it. `segments`: of the original's clock
    /// up to there. `start_s`: what that clock shows when the film begins.
    pub fn write(
        &mut self,
        output: &mut Output,
        segments: &[ClockSegment],
        start_s: f64,
        until_s: Option<f64>,
    ) -> Result<(), RenderError> {
        if let Mode::Silent = self.mode {
            return Ok(());
        }
        let tick_s = f64::from(self.reader.time_base());
        while !self.ended {
            let Some(mut packet) = self
                .waiting
                .take()
                .map_or_else(|| self.reader.next_packet(), |packet| Ok(Some(packet)))?
            else {
                self.ended = true;
                break;
            };
            let file_s = packet.pts().or(packet.dts()).map(|tick| tick as f64 * tick_s);
            let length_s = packet.duration() as f64 * tick_s;
            let offset_s = self.timing.offset_s(file_s, segments, until_s.is_none());
            let is_due = |offset_s: f64| {
                let in_film = file_s.map(|file_s| file_s + offset_s - start_s);
                in_film
                    .zip(until_s)
                    .is_none_or(|(time_s, until_s)| time_s <= until_s)
            };
            let Some(offset_s) = offset_s.filter(|&offset_s| is_due(offset_s)) else {
                self.waiting = Some(packet);
                break;
            };
            self.timing.passed(file_s, length_s);
            let shift = ((start_s - offset_s) / tick_s).round() as i64;
            packet.set_pts(packet.pts().map(|tick| tick - shift));
            packet.set_dts(packet.dts().map(|tick| tick - shift));
            match &mut self.mode {
                Mode::Recode(recoder) => {
                    recoder.feed(&packet);
                    self.write_recoded(output)?;
                }
                _ => self.copy(output, packet)?,
            }
        }
        Ok(())
    }

    /// Writes the end. Returns a warning for the user, if any.
    pub fn finish(&mut self, output: &mut Output) -> Result<Option<String>, RenderError> {
        if let Mode::Recode(recoder) = &mut self.mode {
            recoder.end();
            self.write_recoded(output)?;
        }
        Ok(match (&self.mode, self.refused) {
            (Mode::Silent, _) => Some("its sound cannot be decoded, so the film has none".to_owned()),
            (_, 0) => None,
            (_, refused) => Some(format!(
                "{refused} broken packets of its sound are missing in the film"
            )),
        })
    }

    fn write_recoded(&mut self, output: &mut Output) -> Result<(), RenderError> {
        let Mode::Recode(recoder) = &mut self.mode else {
            return Ok(());
        };
        let time_base = recoder.time_base();
        let packets = recoder.packets()?;
        for packet in packets {
            self.write_packet(output, packet, time_base)?;
        }
        Ok(())
    }

    fn copy(&mut self, output: &mut Output, packet: Packet) -> Result<(), RenderError> {
        let time_base = self.reader.time_base();
        self.write_packet(output, packet, time_base)
    }

    fn write_packet(
        &mut self,
        output: &mut Output,
        mut packet: Packet,
        from: Rational,
    ) -> Result<(), RenderError> {
        let to = output.stream(self.stream).ok_or(ffmpeg::Error::Bug)?.time_base();
        packet.rescale_ts(from, to);
        let Some(tick) = packet.dts().or(packet.pts()) else {
            self.refused += 1;
            return Ok(());
        };
        // Rounding may bring two packets to one tick, which muxers refuse.
        let tick = tick.max(self.last_tick.map_or(i64::MIN, |last| last + 1));
        self.last_tick = Some(tick);
        packet.set_dts(Some(tick));
        packet.set_pts(Some(packet.pts().unwrap_or(tick).max(tick)));
        packet.set_stream(self.stream);
        packet.set_position(-1);
        if packet.size() == 0 {
            self.refused += 1;
            return Ok(());
        }
        Ok(packet.write_interleaved(output)?)
    }
}

/// Keeps the sound with its pictures where the original's clock jumps.
#[derive(Debug, Default)]
struct SoundTiming {
    /// The stretch of the clock that the sound has come to.
    segment: usize,
    /// When the next packet is due on the original's clock.
    due_s: Option<f64>,
    /// Added to the times of sound after the last stretch that has pictures.
    beyond_s: Option<f64>,
}

impl SoundTiming {
    /// Returns what is added to a packet's time; `None` if the frames have not yet come to its stretch of the clock.
    /// `is_end`: no frames follow.
    fn offset_s(&mut self, file_s: Option<f64>, segments: &[ClockSegment], is_end: bool) -> Option<f64> {
        let current = segments.get(self.segment);
        if let Some(beyond_s) = self.beyond_s {
            return Some(beyond_s);
        }
        let (Some(file_s), Some(due_s), Some(current)) = (file_s, self.due_s, current) else {
            return Some(current.map_or(0.0, |current| current.offset_s));
        };
        let runs_on = (-BACK_S..=AHEAD_S).contains(&(file_s - due_s));
        if runs_on {
            return Some(current.offset_s);
        }
        let fits =
            |segment: &ClockSegment| (segment.start_s - AHEAD_S..=segment.end_s + AHEAD_S).contains(&file_s);
        let found = segments.iter().skip(self.segment + 1).position(fits);
        if let Some(steps) = found {
            self.segment += 1 + steps;
            self.due_s = Some(file_s);
            return Some(segments[self.segment].offset_s);
        }
        if file_s > due_s && fits(current) {
            return Some(current.offset_s);
        }
        self.beyond_s = is_end.then_some(current.offset_s + due_s - file_s);
        self.beyond_s
    }

    /// Notes that a packet was written.
    fn passed(&mut self, file_s: Option<f64>, length_s: f64) {
        self.due_s = file_s.map(|file_s| file_s + length_s).or(self.due_s);
    }
}

/// Whether the container can hold a codec. From FFmpeg 6 on MP4 can hold uncompressed sound, which browsers do not play.
fn holds(output: &Output, codec: codec::Id) -> bool {
    // SAFETY: the format is a constant of libavformat.
    let known = unsafe {
        ffi::avformat_query_codec(output.format().as_ptr(), codec.into(), ffi::FF_COMPLIANCE_NORMAL) == 1
    };
    known && !codec.name().starts_with("pcm_")
}
