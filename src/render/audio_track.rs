//! Writes the original's sound into the film: copies its packets, or encodes them as AAC if MP4 does not support their
//! codec.

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::Output;
use ffmpeg::{Packet, Rational, codec, ffi};

use super::error::RenderError;
use super::recoder::Recoder;
use crate::video::SoundReader;

/// The sound of a film that is being written.
pub struct AudioTrack {
    reader: SoundReader,
    stream: usize,
    mode: Mode,
    /// Already read, but later than the last frame.
    waiting: Option<Packet>,
    ended: bool,
    last_tick: Option<i64>,
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

    /// Writes what comes before `until_s`, in seconds of the film; everything without it. `start_s`: what the
    /// original's clock shows when the film begins.
    pub fn write(
        &mut self,
        output: &mut Output,
        start_s: f64,
        until_s: Option<f64>,
    ) -> Result<(), RenderError> {
        if let Mode::Silent = self.mode {
            return Ok(());
        }
        let tick_s = f64::from(self.reader.time_base());
        let shift = (start_s / tick_s).round() as i64;
        while !self.ended {
            let Some(mut packet) = self
                .waiting
                .take()
                .map_or_else(|| self.reader.next_packet(), |packet| Ok(Some(packet)))?
            else {
                self.ended = true;
                break;
            };
            let time_s = packet
                .dts()
                .or(packet.pts())
                .map(|tick| (tick - shift) as f64 * tick_s);
            if time_s
                .zip(until_s)
                .is_some_and(|(time_s, until_s)| time_s > until_s)
            {
                self.waiting = Some(packet);
                break;
            }
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

/// Whether the container can hold a codec. From FFmpeg 6 on MP4 can hold uncompressed sound, which browsers do not play.
fn holds(output: &Output, codec: codec::Id) -> bool {
    // SAFETY: the format is a constant of libavformat.
    let known = unsafe {
        ffi::avformat_query_codec(output.format().as_ptr(), codec.into(), ffi::FF_COMPLIANCE_NORMAL) == 1
    };
    known && !codec.name().starts_with("pcm_")
}
