//! Opens a video file, which fails for what is not a video, and reads the packets of its best video stream.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Dictionary, Error, Packet, Stream, codec, decoder, frame, media};

use super::clock::{self, Clock};
use super::containers;
use super::error::libav_text;
use super::error::{VideoError, VideoFault};
use super::facts::{self, CountedPackets, StreamFacts};
use super::orientation::Orientation;
use super::settings::VideoSettings;
use super::size::{FrameSize, PixelAspect};
use super::stall_guard::{GuardedStream, StallGuard};
use super::truncation::Truncation;

/// Bytes of packets that are counted at most where the container has no count of frames.
const COUNTED_BYTES: usize = 4 << 20;

/// An opened video file, the video stream chosen in it and a decoder for it.
pub struct PacketReader {
    /// The decoder of the stream.
    pub decoder: decoder::Video,
    /// Whether several threads decode: then damaged files decode to other pixels than with one.
    pub is_threaded: bool,
    /// Properties of the stream, as the container states them.
    pub facts: StreamFacts,
    /// How frames are turned, as the container states it.
    orientation: Orientation,
    /// The time limit for the next frame.
    pub stall_guard: StallGuard,
    input: Input,
    stream: usize,
    /// Packets of the stream that were read to be counted.
    counted: VecDeque<Packet>,
    truncation: Truncation,
}

impl PacketReader {
    /// Opens a file, its best video stream (as libav ranks them) and a decoder.
    pub fn open(path: &Path, settings: &VideoSettings) -> Result<Self, VideoFault> {
        let file = open_regular(path)?;
        let file = match &settings.scratch {
            Some(folder) => on_scratch(&file, folder).unwrap_or(file),
            None => file,
        };
        let is_mp4 = starts_like_mp4(&file);
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        Self::from_stream(file, bytes, containers::extension(path), settings).map_err(|fault| match fault {
            VideoFault::NotAVideo if is_mp4 => VideoFault::IndexMissing,
            fault => fault,
        })
    }

    /// As [`PacketReader::open`], for so many bytes from anywhere.
    fn from_stream<R>(
        stream: R,
        bytes: u64,
        extension: Option<&str>,
        settings: &VideoSettings,
    ) -> Result<Self, VideoFault>
    where
        R: Read + Seek + Send + 'static,
    {
        let stall_guard = StallGuard::start(settings);
        let opened = open_input(stream, extension, &stall_guard);
        stall_guard.check()?;
        let input = opened?;

        let stream = choose_stream(&input).ok_or(VideoFault::NoVideoStream)?;
        let threads = decode_threads(&stream, settings);
        let decoder = open_decoder(&stream, threads, settings)?;
        let orientation = Orientation::of_stream(&stream);
        let facts = StreamFacts::read(&input, &stream, &decoder, orientation);
        let promised = facts.container_frames.unwrap_or(0);
        if promised > settings.max_frames.into() {
            return Err(VideoFault::TooLong(settings.max_frames));
        }
        let mut packets = Self {
            decoder,
            is_threaded: threads > 1,
            facts,
            orientation,
            stall_guard,
            stream: stream.index(),
            input,
            counted: VecDeque::new(),
            truncation: Truncation::default(),
        };
        if packets.facts.container_frames.is_none() {
            packets.count_frames(bytes)?;
        }
        Ok(packets)
    }

    /// Counts packets where the container has no count of frames: all of a small file, and of a large one those at its start.
    /// They are kept to be decoded.
    fn count_frames(&mut self, file_bytes: u64) -> Result<(), VideoFault> {
        let mut bytes = 0;
        let mut whole = false;
        while bytes < COUNTED_BYTES && !whole {
            match self.read_packet()? {
                Some(packet) => {
                    bytes += packet.size();
                    if packet.stream() == self.stream {
                        self.counted.push_back(packet);
                    }
                }
                None => whole = true,
            }
        }
        let frames = self.counted.len() as u64;
        self.facts.packets = Some(match whole {
            true => CountedPackets::All(frames),
            // A container adds little to its packets.
            false => CountedPackets::First {
                expected: (frames as f64 * file_bytes as f64 / bytes as f64).round() as u64,
                clock_may_restart: clock::may_restart(&self.input),
            },
        });
        Ok(())
    }

