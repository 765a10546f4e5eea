//! Whether a file ends before its video does.

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::Input;
use ffmpeg::{Packet, Stream, ffi};

/// Signs, gathered packet by packet, that a file ends before its video does.
///
/// Containers differ in what they promise. MP4 has an index of all packets. Matroska, WebM and FLV
/// have a duration only: a cut in their last half second shows no sign. MPEG streams, Ogg and
/// raw streams promise nothing: only a packet cut in two gives them away.
#[derive(Debug, Default)]
pub struct Truncation {
    video_packets: u64,
    last_is_cut: bool,
    demuxer_gave_up: bool,
    reached_s: f64,
}

impl Truncation {
    /// Takes note of a packet of any stream.
    pub fn see(&mut self, packet: &Packet, stream: &Stream, is_video: bool) {
        if is_video {
            self.video_packets += 1;
            self.last_is_cut = packet.is_corrupt();
        }
        if let Some(start) = packet.pts().or(packet.dts()) {
            let end_s = start.saturating_add(packet.duration()) as f64 * f64::from(stream.time_base());
            self.reached_s = self.reached_s.max(end_s);
        }
    }

    /// Takes note that the demuxer could not go on in a file that was read without failure.
    pub fn see_demuxer_give_up(&mut self) {
        self.demuxer_gave_up = true;
    }

    /// Whether the file ended before its video, given that there are no more packets.
    pub fn shows(&self, input: &Input, stream: &Stream) -> bool {
        let indexed = indexed_packets(stream);
        // An index of some packets only, as of the key frames, promises nothing.
        let short_of_duration = || indexed != self.video_packets && self.is_short_of_duration(input, stream);
        self.demuxer_gave_up || self.last_is_cut || self.video_packets < indexed || short_of_duration()
    }

    /// Whether the packets of all streams end well before the duration in the file's header: by two
    /// frames and half a second, since durations are rounded and last frames may be long.
    fn is_short_of_duration(&self, input: &Input, stream: &Stream) -> bool {
        // SAFETY: the call reads one field of the open input.
        let from = unsafe { ffi::av_fmt_ctx_get_duration_estimation_method(input.as_ptr()) };
        let is_stated = from == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM;
        let duration_s = input.duration() as f64 / f64::from(ffi::AV_TIME_BASE);
        let rate = f64::from(stream.avg_frame_rate());
        let slack_s = 0.5 + if rate > 0.0 { 2.0 / rate } else { 0.0 };
        is_stated && self.reached_s + slack_s < duration_s
    }
}

/// How many packets the container's index holds so far; 0 where it has none.
fn indexed_packets(stream: &Stream) -> u64 {
    // SAFETY: `stream` points to a stream of the open input; the call only reads it.
    let entries = unsafe { ffi::avformat_index_get_entries_count(stream.as_ptr()) };
    u64::try_from(entries).unwrap_or(0)
}
