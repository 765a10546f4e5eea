//! Frames of a video, one after the other.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use ffmpeg::{Error, frame};

use crate::frame::{FrameIndex, Picture};

use super::clock::{Clock, ClockSegment};
use super::colour::Colour;
use super::convert::Converter;
use super::damage::Damage;
use super::error::{VideoError, VideoFault};
use super::facts::StreamFacts;
use super::filters::Filters;
use super::packet_reader::{self, PacketReader};
use super::record::FrameRecord;
use super::settings::VideoSettings;

/// A frame of a video.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number: 1-based, in the order in which the decoder outputs frames.
    pub index: FrameIndex,
    /// Its presentation time in seconds, on the file's own clock, which may start below or above 0; later than that of the
    /// frame before. Where the clock jumps, the frame follows the one before at the frame rate. `None` where the file has no
    /// times (raw streams).
    pub time_s: Option<f64>,
    /// Its pixels, upright and square.
    pub picture: Picture,
}

/// Frames that are decoded before one is handed out where several threads decode. A frame may depend on one that is shown
/// later, by 16 frames at most (H.264, HEVC): if nothing is damaged among those, it is as one thread decodes it.
const LOOK_AHEAD: usize = 17;

/// Reads the frames of a video in decode order, as many as `ffprobe -count_frames` counts.
///
/// Of several video streams it reads the one that libav ranks best. Frames are upright, in RGB, each at its own size with
/// square pixels; interlaced ones are deinterlaced, and those of a high dynamic range are brought to BT.709. The reader
/// decodes in the calling thread, and in as many more as [`VideoSettings::decode_threads`] sets; it cannot move to another
/// thread.
///
/// ```
/// use abaw::video::{VideoReader, VideoSettings};
///
/// let path = "sample_data/astronaut.mp4".as_ref();
/// let mut video = VideoReader::open(path, &VideoSettings::default())?;
/// let mut frames = 0;
/// while let Some(frame) = video.next_frame()? {
///     frames += 1;
///     assert_eq!(frame.index.number(), frames);
///     assert_eq!(frame.picture.width(), video.facts().size.width);
/// }
/// assert!(frames > 0 && !video.damage().any());
/// # Ok::<(), abaw::video::VideoError>(())
/// ```
pub struct VideoReader {
    path: PathBuf,
    settings: VideoSettings,
    packets: PacketReader,
    filters: Filters,
    clock: Clock,
    converter: Converter,
    decoded: frame::Video,
    /// Frames after `decoded`, where several threads decode.
    ahead: VecDeque<frame::Video>,
    /// Frames that were decoded and are not ahead; those in the filters count.
    taken: u32,
    /// Frames that were returned.
    frames: u32,
    record: FrameRecord,
    damage: Damage,
    ended: bool,
}

impl VideoReader {
    /// Opens a video. Only regular files in a known container are opened, and no other file that they name.
    ///
    /// # Errors
    /// [`VideoError`] with the reason.
    pub fn open(path: &Path, settings: &VideoSettings) -> Result<Self, VideoError> {
        let packets = PacketReader::open(path, settings).map_err(|fault| fault.at(path))?;
        Ok(Self {
            path: path.to_owned(),
            settings: settings.clone(),
            filters: Filters::new(settings.decode_threads),
            clock: packets.clock(),
            packets,
            converter: Converter::default(),
            decoded: frame::Video::empty(),
            ahead: VecDeque::new(),
            taken: 0,
            frames: 0,
            record: FrameRecord::default(),
            damage: Damage::default(),
            ended: false,
        })
    }