    /// The next packet of the video stream, or `None` at the end.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, VideoFault> {
        if let Some(packet) = self.counted.pop_front() {
            return Ok(Some(packet));
        }
        loop {
            match self.read_packet()? {
                Some(packet) if packet.stream() != self.stream => {}
                found => return Ok(found),
            }
        }
    }

    /// The next packet of any stream, or `None` at the end.
    fn read_packet(&mut self) -> Result<Option<Packet>, VideoFault> {
        let mut packet = Packet::empty();
        let read = packet.read(&mut self.input);
        self.stall_guard.check()?;
        match read {
            Ok(()) => {}
            Err(Error::Eof) => return Ok(None),
            // As in ffmpeg and ffprobe: the demuxer knows whether it can continue.
            Err(_) => {
                self.truncation.record_demuxer_error();
                return Ok(None);
            }
        }
        let is_video = packet.stream() == self.stream;
        if let Some(stream) = self.input.stream(packet.stream()) {
            self.truncation.record(&packet, &stream, is_video);
        }
        Ok(Some(packet))
    }

    /// Seeks to the last key frame at or before a time on the file's own clock.
    pub fn seek(&mut self, time_s: f64) -> Result<(), VideoFault> {
        let ticks = (time_s * f64::from(ffmpeg::ffi::AV_TIME_BASE)).floor() as i64;
        self.input.seek(ticks, ..ticks)?;
        self.counted.clear();
        self.decoder.flush();
        Ok(())
    }

    /// Returns a clock for the stream's times, before its first frame.
    pub fn clock(&self) -> Clock {
        let stream = self.input.stream(self.stream);
        let tick_s = stream.map_or(1.0, |stream| stream.time_base().into());
        Clock::new(tick_s, self.facts.fps, clock::may_restart(&self.input))
    }

    /// Returns how a decoded frame is turned, and its size.
    pub fn layout(&self, decoded: &frame::Video) -> (Orientation, FrameSize) {
        let orientation = Orientation::of_frame(decoded).unwrap_or(self.orientation);
        let stream = self.input.stream(self.stream);
        let pixel_aspect = stream.map_or(PixelAspect::SQUARE, |stream| {
            facts::pixel_aspect(&self.input, &stream, Some(decoded))
        });
        let size = FrameSize::new(decoded.width(), decoded.height(), pixel_aspect, orientation);
        (orientation, size)
    }

    /// Corrects the facts by those of the first frame.
    pub fn correct_facts(&mut self, first: &frame::Video) {
        let (orientation, size) = self.layout(first);
        self.facts.correct(first, size, orientation);
    }

    /// Returns whether the file ended before its video, once there are no more packets.
    pub fn ended_early(&self) -> bool {
        self.input
            .stream(self.stream)
            .is_some_and(|stream| self.truncation.is_truncated(&self.input, &stream))
    }
}

/// Reads the properties of a video from its container, without decoding it.
///
/// # Errors
/// Those of [`VideoReader::open`](super::VideoReader::open).
pub fn probe(path: &Path, settings: &VideoSettings) -> Result<StreamFacts, VideoError> {
    let packets = PacketReader::open(path, settings).map_err(|fault| fault.at(path))?;
    Ok(packets.facts)
}

/// Opens a regular file that is not empty. Does not wait for the other end of a pipe, and checks the opened file rather
/// than the path, which may have changed in between.
pub(super) fn open_regular(path: &Path) -> Result<File, VideoFault> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound => VideoFault::Missing,
        _ => VideoFault::Unopenable(error),
    })?;
    let metadata = file.metadata().map_err(VideoFault::Unopenable)?;
    if !metadata.is_file() {
        return Err(VideoFault::NotRegularFile);
    }
    if metadata.len() == 0 {
        return Err(VideoFault::Empty);
    }
    Ok(file)
}

/// Returns a copy of a file that the system deletes when it is closed, even if the process is killed. On an error,
/// usually a full disk, the original is read instead, which only takes longer.
fn on_scratch(mut file: &File, folder: &Path) -> io::Result<File> {
    let mut copy = tempfile::tempfile_in(folder)?;
    let copied = io::copy(&mut file, &mut copy);
    file.rewind()?;
    copied?;
    copy.rewind()?;
    Ok(copy)
}

/// Returns whether a file starts with a box of the MP4 and QuickTime family.
fn starts_like_mp4(file: &File) -> bool {
    let mut head = [0; 8];
    file.read_exact_at(&mut head, 0).is_ok() && matches!(&head[4..], b"ftyp" | b"wide" | b"mdat" | b"moov")
}

/// Opens the container. libav reads the bytes through `stream` and cannot open other files or the network. Of the name it
/// sees only the extension, which it needs to distinguish raw streams.
pub(super) fn open_input<R>(
    stream: R,
    extension: Option<&str>,
    stall_guard: &StallGuard,
) -> Result<Input, VideoFault>
where
    R: Read + Seek + Send + 'static,
{
    let io = StreamIo::from_read_seek(GuardedStream {
        stream,
        stall_guard: stall_guard.clone(),
    })?;
    let name = extension.map(|extension| format!("video.{extension}"));
    let options = [
        ("format_whitelist", containers::DEMUXERS),
        ("protocol_whitelist", ""),
    ];
    let options: Dictionary = options.into_iter().collect();
    let stall_guard = stall_guard.clone();
    let give_up = move || stall_guard.has_stalled();
    let opened =
        ffmpeg::format::input_from_stream_with_interrupt(io, name.as_deref(), Some(options), give_up);
    opened.map_err(|error| match error {
        Error::Other { errno: libc::ENOMEM } => error.into(),
        // The error of libav for a demuxer that is not on the list.
        Error::Other { errno: libc::EINVAL } => VideoFault::NotAVideoContainer,
        _ => VideoFault::NotAVideo,
    })
}

