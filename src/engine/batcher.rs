//! Frames and faces of all videos on their way to the networks, gathered into full batches.
//!
//! Which of them meet in a batch is a matter of chance. That changes no number: the networks always
//! look at batches of one size, in which each place gives the same answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Face, VideoJob};
use crate::run::QueueLengths;
use crate::video::Frame;

/// How long a frame or a face waits for others before it goes in a batch that is not full. Only so
/// that a video is not kept from its end by faces that are rare in all others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sizes of batches and bounds of memory.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Frames the detector looks at together.
    pub frame_batch: usize,
    /// Faces the affect networks look at together.
    pub face_batch: usize,
    /// Frames in memory at most, from their reading until they are tracked.
    pub frames: usize,
    /// Crops in memory at most, from their reading until they are inferred.
    pub crops: usize,
}

/// Width and height of what the detector sees of a frame: only frames alike in them share a batch.
/// `None` where the detector does not run.
pub type DetectorInput = Option<(u32, u32)>;

/// A frame that was read.
pub struct ReadFrame {
    pub video: Arc<VideoJob>,
    pub frame: Frame,
    pub place: Place,
}

/// What a worker does next.
pub enum Work {
    /// Frames to be looked at together, or one after the other where the detector does not run.
    Frames(DetectorInput, Vec<ReadFrame>),
    /// Faces to be looked at together.
    Faces(Vec<Face>),
}

/// What readers bring and workers take.
///
/// A batch that is not full is handed out only when nothing can fill it: every reader has come to
/// its end or waits for room (so a full house never stands still), and, for faces, no frame is on
/// its way that could show another.
pub struct Batcher {
    state: Mutex<State>,
    /// Workers wait for work.
    work: Condvar,
    /// Readers wait for room.
    room: Condvar,
}

struct State {
    capacity: Capacity,
    patience: Duration,
    frames: BTreeMap<DetectorInput, VecDeque<(Instant, ReadFrame)>>,
    faces: VecDeque<(Instant, Face)>,
    frame_places: Places,
    crop_places: Places,
    /// Readers that have not come to their end.
    readers: usize,
    over: bool,
}

#[derive(Clone, Copy)]
struct Places {
    all: usize,
    free: usize,
    /// Readers that wait for one.
    wanted: usize,
}

/// What a place is for.
#[derive(Debug, Clone, Copy)]
enum Held {
    Frame,
    Crop,
}

/// The right to hold one frame or crop in memory; given back when dropped.
pub struct Place {
    batcher: Arc<Batcher>,
    held: Held,
}

/// A thread that brings frames or crops. When it is dropped, the reader has come to its end.
pub struct Reader(Arc<Batcher>);

impl Batcher {
    /// An empty one, and the places of `readers` readers.
    pub fn new(capacity: Capacity, readers: usize) -> (Arc<Self>, Vec<Reader>) {
        Self::with_patience(capacity, readers, PATIENCE)
    }

