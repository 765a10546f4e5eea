//! The sound beside a video: packets as the file holds them.

use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::Input;
use ffmpeg::{Error, Packet, Rational, codec, media};

use super::containers;
use super::error::{VideoError, VideoFault};
use super::packet_reader::{open_input, open_regular};
use super::settings::VideoSettings;
use super::stall_guard::StallGuard;

/// Reads the packets of a video's best audio stream, as libav ranks them, without decoding them. For those who
/// write the video again.
pub struct SoundReader {
    path: PathBuf,
    input: Input,
    stream: usize,
    stall_guard: StallGuard,
}

impl SoundReader {
    /// Opens the sound of a video; `None` if it has none. Refuses what [`VideoReader`](super::VideoReader) refuses
    /// of a file.
    pub fn open(path: &Path, settings: &VideoSettings) -> Result<Option<Self>, VideoError> {
        let open = || {
            let stall_guard = StallGuard::start(settings);
            let opened = open_input(open_regular(path)?, containers::extension(path), &stall_guard);
            stall_guard.check()?;
            Ok((opened?, stall_guard))
        };
        let (input, stall_guard) = open().map_err(|fault: VideoFault| fault.at(path))?;
        let stream = input
            .streams()
            .best(media::Type::Audio)
            .map(|stream| stream.index());
        Ok(stream.map(|stream| Self {
            path: path.to_owned(),
            input,
            stream,
            stall_guard,
        }))
    }

    /// What a decoder or a container needs to know of the stream.
    pub(crate) fn parameters(&self) -> codec::Parameters {
        self.input
            .stream(self.stream)
            .map_or_else(codec::Parameters::new, |stream| stream.parameters())
    }

    /// Seconds of one tick of the packets' timestamps.
    pub(crate) fn time_base(&self) -> Rational {
        self.input
            .stream(self.stream)
            .map_or(Rational(1, 1), |stream| stream.time_base())
    }

    /// The next packet, or `None` at the end, which a damaged file may reach early.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet>, VideoError> {
        self.stall_guard.restart();
        loop {
            let mut packet = Packet::empty();
            let read = packet.read(&mut self.input);
            self.stall_guard.check().map_err(|fault| fault.at(&self.path))?;
            match read {
                Ok(()) if packet.stream() == self.stream => return Ok(Some(packet)),
                Ok(()) => {}
                Err(Error::Other { errno: libc::ENOMEM }) => {
                    return Err(VideoFault::from(Error::Other { errno: libc::ENOMEM }).at(&self.path));
                }
                Err(_) => return Ok(None),
            }
        }
    }
}
