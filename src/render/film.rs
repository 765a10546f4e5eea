//! Writes the film: H.264 in MP4, which browsers play, with the sound of the original.

use std::fs::File;
use std::os::fd::AsRawFd;

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::{self, Flags};
use ffmpeg::format::context::Output;
use ffmpeg::format::{self, Pixel};
use ffmpeg::software::scaling;
use ffmpeg::{Dictionary, Error, Packet, Rational, color, encoder, ffi, frame};

use super::audio_track::AudioTrack;
use super::error::RenderError;
use crate::video::{ClockSegment, ColourMatrix, FILM_COMMENT, SoundReader};

/// Ticks a second of the film's timestamps: a multiple of all usual frame rates.
const TICKS: i32 = 90_000;
/// Encoders of H.264, the best first, with options for text that stays sharp and films that stay small.
const ENCODERS: [(&str, &[(&str, &str)]); 2] = [
    ("libx264", &[("preset", "veryfast"), ("crf", "22")]),
    // In the wheel, whose libav has LGPL and BSD parts only. Without rate control it keeps to one quantiser, 26.
    ("libopenh264", &[("rc_mode", "off"), ("coder", "cabac")]),
];
/// Most seconds between key frames: a player that seeks decodes from the key frame before.
const KEY_FRAME_SECONDS: f64 = 2.0;
/// Frames a second if the original has no rate.
const ASSUMED_RATE: f64 = 25.0;

/// The format of a film.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilmForm {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames a second, where they are known.
    pub rate: Option<f64>,
    /// What the original's clock shows where a player begins, if it is known: then the film shows 0.
    pub start_s: Option<f64>,
    /// The matrix of the original, if it has one.
    pub matrix: Option<ColourMatrix>,
    /// Threads that encode.
    pub threads: usize,
}

impl FilmForm {
    /// Frames a second, assumed where they are not known.
    pub fn rate(&self) -> f64 {
        let known = self.rate.filter(|rate| (1.0..=1000.0).contains(rate));
        known.unwrap_or(ASSUMED_RATE)
    }
}

/// A film that is being written.
pub struct Film {
    output: Output,
    encoder: encoder::video::Encoder,
    scaler: scaling::Context,
    form: FilmForm,
    video: usize,
    sound: Option<AudioTrack>,
    /// What the original's clock shows where the film begins.
    start_s: Option<f64>,
    /// The stretches of the original's clock, as far as frames have come.
    segments: Vec<ClockSegment>,
    last_tick: Option<i64>,
}

impl Film {
    /// Begins a film in an empty file.
    pub fn begin(file: &File, form: FilmForm, sound: Option<SoundReader>) -> Result<Self, RenderError> {
        let (codec, options) = find_encoder().ok_or(RenderError::NoEncoder)?;
        // libav opens files by name, and twice to put the index at the front. This name is that of the open file.
        let name = format!("file:/proc/self/fd/{}", file.as_raw_fd());
        let mut output = format::output_as(&name, "mp4")?;
        let encoder = open_encoder(codec, options, form)?;
        let mut stream = output.add_stream_with(&encoder)?;
        stream.set_time_base(Rational(1, TICKS));
        stream.set_avg_frame_rate(rate(form));
        let video = stream.index();
        let sound = sound
            .map(|reader| AudioTrack::begin(reader, &mut output))
            .transpose()?;
        output.set_metadata([("comment", FILM_COMMENT)].into_iter().collect());
        let options: Dictionary = [("movflags", "+faststart")].into_iter().collect();
        output.write_header_with(options)?;
        Ok(Self {
            scaler: scaler(form)?,
            output,
            encoder,
            form,
            video,
            sound,
            start_s: None,
            segments: Vec::new(),
            last_tick: None,
        })
    }

    /// Adds a frame: `width * height` pixels of red, green, blue and opacity, which is ignored. `time_s`: as the table has
    /// it; without one it follows the frame before at the frame rate. `segments`: of the original's clock so far.
    pub fn push(
        &mut self,
        rgba: &[u8],
        time_s: Option<f64>,
        segments: &[ClockSegment],
    ) -> Result<(), RenderError> {
        let step = (f64::from(TICKS) / f64::from(rate(self.form))).round() as i64;
        let earliest = self.last_tick.map_or(0, |last| last + 1);
        let tick = match (time_s, self.last_tick) {
            (Some(time_s), _) => {
                let begin_s = self.form.start_s.map_or(time_s, |start_s| start_s.min(time_s));
                let start_s = *self.start_s.get_or_insert(begin_s);
                ((time_s - start_s) * f64::from(TICKS)).round() as i64
            }
            (None, Some(last)) => last + step,
            (None, None) => 0,
        };
        // Times that are nearer than a tick.
        let tick = tick.max(earliest);
        self.last_tick = Some(tick);

        self.segments.clear();
        self.segments.extend_from_slice(segments);
        let mut yuv = self.converted(rgba)?;
        yuv.set_pts(Some(tick));
        self.encoder.send_frame(&yuv)?;
        self.write_ready(step)?;
        self.write_sound(Some(tick as f64 / f64::from(TICKS)))
    }

    /// Writes what is left. `whole`: the film shows the original to its end, so all of its sound belongs to it.
    /// Returns a warning for the user, if any.
    pub fn finish(mut self, whole: bool) -> Result<Option<String>, RenderError> {
        let step = (f64::from(TICKS) / f64::from(rate(self.form))).round() as i64;
        self.encoder.send_eof()?;
        self.write_ready(step)?;
        let end_s = self
            .last_tick
            .map_or(0.0, |last| (last + step) as f64 / f64::from(TICKS));
        self.write_sound((!whole).then_some(end_s))?;
        let warning = match &mut self.sound {
            Some(sound) => sound.finish(&mut self.output)?,
            None => None,
        };
        self.output.write_trailer()?;
        Ok(warning)
    }