    fn with_patience(capacity: Capacity, readers: usize, patience: Duration) -> (Arc<Self>, Vec<Reader>) {
        let places = |all: usize| Places {
            all,
            free: all,
            wanted: 0,
        };
        let batcher = Arc::new(Self {
            state: Mutex::new(State {
                capacity,
                patience,
                frames: BTreeMap::new(),
                faces: VecDeque::new(),
                frame_places: places(capacity.frames),
                crop_places: places(capacity.crops),
                readers,
                over: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
        });
        let readers = (0..readers).map(|_| Reader(Arc::clone(&batcher))).collect();
        (batcher, readers)
    }

    /// Waits for something to do; `None` when the run is over.
    pub fn next(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if state.over {
                return None;
            }
            let now = Instant::now();
            if let Some(work) = state.take(now) {
                self.call_worker(&state);
                return Some(work);
            }
            state = match state.impatient_at() {
                Some(at) => {
                    let pause = at.saturating_duration_since(now);
                    let woken = self.work.wait_timeout(state, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Adds faces.
    pub fn put_faces(&self, faces: Vec<Face>) {
        let mut state = self.state();
        if state.over {
            // Their places are given back, for which the lock must be free.
            drop(state);
            return;
        }
        let now = Instant::now();
        state.faces.extend(faces.into_iter().map(|face| (now, face)));
        self.call_worker(&state);
    }

    /// Ends the run: all threads that wait are told, and what waits is dropped.
    pub fn close(&self) {
        let mut state = self.state();
        state.over = true;
        let left = (
            std::mem::take(&mut state.frames),
            std::mem::take(&mut state.faces),
        );
        drop(state);
        drop(left);
        self.work.notify_all();
        self.room.notify_all();
    }

    /// How much waits for a worker.
    pub fn waiting(&self) -> QueueLengths {
        let state = self.state();
        QueueLengths {
            frames: state.frames.values().map(VecDeque::len).sum(),
            faces: state.faces.len(),
        }
    }

    fn put_frame(&self, frame: ReadFrame, input: DetectorInput) {
        let mut state = self.state();
        if state.over {
            drop(state);
            return;
        }
        let queue = state.frames.entry(input).or_default();
        queue.push_back((Instant::now(), frame));
        self.call_worker(&state);
    }

    /// Wakes a worker if there is work; having taken it, that one wakes the next.
    fn call_worker(&self, state: &State) {
        if state.choose(Instant::now()).is_some() {
            self.work.notify_one();
        }
    }

    /// A thread that panicked has left nothing half done here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Waits until one more frame may be held in memory; `None` when the run is over.
    pub fn frame_place(&self) -> Option<Place> {
        self.place(Held::Frame)
    }

    /// Waits until one more crop may be held in memory; `None` when the run is over.
    pub fn crop_place(&self) -> Option<Place> {
        self.place(Held::Crop)
    }

    /// Adds a frame.
    pub fn put_frame(&self, frame: ReadFrame, input: DetectorInput) {
        self.0.put_frame(frame, input);
    }

    fn place(&self, held: Held) -> Option<Place> {
        let mut state = self.0.state();
        state.places(held).wanted += 1;
        while state.places(held).free == 0 && !state.over {
            self.0.call_worker(&state);
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.places(held).wanted -= 1;
        if state.over {
            return None;
        }
        state.places(held).free -= 1;
        Some(Place {
            batcher: Arc::clone(&self.0),
            held,
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.readers -= 1;
        self.0.call_worker(&state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.batcher.state();
        state.places(self.held).free += 1;
        // All, since some wait for a frame's place and some for a crop's.
        self.batcher.room.notify_all();
        self.batcher.call_worker(&state);
    }
}

/// What is to be taken, and how many.
enum Choice {
    Frames(DetectorInput, usize),
    Faces(usize),
}

impl State {
    fn places(&mut self, held: Held) -> &mut Places {
        match held {
            Held::Frame => &mut self.frame_places,
            Held::Crop => &mut self.crop_places,
        }
    }

    /// True if readers bring nothing before somebody gives back a place.
    fn nothing_comes(&self) -> bool {
        let stuck = |places: &Places| if places.free == 0 { places.wanted } else { 0 };
        stuck(&self.frame_places) + stuck(&self.crop_places) == self.readers
    }

    /// Faces go first, as they hold back no reader once they are done; then the frames that have
    /// waited longest. What makes no full batch goes only if it must.
    fn choose(&self, now: Instant) -> Option<Choice> {
        let Capacity {
            frame_batch,
            face_batch,
            ..
        } = self.capacity;
        if self.faces.len() >= face_batch {
            return Some(Choice::Faces(face_batch));
        }
        let is_full = |input: DetectorInput, frames: usize| frames >= frame_batch || input.is_none();
        if let Some((input, frames, _)) = self.oldest(is_full) {
            return Some(Choice::Frames(input, frames.min(frame_batch)));
        }
        let nothing_comes = self.nothing_comes();
        let is_impatient = |since: Instant| now.duration_since(since) >= self.patience;
        if let Some((input, frames, since)) = self.oldest(|_, _| true)
            && (nothing_comes || is_impatient(since))
        {
            return Some(Choice::Frames(input, frames));
        }
        let (since, _) = self.faces.front()?;
        let no_frames = self.frame_places.free == self.frame_places.all;
        ((nothing_comes && no_frames) || is_impatient(*since)).then_some(Choice::Faces(self.faces.len()))
    }

    /// Of the frames' queues that suit by input and length, the one whose first has waited longest: its
    /// input, its length and since when.
    fn oldest(
        &self,
        suits: impl Fn(DetectorInput, usize) -> bool,
    ) -> Option<(DetectorInput, usize, Instant)> {
        let queues = self.frames.iter().filter_map(|(&input, queue)| {
            let (since, _) = queue.front()?;
            suits(input, queue.len()).then_some((input, queue.len(), *since))
        });
        queues.min_by_key(|&(_, _, since)| since)
    }

    fn take(&mut self, now: Instant) -> Option<Work> {
        match self.choose(now)? {
            Choice::Faces(count) => Some(Work::Faces(
                self.faces.drain(..count).map(|(_, face)| face).collect(),
            )),
            Choice::Frames(input, count) => {
                let queue = self.frames.get_mut(&input)?;
                let frames = queue.drain(..count).map(|(_, frame)| frame).collect();
                if queue.is_empty() {
                    self.frames.remove(&input);
                }
                Some(Work::Frames(input, frames))
            }
        }
    }

    /// When something that waits now will have waited too long.
    fn impatient_at(&self) -> Option<Instant> {
        let frames = self
            .frames
            .values()
            .filter_map(VecDeque::front)
            .map(|(since, _)| *since);
        let faces = self.faces.front().map(|(since, _)| *since);
        frames
            .chain(faces)
            .min()
            .and_then(|since| since.checked_add(self.patience))
    }
}

#[cfg(test)]
mod tests;
