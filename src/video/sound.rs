//! Reads the audio packets of a video file, as they are in the file.

use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::Input;
use ffmpeg::{Error, Packet, Rational, codec, media};

use super::containers;
use super::error::{VideoError, VideoFault};
use super::packet_reader::{open_input, open_regular};
use super::settings::VideoSettings;
use super::stall_guard::StallGuard;

/// Reads the packets of a video's best audio stream, as libav ranks them, without decoding them, to write them to
/// another file.
pub struct SoundReader {
    path: PathBuf,
    input: Input,
    stream: usize,
    stall_guard: StallGuard,
}

impl SoundReader {
    /// Opens the audio of a video; `None` if it has none.
    ///
    /// # Errors
    /// A file that [`VideoReader`](super::VideoReader) does not open either.
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

    /// Returns the codec parameters of the stream, for a decoder or a container.
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

    /// Returns the next packet, or `None` at the end, which a damaged file may reach early.
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
