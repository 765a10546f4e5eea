//! Sound of any codec made into AAC.

use std::collections::VecDeque;

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::{self, Flags};
use ffmpeg::format::Sample;
use ffmpeg::format::sample::Type;
use ffmpeg::software::resampling;
use ffmpeg::{ChannelLayout, Error, Packet, Rational, decoder, encoder, frame};

/// Bits a second of one channel.
const BITS_A_CHANNEL: usize = 96_000;
/// The rates that AAC knows, samples a second.
const RATES: [u32; 12] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
];
/// Seconds by which sound may miss its time before silence is put in.
const GAP_SECONDS: f64 = 0.1;

/// Decodes packets, brings the samples to AAC's form, and encodes them.
pub struct Recoder {
    decoder: decoder::Audio,
    encoder: encoder::audio::Encoder,
    resampler: Option<resampling::Context>,
    layout: ChannelLayout,
    rate: u32,
    /// Samples of each channel that do not yet fill a frame.
    samples: Vec<VecDeque<f32>>,
    /// The position of the next sample to encode, in samples from the film's beginning.
    next: Option<i64>,
}

impl Recoder {
    /// For a stream of these parameters whose timestamps count in `time_base`.
    pub fn open(parameters: codec::Parameters, time_base: Rational) -> Result<Self, Error> {
        let mut decoder = codec::Context::from_parameters(parameters)?.decoder().audio()?;
        decoder.set_packet_time_base(time_base);
        let rate = RATES
            .into_iter()
            .min_by_key(|known| known.abs_diff(decoder.rate()))
            .unwrap_or(48_000);
        let layout = match decoder.channels() {
            1 => ChannelLayout::MONO,
            _ => ChannelLayout::STEREO,
        };
        let codec = encoder::find(codec::Id::AAC).ok_or(Error::EncoderNotFound)?;
        let mut encoder = codec::Context::new_with_codec(codec).encoder().audio()?;
        encoder.set_rate(rate as i32);
        encoder.set_channel_layout(layout);
        // From FFmpeg 7 on the layout alone holds the number.
        #[cfg(not(ffmpeg_7))]
        encoder.set_channels(layout.channels());
        encoder.set_format(Sample::F32(Type::Planar));
        encoder.set_bit_rate(BITS_A_CHANNEL * layout.channels() as usize);
        encoder.set_time_base(Rational(1, rate as i32));
        encoder.set_flags(Flags::GLOBAL_HEADER);
        Ok(Self {
            decoder,
            encoder: encoder.open_as(codec)?,
            resampler: None,
            layout,
            rate,
            samples: vec![VecDeque::new(); layout.channels() as usize],
            next: None,
        })
    }

    /// What writes the AAC.
    pub fn encoder(&self) -> &codec::Context {
        &self.encoder
    }

    /// Seconds of one tick of the AAC's timestamps.
    pub fn time_base(&self) -> Rational {
        Rational(1, self.rate as i32)
    }

    /// Takes a packet. What cannot be decoded is left out.
    pub fn feed(&mut self, packet: &Packet) {
        if self.decoder.send_packet(packet).is_ok() {
            self.take_decoded();
        }
    }

    /// Takes note that there are no more packets.
    pub fn end(&mut self) {
        if self.decoder.send_eof().is_ok() {
            self.take_decoded();
        }
        if let Some(resampler) = &mut self.resampler {
            let mut rest = frame::Audio::new(Sample::F32(Type::Planar), self.rate as usize, self.layout);
            if resampler.flush(&mut rest).is_ok() {
                take_samples(&mut self.samples, &rest);
            }
        }
        self.encode(true).ok();
        self.encoder.send_eof().ok();
    }

    /// The packets that are ready.
    pub fn packets(&mut self) -> Result<Vec<Packet>, Error> {
        self.encode(false)?;
        let mut packets = Vec::new();
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => packets.push(packet),
                Err(Error::Eof | Error::Other { errno: libc::EAGAIN }) => return Ok(packets),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_decoded(&mut self) {
        let mut decoded = frame::Audio::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            if decoded.channel_layout().is_empty() {
                decoded.set_channel_layout(ChannelLayout::default(i32::from(decoded.channels())));
            }
            self.wait_for(decoded.pts());
            // If the format of the input changes within the stream, resampling starts again.
            let input = resampling::context::Definition {
                format: decoded.format(),
                channel_layout: decoded.channel_layout(),
                rate: decoded.rate(),
            };
            let fitting = self
                .resampler
                .take()
                .filter(|resampler| *resampler.input() == input);
            let made = || {
                let format = Sample::F32(Type::Planar);
                let (layout, rate) = (decoded.channel_layout(), decoded.rate());
                resampling::Context::get(decoded.format(), layout, rate, format, self.layout, self.rate).ok()
            };
            let Some(mut resampler) = fitting.or_else(made) else {
                continue;
            };
            let room =
                decoded.samples() as u64 * u64::from(self.rate) / u64::from(decoded.rate().max(1)) + 64;
            let mut converted = frame::Audio::new(Sample::F32(Type::Planar), room as usize, self.layout);
            if resampler.run(&decoded, &mut converted).is_ok() {
                take_samples(&mut self.samples, &converted);
            }
            self.resampler = Some(resampler);
        }
    }

    /// Puts in silence where the original has a gap before a frame of this time.
    fn wait_for(&mut self, tick: Option<i64>) {
        let Some(tick) = tick else { return };
        let time_s = tick as f64 * f64::from(self.decoder.packet_time_base());
        let position = (time_s * f64::from(self.rate)).round() as i64;
        match self.next {
            None => self.next = Some(position),
            Some(next) => {
                let here = next + self.samples[0].len() as i64;
                let gap = usize::try_from(position - here).unwrap_or(0);
                if gap as f64 > GAP_SECONDS * f64::from(self.rate) {
                    for channel in &mut self.samples {
                        channel.resize(channel.len() + gap, 0.0);
                    }
                }
            }
        }
    }

    /// Encodes the samples that fill a frame; at the end also those that do not.
    fn encode(&mut self, all: bool) -> Result<(), Error> {
        let size = (self.encoder.frame_size() as usize).max(1);
        while self.samples[0].len() >= size || (all && !self.samples[0].is_empty()) {
            let count = size.min(self.samples[0].len());
            let mut full = frame::Audio::new(Sample::F32(Type::Planar), count, self.layout);
            full.set_rate(self.rate);
            for (nth, channel) in self.samples.iter_mut().enumerate() {
                for (to, from) in full.plane_mut::<f32>(nth).iter_mut().zip(channel.drain(..count)) {
                    *to = from;
                }
            }
            let at = self.next.unwrap_or(0);
            full.set_pts(Some(at));
            self.next = Some(at + count as i64);
            self.encoder.send_frame(&full)?;
        }
        Ok(())
    }
}

fn take_samples(samples: &mut [VecDeque<f32>], frame: &frame::Audio) {
    for (nth, channel) in samples.iter_mut().enumerate().take(frame.planes()) {
        channel.extend(&frame.plane::<f32>(nth)[..frame.samples()]);
    }
}