    /// Returns the next frame, or `None` at the end.
    ///
    /// # Errors
    /// Damage is not an error but counted in [`VideoReader::damage`], except with [`VideoSettings::strict`]: then a damaged
    /// video ends in an error in place of `None`. After an error there are no more frames.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        self.packets.stall_guard.restart();
        let next = self.decode();
        self.ended = !matches!(next, Ok(Some(_)));
        next.map_err(|fault| fault.at(&self.path))
    }

    /// Returns the properties of the stream as the container states them; from the first frame on, with the size, pixel
    /// format and colour of that frame.
    pub fn facts(&self) -> &StreamFacts {
        &self.packets.facts
    }

    /// Returns what the frames so far were and what was done to them.
    pub fn record(&self) -> FrameRecord {
        FrameRecord {
            estimated_times: self.clock.estimated(),
            deinterlaced_frames: self.filters.deinterlaced(),
            tone_mapped_frames: self.filters.tone_mapped(),
            ..self.record.clone()
        }
    }

    /// Returns the damage so far. Complete once [`VideoReader::next_frame`] has returned `None`.
    pub fn damage(&self) -> Damage {
        let (clock_jumps, first_clock_jump) = self.clock.jumps();
        Damage {
            clock_jumps,
            first_clock_jump,
            ..self.damage
        }
    }

    /// Returns the stretches in which the file's clock ran on so far, to bring other times of the file to those of the
    /// frames.
    pub fn clock_segments(&self) -> &[ClockSegment] {
        self.clock.segments()
    }

    /// Returns the first frame from here on that has a time of at least `time_s` on the file's clock, without converting those
    /// before it; `None` at the end. If frames have no times, the next frame.
    pub(super) fn skip_to(&mut self, time_s: f64) -> Result<Option<Frame>, VideoError> {
        self.packets.stall_guard.restart();
        self.clock = self.packets.clock();
        loop {
            match self.receive_filtered() {
                Ok(true)
                    if self
                        .clock
                        .file_time_s(&self.decoded)
                        .is_some_and(|time| time < time_s) => {}
                Ok(true) => return self.take_frame().map(Some).map_err(|fault| fault.at(&self.path)),
                Ok(false) => return Ok(None),
                Err(fault) => return Err(fault.at(&self.path)),
            }
        }
    }

    /// Seeks to the last key frame at or before a time. The numbers of the frames that follow are meaningless.
    pub(super) fn seek(&mut self, time_s: f64) -> Result<(), VideoError> {
        self.packets.stall_guard.restart();
        self.filters.clear();
        self.packets.seek(time_s).map_err(|fault| fault.at(&self.path))
    }

    fn decode(&mut self) -> Result<Option<Frame>, VideoFault> {
        match self.receive_filtered()? {
            true => self.take_frame().map(Some),
            false => self.end().map(|()| None),
        }
    }

    /// Brings the next frame to `decoded`, filtered if it needs that; false at the end.
    fn receive_filtered(&mut self) -> Result<bool, VideoFault> {
        loop {
            if let Some(filtered) = self.filters.receive()? {
                self.decoded = filtered;
                return Ok(true);
            }
            if !self.receive()? {
                match self.filters.end()? {
                    true => continue,
                    false => return Ok(false),
                }
            }
            if self.taken == 0 {
                self.packets.correct_facts(&self.decoded);
            }
            self.taken += 1;
            self.count_concealed();
            let decoded = std::mem::replace(&mut self.decoded, frame::Video::empty());
            packet_reader::check_size(decoded.width(), decoded.height(), &self.settings)?;
            if let Some(as_it_is) = self.filters.send(decoded)? {
                self.decoded = as_it_is;
                return Ok(true);
            }
        }
    }

    /// Decodes the next frame; false at the end.
    fn receive(&mut self) -> Result<bool, VideoFault> {
        if self.packets.is_threaded && !self.look_ahead()? {
            self.decode_again()?;
        }
        match self.ahead.pop_front() {
            Some(decoded) => self.decoded = decoded,
            None if self.packets.is_threaded => return Ok(false),
            None => return self.receive_next(),
        }
        Ok(true)
    }

    /// Decodes frames that follow; false if anything is damaged among them.
    fn look_ahead(&mut self) -> Result<bool, VideoFault> {
        while self.ahead.len() < LOOK_AHEAD {
            if !self.receive_next()? {
                return Ok(!self.damage.any() && !self.packets.ended_early());
            }
            let decoded = std::mem::replace(&mut self.decoded, frame::Video::empty());
            if decoded.has_decode_errors() || decoded.is_corrupt() {
                return Ok(false);
            }
            self.ahead.push_back(decoded);
        }
        Ok(!self.damage.any())
    }

    /// Opens the file again with one thread, and continues after the frames that were returned.
    fn decode_again(&mut self) -> Result<(), VideoFault> {
        let settings = VideoSettings {
            decode_threads: NonZeroU32::MIN,
            ..self.settings.clone()
        };
        let facts = self.packets.facts.clone();
        self.packets = PacketReader::open(&self.path, &settings)?;
        self.packets.facts = facts;
        self.ahead.clear();
        self.damage = Damage::default();
        for _ in 0..self.taken {
            if !self.receive_next()? {
                break;
            }
            self.count_concealed();
        }
        Ok(())
    }

    /// Decodes the next frame of the decoder; false at the end.
    fn receive_next(&mut self) -> Result<bool, VideoFault> {
        loop {
            match self.packets.decoder.receive_frame(&mut self.decoded) {
                Ok(()) => return Ok(true),
                Err(Error::Other { errno: libc::EAGAIN }) => self.feed()?,
                Err(Error::Eof) => return Ok(false),
                error => self.count_refused(error)?,
            }
            self.packets.stall_guard.check()?;
        }
    }

    /// Sends the decoder its next packet, or the end.
    fn feed(&mut self) -> Result<(), VideoFault> {
        let Some(packet) = self.packets.next_packet()? else {
            return Ok(self.packets.decoder.send_eof()?);
        };
        let sent = self.packets.decoder.send_packet(&packet);
        if sent.is_ok() && packet.is_corrupt() {
            self.damage.corrupt_packets += 1;
        }
        self.count_refused(sent)
    }

    /// Counts a packet that the decoder refused. Returns an error if the cause is not the packet.
    fn count_refused(&mut self, decoded: Result<(), Error>) -> Result<(), VideoFault> {
        match decoded {
            Ok(()) => {}
            Err(error @ Error::Other { errno: libc::ENOMEM }) => return Err(error.into()),
            Err(_) => self.damage.corrupt_packets += 1,
        }
        Ok(())
    }

    /// Returns the decoded frame, upright, with square pixels and in RGB.
    fn take_frame(&mut self) -> Result<Frame, VideoFault> {
        if self.frames >= self.settings.max_frames {
            return Err(VideoFault::TooLong(self.settings.max_frames));
        }
        let decoded = &self.decoded;
        let (orientation, size) = self.packets.layout(decoded);
        packet_reader::check_size(size.width, size.height, &self.settings)?;
        let colour = Colour::of_frame(decoded);
        let picture = self.converter.picture(decoded, colour, orientation, size)?;
        self.frames += 1;
        self.record.count(size, self.frames);
        Ok(Frame {
            index: FrameIndex::new(self.frames).ok_or(Error::Bug)?,
            time_s: self.clock.show(decoded, self.frames),
            picture,
        })
    }

    /// Counts damage of the decoded frame.
    fn count_concealed(&mut self) {
        if self.decoded.has_decode_errors() || self.decoded.is_corrupt() {
            self.damage.concealed_frames += 1;
        }
    }

    fn end(&mut self) -> Result<(), VideoFault> {
        if self.frames == 0 {
            return Err(VideoFault::NoFrames);
        }
        self.damage.early_end = self.packets.ended_early();
        if self.settings.strict && self.damage().any() {
            return Err(VideoFault::Damaged(self.damage()));
        }
        Ok(())
    }
}
