//! An opened video file: what is refused before a frame is decoded, and packets out of the rest.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Dictionary, Error, Packet, Stream, codec, decoder, media};

use super::containers;
use super::orientation::Orientation;
use super::truncation::Truncation;
use super::watch::{Watch, Watched};
use super::{StreamFacts, VideoFault, VideoSettings};

/// An opened video file, the video stream chosen in it and a decoder for it.
pub struct Source {
    /// One thread: damaged files decode to other pixels with several.
    pub decoder: decoder::Video,
    pub facts: StreamFacts,
    pub orientation: Orientation,
    /// Seconds of one tick of the stream's timestamps.
    pub tick_s: f64,
    pub watch: Watch,
    input: Input,
    stream: usize,
    truncation: Truncation,
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
        let watch = Watch::start(settings);
        let opened = open_input(stream, extension, &watch);
        watch.check()?;
        let input = opened?;

        let stream = choose_stream(&input).ok_or(VideoFault::NoVideoStream)?;
        let decoder = open_decoder(&stream, settings)?;
        let orientation = Orientation::of_stream(&stream);
        let facts = StreamFacts::read(&input, &stream, &decoder, orientation);
        let promised = facts.container_frames.unwrap_or(0);
        if promised > settings.max_frames.into() {
            return Err(VideoFault::TooLong(settings.max_frames));
        }
        Ok(Self {
            decoder,
            facts,
            orientation,
            tick_s: stream.time_base().into(),
            watch,
            stream: stream.index(),
            input,
            truncation: Truncation::default(),
        })
    }

    /// The next packet of the video stream, or `None` at the end.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, VideoFault> {
        loop {
            let mut packet = Packet::empty();
            let read = packet.read(&mut self.input);
            self.watch.check()?;
            match read {
                Ok(()) => {}
                Err(Error::Eof) => return Ok(None),
                // As ffmpeg and ffprobe do, which go by the demuxer: it knows whether it can go on.
                Err(_) => {
                    self.truncation.see_demuxer_give_up();
                    return Ok(None);
                }
            }
            let is_video = packet.stream() == self.stream;
            if let Some(stream) = self.input.stream(packet.stream()) {
                self.truncation.see(&packet, &stream, is_video);
            }
            if is_video {
                return Ok(Some(packet));
            }
        }
    }

    /// Whether the file ended before its video, given that there are no more packets.
    pub fn ended_early(&self) -> bool {
        self.input
            .stream(self.stream)
            .is_some_and(|stream| self.truncation.shows(&self.input, &stream))
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

/// Whether a file starts with a box of the MP4 and QuickTime family.
fn starts_like_mp4(file: &File) -> bool {
    let mut head = [0; 8];
    file.read_exact_at(&mut head, 0).is_ok() && matches!(&head[4..], b"ftyp" | b"wide" | b"mdat" | b"moov")
}

/// Opens the container. libav gets the bytes and may open nothing by itself, neither files nor
/// network; of the name it sees the extension only, which helps it to tell raw streams apart.
fn open_input<R>(stream: R, extension: Option<&str>, watch: &Watch) -> Result<Input, VideoFault>
where
    R: Read + Seek + Send + 'static,
{
    let io = StreamIo::from_read_seek(Watched {
        stream,
        watch: watch.clone(),
    })?;
    let name = extension.map(|extension| format!("video.{extension}"));
    let options = [
        ("format_whitelist", containers::DEMUXERS),
        ("protocol_whitelist", ""),
    ];
    let options: Dictionary = options.into_iter().collect();
    let watch = watch.clone();
    let give_up = move || watch.has_stalled();
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
