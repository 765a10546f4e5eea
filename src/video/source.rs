//! An opened video file: what is refused before a frame is decoded, and packets out of the rest.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Dictionary, Error, Packet, Stream, codec, decoder, ffi, media};

use super::containers;
use super::deadline::Deadline;
use super::orientation::Orientation;
use super::{StreamFacts, VideoFault, VideoSettings};

/// An opened video file, the video stream chosen in it and a decoder for it.
pub struct Source {
    /// One thread: damaged files decode to other pixels with several.
    pub decoder: decoder::Video,
    pub facts: StreamFacts,
    pub orientation: Orientation,
    /// Seconds of one tick of the stream's timestamps.
    pub tick_s: f64,
    pub deadline: Deadline,
    input: Input,
    stream: usize,
    read_failure: ReadFailure,
    stall_seconds: u32,
}

/// What came of asking for the next packet.
pub enum Next {
    /// A packet of the video stream.
    Packet(Packet),
    /// The end of the file.
    End,
    /// The demuxer cannot go on though the file was read without failure: it is broken here.
    Broken,
}

impl Source {
    /// Opens a file, its best video stream (as libav ranks them) and a decoder.
    pub fn open(path: &Path, settings: &VideoSettings) -> Result<Self, VideoFault> {
        let file = open_regular(path)?;
        let is_mp4 = starts_like_mp4(&file);
        Self::from_stream(file, containers::extension(path), settings).map_err(|fault| match fault {
            VideoFault::NotAVideo if is_mp4 => VideoFault::IndexMissing,
            fault => fault,
        })
    }

    /// As [`Source::open`], for bytes from anywhere.
    fn from_stream<R>(
        stream: R,
        extension: Option<&str>,
        settings: &VideoSettings,
    ) -> Result<Self, VideoFault>
    where
        R: Read + Seek + Send + 'static,
    {
        let deadline = Deadline::start(settings.stall_time());
        let stall_seconds = settings.stall_seconds.get();
        let read_failure = ReadFailure::default();
        let opened = open_input(
            Watched {
                stream,
                failure: read_failure.clone(),
            },
            extension,
            deadline.clone(),
        );
        if let Some(failure) = read_failure.take() {
            return Err(VideoFault::ReadFailed(failure));
        }
        if deadline.has_passed() {
            return Err(VideoFault::Stalled(stall_seconds));
        }
        let input = opened?;

        let stream = choose_stream(&input).ok_or(VideoFault::NoVideoStream)?;
        let decoder = open_decoder(&stream, settings)?;
        let orientation = Orientation::of_stream(&stream);
        let facts = StreamFacts::read(&input, &stream, &decoder, orientation);
        if facts
            .container_frames
            .is_some_and(|frames| frames > settings.max_frames.into())
        {
            return Err(VideoFault::TooLong(settings.max_frames));
        }
        Ok(Self {
            decoder,
            facts,
            orientation,
            tick_s: stream.time_base().into(),
            deadline,
            stream: stream.index(),
            input,
            read_failure,
            stall_seconds,
        })
    }

    /// The next packet of the video stream.
    pub fn next_packet(&mut self) -> Result<Next, VideoFault> {
        loop {
            let mut packet = Packet::empty();
            let read = packet.read(&mut self.input);
            self.check_progress()?;
            match read {
                Ok(()) if packet.stream() == self.stream => return Ok(Next::Packet(packet)),
                Ok(()) => {}
                Err(Error::Eof) => return Ok(Next::End),
                Err(_) => return Ok(Next::Broken),
            }
        }
    }

    /// An error if the file cannot be read on or the time for the next frame is up. libav may show
    /// either as the end of the stream.
    pub fn check_progress(&self) -> Result<(), VideoFault> {
        if let Some(failure) = self.read_failure.take() {
            return Err(VideoFault::ReadFailed(failure));
        }
        if self.deadline.has_passed() {
            return Err(VideoFault::Stalled(self.stall_seconds));
        }
        Ok(())
    }

