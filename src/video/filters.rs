//! The filters of libavfilter that some frames pass before they are converted: deinterlacing, and high dynamic range to
//! BT.709. All other frames pass none.

use std::num::NonZeroU32;

use ffmpeg_next as ffmpeg;

use ffmpeg::color::{Primaries, Range, Space, TransferCharacteristic};
use ffmpeg::format::Pixel;
use ffmpeg::{Error, ffi, filter, frame};

use super::colour::is_rgb;
use super::error::{VideoFault, libav_text};

/// One picture for each interlaced frame, by the fields of its neighbours too; other frames stay as they are.
const DEINTERLACE: &str = "bwdif=mode=send_frame:parity=auto:deint=interlaced";
/// Light in proportion, 1.0 for 100 candela a square metre as of a usual screen; then the brighter ones compressed by Hable's
/// curve, and usual video of that. It is what users of the ffmpeg tool write.
const TONE_MAP: &str = "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,\
                        tonemap=tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=limited,format=yuv420p";

/// Filters frames that need it. As many frames come out as go in, in the same order, but not at once.
pub struct Filters {
    threads: NonZeroU32,
    chain: Option<Chain>,
    /// A frame that does not fit the chain, for when the chain is empty.
    waiting: Option<frame::Video>,
    deinterlaced: u64,
    tone_mapped: u64,
}

struct Chain {
    graph: filter::Graph,
    form: Form,
    ended: bool,
}

/// The frames that a chain is for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Form {
    format: Pixel,
    width: u32,
    height: u32,
    space: Space,
    range: Range,
    deinterlaced: bool,
    tone_mapped: bool,
}

enum Received {
    Frame(frame::Video),
    /// The chain needs another frame first.
    Nothing,
    End,
}

impl Filters {
    /// Filters that run on so many threads, which changes no pixel.
    pub fn new(threads: NonZeroU32) -> Self {
        Self {
            threads,
            chain: None,
            waiting: None,
            deinterlaced: 0,
            tone_mapped: 0,
        }
    }

    /// Takes the next frame; gives it back if it needs no filter. [`Filters::receive`] must have returned `None` before.
    pub fn send(&mut self, mut frame: frame::Video) -> Result<Option<frame::Video>, VideoFault> {
        if is_high_dynamic_range(&frame) {
            state_colours(&mut frame);
        }
        let form = Form::of(&frame);
        let chain = match &mut self.chain {
            None if !form.deinterlaced && !form.tone_mapped => return Ok(Some(frame)),
            None => self.chain.insert(Chain::new(form, self.threads)?),
            Some(chain) if chain.form.serves(form) => chain,
            Some(chain) => {
                chain.end()?;
                self.waiting = Some(frame);
                return Ok(None);
            }
        };
        chain.send(frame)?;
        self.deinterlaced += u64::from(form.deinterlaced);
        self.tone_mapped += u64::from(form.tone_mapped);
        Ok(None)
    }

    /// Returns the next filtered frame; `None` if another has to be sent first.
    pub fn receive(&mut self) -> Result<Option<frame::Video>, VideoFault> {
        loop {
            let Some(chain) = &mut self.chain else {
                return Ok(None);
            };
            match chain.receive()? {
                Received::Frame(frame) => return Ok(Some(frame)),
                Received::Nothing => return Ok(None),
                Received::End => self.chain = None,
            }
            if let Some(frame) = self.waiting.take()
                && let Some(as_it_is) = self.send(frame)?
            {
                return Ok(Some(as_it_is));
            }
        }
    }

    /// Takes the end of the frames; false if there are no more to be received.
    pub fn end(&mut self) -> Result<bool, VideoFault> {
        match &mut self.chain {
            Some(chain) => chain.end().map(|()| true),
            None => Ok(false),
        }
    }

    /// Forgets the frames in it.
    pub fn clear(&mut self) {
        self.chain = None;
        self.waiting = None;
    }

    /// Returns how many frames were deinterlaced.
    pub fn deinterlaced(&self) -> u64 {
        self.deinterlaced
    }

    /// Returns how many frames were brought from a high dynamic range to BT.709.
    pub fn tone_mapped(&self) -> u64 {
        self.tone_mapped
    }
}