/// Returns the video stream that libav ranks best, except cover pictures.
fn choose_stream(input: &Input) -> Option<Stream<'_>> {
    let is_cover = |stream: &Stream| stream.disposition().contains(Disposition::ATTACHED_PIC);
    let best = input.streams().best(media::Type::Video)?;
    if !is_cover(&best) {
        return Some(best);
    }
    input
        .streams()
        .find(|stream| stream.parameters().medium() == media::Type::Video && !is_cover(stream))
}

/// The threads that decode a stream: several only with decoders that flag each damaged frame.
fn decode_threads(stream: &Stream, settings: &VideoSettings) -> u32 {
    match stream.parameters().id() {
        codec::Id::H264 | codec::Id::HEVC => settings.decode_threads.get(),
        _ => 1,
    }
}

fn open_decoder(
    stream: &Stream,
    threads: u32,
    settings: &VideoSettings,
) -> Result<decoder::Video, VideoFault> {
    let parameters = stream.parameters();
    // SAFETY: the pointer is that of the open stream's parameters; two plain fields are read.
    let (width, height) = unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
    check_size(width.unsigned_abs(), height.unsigned_abs(), settings)?;

    let codec = parameters.id();
    let undecodable = |reason| VideoFault::Undecodable {
        codec: codec.name(),
        reason: libav_text(reason),
    };
    let known = decoder::find(codec).ok_or(undecodable(Error::DecoderNotFound))?;
    // Decoders add padding, hence twice the limit: this only prevents absurdly large allocations.
    let max_pixels = settings
        .max_pixels
        .saturating_mul(2)
        .min(i32::MAX.unsigned_abs())
        .to_string();
    let threads = threads.to_string();
    let options = [
        ("threads", threads.as_str()),
        ("thread_type", "frame"),
        ("max_pixels", max_pixels.as_str()),
    ];
    let options: Dictionary = options.into_iter().collect();
    let mut decoder = codec::Context::from_parameters(parameters)?.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder
        .open_as_with(known, options)
        .and_then(|opened| opened.video())
        .map_err(undecodable)
}

/// Checks the size of a frame against the limit.
pub fn check_size(width: u32, height: u32, settings: &VideoSettings) -> Result<(), VideoFault> {
    let max_pixels = settings.max_pixels;
    if u64::from(width) * u64::from(height) > max_pixels.into() {
        return Err(VideoFault::TooLarge {
            width,
            height,
            max_pixels,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, SeekFrom};
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    /// A stream in which each read from `trouble_at` bytes on takes `delay`, then fails with `failure`.
    struct Troubled {
        bytes: Cursor<Vec<u8>>,
        trouble_at: u64,
        delay: Duration,
        failure: Option<i32>,
    }

    impl Read for Troubled {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.bytes.position() >= self.trouble_at {
                std::thread::sleep(self.delay);
                if let Some(errno) = self.failure {
                    return Err(io::Error::from_raw_os_error(errno));
                }
            }
            self.bytes.read(buffer)
        }
    }

    impl Seek for Troubled {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    /// 400 frames of 64x64 without compression, 2.4 MB.
    fn y4m() -> Vec<u8> {
        let mut bytes = b"YUV4MPEG2 W64 H64 F25:1 Ip C420jpeg\n".to_vec();
        for _ in 0..400 {
            bytes.extend(b"FRAME\n");
            bytes.extend([128; 64 * 64 * 3 / 2]);
        }
        bytes
    }

    fn packets(stream: Troubled) -> (usize, Option<VideoFault>) {
        let settings = VideoSettings {
            stall_seconds: NonZeroU32::MIN,
            ..VideoSettings::default()
        };
        let mut packets = match PacketReader::from_stream(stream, y4m().len() as u64, Some("y4m"), &settings)
        {
            Ok(packets) => packets,
            Err(fault) => return (0, Some(fault)),
        };
        for count in 0.. {
            match packets.next_packet() {
                Ok(Some(_)) => {}
                Ok(None) => return (count, None),
                Err(fault) => return (count, Some(fault)),
            }
        }
        unreachable!()
    }

    #[test]
    fn intact_streams_are_read_to_their_end() {
        let stream = Troubled {
            bytes: Cursor::new(y4m()),
            trouble_at: u64::MAX,
            delay: Duration::ZERO,
            failure: None,
        };
        assert!(matches!(packets(stream), (400, None)));
    }

    #[test]
    fn stalls_are_given_up() {
        for trouble_at in [0, 2_000_000] {
            let delay = Duration::from_millis(700);
            let stream = Troubled {
                bytes: Cursor::new(y4m()),
                trouble_at,
                delay,
                failure: None,
            };
            let (count, fault) = packets(stream);
            assert!(count < 400);
            assert!(matches!(fault, Some(VideoFault::Stalled(1))), "{fault:?}");
        }
    }

    #[test]
    fn failed_reads_are_not_taken_for_the_end() {
        for trouble_at in [0, 2_000_000] {
            let (delay, failure) = (Duration::ZERO, Some(libc::EIO));
            let stream = Troubled {
                bytes: Cursor::new(y4m()),
                trouble_at,
                delay,
                failure,
            };
            let (_, fault) = packets(stream);
            let Some(VideoFault::ReadFailed(error)) = fault else {
                panic!("{fault:?}")
            };
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
        }
    }
}