    fn write_ready(&mut self, step: i64) -> Result<(), RenderError> {
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(Error::Eof | Error::Other { errno: libc::EAGAIN }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            packet.set_stream(self.video);
            packet.set_duration(step);
            let to = self.output.stream(self.video).ok_or(Error::Bug)?.time_base();
            packet.rescale_ts(Rational(1, TICKS), to);
            packet.write_interleaved(&mut self.output)?;
        }
    }

    /// Writes sound up to a time of the film; all of it without one.
    fn write_sound(&mut self, until_s: Option<f64>) -> Result<(), RenderError> {
        let start_s = self.start_s.unwrap_or(0.0);
        match &mut self.sound {
            Some(sound) => sound.write(&mut self.output, &self.segments, start_s, until_s),
            None => Ok(()),
        }
    }

    fn converted(&mut self, rgba: &[u8]) -> Result<frame::Video, RenderError> {
        let FilmForm { width, height, .. } = self.form;
        let stride = width as usize * 4;
        if rgba.len() != stride * height as usize {
            return Err(Error::InvalidData.into());
        }
        let mut yuv = frame::Video::new(Pixel::YUV420P, width, height);
        let none = std::ptr::null();
        let planes = [rgba.as_ptr(), none, none, none];
        let strides = [stride as libc::c_int, 0, 0, 0];
        // SAFETY: the scaler was made for this size and these formats; `rgba` holds `height` rows of `stride` bytes,
        // and the new frame has room for as many rows in its own format.
        let rows = unsafe {
            let to = yuv.as_mut_ptr();
            ffi::sws_scale(
                self.scaler.as_mut_ptr(),
                planes.as_ptr().cast(),
                strides.as_ptr(),
                0,
                height as libc::c_int,
                (*to).data.as_ptr(),
                (*to).linesize.as_ptr(),
            )
        };
        if rows < 0 {
            Err(Error::from(rows).into())
        } else {
            Ok(yuv)
        }
    }
}

fn rate(form: FilmForm) -> Rational {
    Rational::from(form.rate()).reduce()
}

/// The matrix of the film: the original's, where players know it.
fn matrix(form: FilmForm) -> ColourMatrix {
    match form.matrix {
        Some(known @ (ColourMatrix::Bt601 | ColourMatrix::Bt709)) => known,
        _ if form.width.max(form.height) >= 1280 || form.width.min(form.height) > 576 => ColourMatrix::Bt709,
        _ => ColourMatrix::Bt601,
    }
}

/// The name of the H.264 encoder that films are written with; `None` if this libav has none.
pub fn encoder_name() -> Option<&'static str> {
    let known = |name: &&str| encoder::find_by_name(name).is_some();
    ENCODERS.iter().map(|(name, _)| *name).find(known)
}

type Options = &'static [(&'static str, &'static str)];

fn find_encoder() -> Option<(ffmpeg::Codec, Options)> {
    ENCODERS
        .iter()
        .find_map(|(name, options)| Some((encoder::find_by_name(name)?, *options)))
}

fn open_encoder(
    codec: ffmpeg::Codec,
    options: Options,
    form: FilmForm,
) -> Result<encoder::video::Encoder, RenderError> {
    let mut encoder = codec::Context::new_with_codec(codec).encoder().video()?;
    encoder.set_width(form.width);
    encoder.set_height(form.height);
    encoder.set_format(Pixel::YUV420P);
    encoder.set_time_base(Rational(1, TICKS));
    encoder.set_frame_rate(Some(rate(form)));
    encoder.set_gop((KEY_FRAME_SECONDS * f64::from(rate(form))).ceil() as u32);
    encoder.set_color_range(color::Range::MPEG);
    match matrix(form) {
        ColourMatrix::Bt709 => {
            encoder.set_colorspace(color::Space::BT709);
            encoder.set_color_primaries(color::Primaries::BT709);
            encoder.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        }
        _ => encoder.set_colorspace(color::Space::SMPTE170M),
    }
    // Setting flags removes the encoder's default, CLOSED_GOP, without which a browser cannot seek to most frames.
    encoder.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let threads = form.threads.max(1).to_string();
    let options = options.iter().copied().chain([("threads", threads.as_str())]);
    Ok(encoder.open_as_with(codec, options.collect())?)
}

/// RGB in full range to the film's pixels.
fn scaler(form: FilmForm) -> Result<scaling::Context, RenderError> {
    let (width, height) = (form.width, form.height);
    let flags = scaling::Flags::BILINEAR;
    let mut scaler = scaling::Context::get(Pixel::RGBA, width, height, Pixel::YUV420P, width, height, flags)?;
    let table = match matrix(form) {
        ColourMatrix::Bt709 => ffi::SWS_CS_ITU709,
        _ => ffi::SWS_CS_ITU601,
    };
    let one = 1 << 16;
    // SAFETY: the scaler is alive and the tables are constants of libswscale; brightness 0, contrast 1 and
    // saturation 1 change nothing.
    let set = unsafe {
        let from = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
        let to = ffi::sws_getCoefficients(table);
        ffi::sws_setColorspaceDetails(scaler.as_mut_ptr(), from, 1, to, 0, 0, one, one)
    };
    if set < 0 {
        Err(Error::from(set).into())
    } else {
        Ok(scaler)
    }
}