impl Form {
    fn of(frame: &frame::Video) -> Self {
        Self {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
            space: frame.color_space(),
            range: frame.color_range(),
            // In RGB nothing is interlaced but by mistake, and the filter takes no palettes.
            deinterlaced: frame.is_interlaced() && !is_rgb(frame.format()),
            tone_mapped: is_high_dynamic_range(frame),
        }
    }

    /// Whether a chain for these frames does what `other` frames need. Deinterlacing leaves frames that are not interlaced
    /// as they are.
    fn serves(self, other: Self) -> bool {
        let deinterlaced = self.deinterlaced || other.deinterlaced;
        self == Self {
            deinterlaced,
            ..other
        }
    }
}

impl Chain {
    fn new(form: Form, threads: NonZeroU32) -> Result<Self, VideoFault> {
        let steps = [(form.deinterlaced, DEINTERLACE), (form.tone_mapped, TONE_MAP)];
        let steps: Vec<&str> = steps
            .into_iter()
            .filter_map(|(needed, step)| needed.then_some(step))
            .collect();
        let make = || {
            let mut graph = filter::Graph::new();
            // SAFETY: the graph is alive and not configured yet; one plain field is set.
            unsafe { (*graph.as_mut_ptr()).nb_threads = i32::try_from(threads.get()).unwrap_or(1) };
            let source = filter::find("buffer").ok_or(Error::FilterNotFound)?;
            let sink = filter::find("buffersink").ok_or(Error::FilterNotFound)?;
            let format = ffi::AVPixelFormat::from(form.format) as i32;
            // Times are passed on but not used.
            let mut input = format!(
                "video_size={}x{}:pix_fmt={format}:time_base=1/1000",
                form.width, form.height
            );
            // Before, filters ask each frame.
            if cfg!(ffmpeg_7) {
                let space = ffi::AVColorSpace::from(form.space) as i32;
                let range = ffi::AVColorRange::from(form.range) as i32;
                input += &format!(":colorspace={space}:range={range}");
            }
            graph.add(&source, "in", &input)?;
            graph.add(&sink, "out", "")?;
            graph.output("in", 0)?.input("out", 0)?.parse(&steps.join(","))?;
            graph.validate()?;
            Ok(graph)
        };
        let graph = make().map_err(unfiltered)?;
        Ok(Self {
            graph,
            form,
            ended: false,
        })
    }

    fn send(&mut self, frame: frame::Video) -> Result<(), VideoFault> {
        let mut input = self.graph.get("in").ok_or(Error::Bug)?;
        input.source().add(&frame).map_err(unfiltered)
    }

    fn end(&mut self) -> Result<(), VideoFault> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let mut input = self.graph.get("in").ok_or(Error::Bug)?;
        input.source().flush().map_err(unfiltered)
    }

    fn receive(&mut self) -> Result<Received, VideoFault> {
        let mut output = self.graph.get("out").ok_or(Error::Bug)?;
        let mut frame = frame::Video::empty();
        match output.sink().frame(&mut frame) {
            Ok(()) => Ok(Received::Frame(frame)),
            Err(Error::Other { errno: libc::EAGAIN }) => Ok(Received::Nothing),
            Err(Error::Eof) => Ok(Received::End),
            Err(error) => Err(unfiltered(error)),
        }
    }
}

/// Whether a frame is coded by PQ or HLG.
fn is_high_dynamic_range(frame: &frame::Video) -> bool {
    matches!(
        frame.color_transfer_characteristic(),
        TransferCharacteristic::SMPTE2084 | TransferCharacteristic::ARIB_STD_B67
    )
}

/// States what a frame of high dynamic range leaves unsaid, which is always the same.
fn state_colours(frame: &mut frame::Video) {
    if frame.color_primaries() == Primaries::Unspecified {
        frame.set_color_primaries(Primaries::BT2020);
    }
    if frame.color_space() == Space::Unspecified && !is_rgb(frame.format()) {
        frame.set_color_space(Space::BT2020NCL);
    }
    if frame.color_range() == Range::Unspecified && !is_rgb(frame.format()) {
        frame.set_color_range(Range::MPEG);
    }
}

fn unfiltered(error: Error) -> VideoFault {
    match error {
        Error::Other { errno: libc::ENOMEM } => error.into(),
        error => VideoFault::Unfiltered(libav_text(error)),
    }
}
