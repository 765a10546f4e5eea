//! Detects files that end before their video does.

use ffmpeg_next as ffmpeg;

use ffmpeg::format::context::Input;
use ffmpeg::{Packet, Stream, ffi};

/// Signs, gathered packet by packet, that a file ends before its video does.
///
/// Containers differ. MP4 has an index of all packets. Matroska, WebM and FLV
/// have a duration only: a cut in their last half second shows no sign. MPEG streams, Ogg and
/// raw streams have neither: only an incomplete last packet shows a cut.
#[derive(Debug, Default)]
pub struct Truncation {
    video_packets: u64,
    last_is_cut: bool,
    demuxer_failed: bool,
    reached_s: f64,
}

impl Truncation {
    /// Records a packet of any stream.
    pub fn record(&mut self, packet: &Packet, stream: &Stream, is_video: bool) {
        if is_video {
            self.video_packets += 1;
            self.last_is_cut = packet.is_corrupt();
        }
        if let Some(start) = packet.pts().or(packet.dts()) {
            let end_s = start.saturating_add(packet.duration()) as f64 * f64::from(stream.time_base());
            self.reached_s = self.reached_s.max(end_s);
        }
    }

    /// Records that the demuxer could not continue in a file that was read without an error.
    pub fn record_demuxer_error(&mut self) {
        self.demuxer_failed = true;
    }

    /// Returns whether the file ended before its video, once there are no more packets.
    pub fn is_truncated(&self, input: &Input, stream: &Stream) -> bool {
        let indexed = indexed_packets(stream);
        // An index of some packets only, such as the key frames, does not count.
        let short_of_duration = || indexed != self.video_packets && self.is_short_of_duration(input, stream);
        self.demuxer_failed || self.last_is_cut || self.video_packets < indexed || short_of_duration()
    }

    /// Returns whether the packets of all streams end well before the duration in the file's header: by two
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

/// Returns the number of packets in the container's index so far; 0 without an index.
fn indexed_packets(stream: &Stream) -> u64 {
    // SAFETY: `stream` points to a stream of the open input; the call only reads it.
    #[cfg(ffmpeg_5)]
    let entries = unsafe { ffi::avformat_index_get_entries_count(stream.as_ptr()) };
    // SAFETY: as above; FFmpeg 4 has the field and no function for it.
    #[cfg(not(ffmpeg_5))]
    let entries = unsafe { (*stream.as_ptr()).nb_index_entries };
    u64::try_from(entries).unwrap_or(0)
}