    /// How many packets the container's index promises, as far as it has one.
    pub fn indexed_packets(&self) -> u64 {
        self.input.stream(self.stream).map_or(0, |stream| {
            // SAFETY: `stream` points to a stream of the open input; the call only reads it.
            let entries = unsafe { ffi::avformat_index_get_entries_count(stream.as_ptr()) };
            u64::try_from(entries).unwrap_or(0)
        })
    }
}

/// Opens a path that names a regular file with something in it. Does not wait for a pipe's other
/// end, and looks at what was opened rather than at what the name meant a moment before.
fn open_regular(path: &Path) -> Result<File, VideoFault> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => VideoFault::Missing,
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

/// Whether a file starts with a box of the MP4 and QuickTime family.
fn starts_like_mp4(file: &File) -> bool {
    let mut head = [0; 8];
    file.read_exact_at(&mut head, 0).is_ok() && matches!(&head[4..], b"ftyp" | b"wide" | b"mdat" | b"moov")
}

/// Opens the container. libav gets the bytes and may open nothing by itself, neither files nor
/// network; of the name it sees the extension only, which helps it to tell raw streams apart.
fn open_input<R>(stream: R, extension: Option<&str>, deadline: Deadline) -> Result<Input, VideoFault>
where
    R: Read + Seek + Send + 'static,
{
    let io = StreamIo::from_read_seek(stream)?;
    let name = extension.map(|extension| format!("video.{extension}"));
    let options: Dictionary = [
        ("format_whitelist", containers::DEMUXERS),
        ("protocol_whitelist", ""),
    ]
    .into_iter()
    .collect();
    let give_up = move || deadline.has_passed();
    let opened =
        ffmpeg::format::input_from_stream_with_interrupt(io, name.as_deref(), Some(options), give_up);
    opened.map_err(|error| match error {
        Error::Other { errno: libc::ENOMEM } => VideoFault::Libav(error),
        // What libav answers for a demuxer that is not on the list.
        Error::Other { errno: libc::EINVAL } => VideoFault::NotAVideoContainer,
        _ => VideoFault::NotAVideo,
    })
}

/// libav's best video stream that is not a cover picture.
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

fn open_decoder(stream: &Stream, settings: &VideoSettings) -> Result<decoder::Video, VideoFault> {
    let parameters = stream.parameters();
    // SAFETY: the pointer is that of the open stream's parameters; two plain fields are read.
    let (width, height) = unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
    check_size(width.unsigned_abs(), height.unsigned_abs(), settings)?;

    let codec = parameters.id();
    let undecodable = |reason| VideoFault::Undecodable {
        codec: codec.name(),
        reason,
    };
    let known = decoder::find(codec).ok_or(undecodable(Error::DecoderNotFound))?;
    let max_pixels = settings.max_pixels.to_string();
    let options: Dictionary = [("threads", "1"), ("max_pixels", max_pixels.as_str())]
        .into_iter()
        .collect();
    let mut decoder = codec::Context::from_parameters(parameters)?.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder
        .open_as_with(known, options)
        .and_then(|opened| opened.video())
        .map_err(undecodable)
}

/// An error if frames of this size are over the limit.
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

/// The first failure of the operating system to read, which libav may not pass on.
#[derive(Debug, Clone, Default)]
struct ReadFailure(Arc<Mutex<Option<io::Error>>>);

impl ReadFailure {
    fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream that notes its failures.
struct Watched<R> {
    stream: R,
    failure: ReadFailure,
}

impl<R> Watched<R> {
    /// Keeps the failure; libav gets one of the same number.
    fn note(&self, failure: io::Error) -> io::Error {
        let for_libav = failure
            .raw_os_error()
            .map_or(failure.kind().into(), io::Error::from_raw_os_error);
        self.failure
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(failure);
        for_libav
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Err(failure) if failure.kind() != io::ErrorKind::Interrupted => Err(self.note(failure)),
            done => done,
        }
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.stream.seek(to)
    }
}
