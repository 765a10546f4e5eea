//! The queue between the threads of a run: batches that fill up, tasks, and permits that bound memory.
//!
//! It is generic in what it carries: `F`, frames that are batched by a key `K`; `C`, face crops that are batched
//! together; `T`, tasks of one of the later steps. Which items meet in a batch is a matter of timing. That changes no
//! number: batches have one size for a network, and a result does not depend on its position in the batch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::run::QueueLengths;

/// How long an item waits for others before it goes in a batch that is not full. Only so that a video is not
/// kept from its end by faces that are rare in all others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sizes of batches and bounds of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Frames in a batch.
    pub frame_batch: usize,
    /// Faces in a batch.
    pub face_batch: usize,
    /// Permits for frames: in memory at most, from reading until tracking.
    pub frames: usize,
    /// Permits for crops that were read as they are: in memory at most, from reading until inference.
    pub crops: usize,
}

/// A step of the work, in the order in which a frame meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Gather frames to a batch and prepare it for the detector.
    BatchFrames,
    /// Run the detector on a prepared batch.
    Detect,
    /// Follow faces from frame to frame and align them.
    Track,
    /// Gather faces to a batch and prepare it for the affect networks.
    BatchFaces,
    /// Run the affect networks on a prepared batch.
    Infer,
    /// Make a video's final columns and write its table.
    Publish,
}

impl Step {
    const COUNT: usize = 6;
}

/// Which steps a thread serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Network passes and nothing else: the one thread that feeds a GPU.
    Network,
    /// Everything but network passes.
    Cpu,
    /// Everything: a worker on the CPU with networks of its own.
    Both,
}

impl Role {
    const ALL: [Role; 3] = [Role::Network, Role::Cpu, Role::Both];

    /// The steps in order of preference: the later ones first, since what is near its end frees most memory.
    pub fn steps(self) -> &'static [Step] {
        match self {
            Role::Network => &[Step::Infer, Step::Detect],
            Role::Cpu => &[Step::Publish, Step::BatchFaces, Step::Track, Step::BatchFrames],
            Role::Both => &[
                Step::Publish,
                Step::Infer,
                Step::BatchFaces,
                Step::Track,
                Step::Detect,
                Step::BatchFrames,
            ],
        }
    }

    fn serves(self, step: Step) -> bool {
        self.steps().contains(&step)
    }
}

/// What a thread does next.
#[derive(Debug)]
pub enum Work<K, F, C, T> {
    /// A batch of frames of one key.
    Frames(K, Vec<F>),
    /// A batch of faces.
    Faces(Vec<C>),
    /// A task of a step that has no batches to fill.
    Task(T),
}

/// What producers bring and workers take.
///
/// A batch that is not full is handed out only when nothing can fill it: every producer has ended or waits for
/// a permit (so that the pipeline cannot deadlock when all permits are taken), and, for faces, no frame is on its
/// way that could show another. Only producers ever wait for a permit.
#[derive(Debug)]
pub struct Queue<K, F, C, T> {
    state: Mutex<State<K, F, C, T>>,
    /// Threads of each role wait for work.
    work: [Condvar; Role::ALL.len()],
    /// Producers wait for permits.
    room: Condvar,
}

#[derive(Debug)]
struct State<K, F, C, T> {
    capacity: Capacity,
    patience: Duration,
    frames: BTreeMap<K, VecDeque<(Instant, F)>>,
    faces: VecDeque<(Instant, C)>,
    tasks: [VecDeque<T>; Step::COUNT],
    permits: [Permits; 2],
    /// Producers that have not ended.
    producers: usize,
    /// Threads of each role that wait for work.
    idle: [usize; Role::ALL.len()],
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Permits {
    all: usize,
    free: usize,
    /// Producers that wait for one.
    waiters: usize,
}

/// What a permit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitKind {
    Frame,
    Crop,
}

/// The right to hold one frame or crop in memory; released when dropped.
pub struct Permit {
    release: Box<dyn Fn() + Send + Sync>,
}

/// A thread that brings frames or crops. When it is dropped, the producer has ended.
pub struct Producer<K: Ord + Copy, F, C, T> {
    queue: Arc<Queue<K, F, C, T>>,
}

/// The producers of a queue.
type Producers<K, F, C, T> = Vec<Producer<K, F, C, T>>;

impl<K, F, C, T> Queue<K, F, C, T>
where
    K: Ord + Copy + Send + 'static,
    F: Send + 'static,
    C: Send + 'static,
    T: Send + 'static,
{
    /// An empty queue, and as many producers for it.
    pub fn new(capacity: Capacity, producers: usize) -> (Arc<Self>, Producers<K, F, C, T>) {
        Self::with_patience(capacity, producers, PATIENCE)
    }

    fn with_patience(
        capacity: Capacity,
        producers: usize,
        patience: Duration,
    ) -> (Arc<Self>, Producers<K, F, C, T>) {
        let permits = |all: usize| Permits {
            all,
            free: all,
            waiters: 0,
        };
        let queue = Arc::new(Self {
            state: Mutex::new(State {
                capacity,
                patience,
                frames: BTreeMap::new(),
                faces: VecDeque::new(),
                tasks: Default::default(),
                permits: [permits(capacity.frames), permits(capacity.crops)],
                producers,
                idle: [0; Role::ALL.len()],
                closed: false,
            }),
            work: Default::default(),
            room: Condvar::new(),
        });
        let producer = |_| Producer {
            queue: Arc::clone(&queue),
        };
        let producers = (0..producers).map(producer).collect();
        (queue, producers)
    }

    /// Waits for work of a role's steps; `None` once the queue is closed.
    pub fn next(&self, role: Role) -> Option<Work<K, F, C, T>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            if let Some(work) = state.take(role, now) {
                self.wake(&state);
                return Some(work);
            }
            state.idle[role as usize] += 1;
            state = match state.impatient_at() {
                // Batches are none of its work.
                None => self.wait(role, state),
                Some(_) if role == Role::Network => self.wait(role, state),
                Some(at) => {
                    let pause = at.saturating_duration_since(now);
                    let woken = self.work[role as usize].wait_timeout(state, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.idle[role as usize] -= 1;
        }
    }

    /// As [`Queue::next`], but `None` also if there is nothing to do now.
    pub fn try_next(&self, role: Role) -> Option<Work<K, F, C, T>> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let work = state.take(role, Instant::now())?;
        self.wake(&state);
        Some(work)
    }

    /// Changes the sizes of batches.
    pub fn set_batches(&self, frames: usize, faces: usize) {
        let mut state = self.state();
        state.capacity.frame_batch = frames;
        state.capacity.face_batch = faces;
        self.wake(&state);
    }

    /// Adds a frame; of a producer, which holds a permit for it.
    pub fn put_frame(&self, key: K, frame: F) {
        self.put(frame, |state, frame| {
            state
                .frames
                .entry(key)
                .or_default()
                .push_back((Instant::now(), frame));
        });
    }

    /// Adds faces.
    pub fn put_faces(&self, faces: Vec<C>) {
        if !faces.is_empty() {
            let now = Instant::now();
            self.put(faces, |state, faces| {
                state.faces.extend(faces.into_iter().map(|face| (now, face)));
            });
        }
    }

    /// Adds a task of a step.
    pub fn put_task(&self, step: Step, task: T) {
        self.put(task, |state, task| state.tasks[step as usize].push_back(task));
    }

    fn put<I>(&self, item: I, add: impl FnOnce(&mut State<K, F, C, T>, I)) {
        let mut state = self.state();
        if state.closed {
            // Dropping the item may release a permit, which needs the lock.
            drop(state);
            return;
        }
        add(&mut state, item);
        self.wake(&state);
    }

    /// Ends the work: all threads that wait are woken, and what waits is dropped.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let left = (
            std::mem::take(&mut state.frames),
            std::mem::take(&mut state.faces),
            std::mem::take(&mut state.tasks),
        );
        drop(state);
        drop(left);
        self.work.iter().for_each(Condvar::notify_all);
        self.room.notify_all();
    }

    /// Frames and faces that wait to be batched.
    pub fn waiting(&self) -> QueueLengths {
        let state = self.state();
        QueueLengths {
            frames: state.frames.values().map(VecDeque::len).sum(),
            faces: state.faces.len(),
        }
    }

    fn wait<'a>(
        &self,
        role: Role,
        state: MutexGuard<'a, State<K, F, C, T>>,
    ) -> MutexGuard<'a, State<K, F, C, T>> {
        let woken = self.work[role as usize].wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, kind: PermitKind) {
        let mut state = self.state();
        state.permits[kind as usize].free += 1;
        // All, since some wait for a frame's permit and some for a crop's.
        self.room.notify_all();
        self.wake(&state);
    }
}

impl<K: Ord + Copy, F, C, T> Queue<K, F, C, T> {
    /// Wakes a thread of each role that has work and idle threads; having taken it, that one wakes the next.
    fn wake(&self, state: &State<K, F, C, T>) {
        let now = Instant::now();
        for role in Role::ALL {
            if state.idle[role as usize] > 0 && state.choose(role, now).is_some() {
                self.work[role as usize].notify_one();
            }
        }
    }

    /// A thread that panicked has left nothing half done here.
    fn state(&self) -> MutexGuard<'_, State<K, F, C, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, F, C, T> Producer<K, F, C, T>
where
    K: Ord + Copy + Send + 'static,
    F: Send + 'static,
    C: Send + 'static,
    T: Send + 'static,
{
    /// Waits until one more frame or crop may be held in memory; `None` once the queue is closed.
    pub fn permit(&self, kind: PermitKind) -> Option<Permit> {
        let mut state = self.queue.state();
        state.permits[kind as usize].waiters += 1;
        while state.permits[kind as usize].free == 0 && !state.closed {
            self.queue.wake(&state);
            let woken = self.queue.room.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let permits = &mut state.permits[kind as usize];
        permits.waiters -= 1;
        if state.closed {
            return None;
        }
        state.permits[kind as usize].free -= 1;
        let queue = Arc::clone(&self.queue);
        Some(Permit {
            release: Box::new(move || queue.release(kind)),
        })
    }
}

impl<K: Ord + Copy, F, C, T> Drop for Producer<K, F, C, T> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.producers -= 1;
        self.queue.wake(&state);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        (self.release)();
    }
}

/// What is to be taken, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice<K> {
    Frames(K, usize),
    Faces(usize),
    Task(Step),
}

impl<K: Ord + Copy, F, C, T> State<K, F, C, T> {
    /// True if producers bring nothing before somebody releases a permit.
    fn nothing_comes(&self) -> bool {
        let stuck = |permits: &Permits| if permits.free == 0 { permits.waiters } else { 0 };
        self.permits.iter().map(stuck).sum::<usize>() == self.producers
    }

    /// The first step of the role that has work; a batch that is not full only if no step has any.
    fn choose(&self, role: Role, now: Instant) -> Option<Choice<K>> {
        let full = role.steps().iter().find_map(|&step| self.choose_full(step));
        full.or_else(|| self.choose_partial(role, now))
    }

    fn choose_full(&self, step: Step) -> Option<Choice<K>> {
        let Capacity {
            frame_batch,
            face_batch,
            ..
        } = self.capacity;
        match step {
            // What is a batch by itself comes first.
            Step::BatchFrames if self.tasks[step as usize].is_empty() => {
                let (key, ..) = self.oldest(frame_batch)?;
                Some(Choice::Frames(key, frame_batch))
            }
            Step::BatchFaces => (self.faces.len() >= face_batch).then_some(Choice::Faces(face_batch)),
            step => (!self.tasks[step as usize].is_empty()).then_some(Choice::Task(step)),
        }
    }

    fn choose_partial(&self, role: Role, now: Instant) -> Option<Choice<K>> {
        let nothing_comes = self.nothing_comes();
        let is_impatient = |since: Instant| now.duration_since(since) >= self.patience;
        if role.serves(Step::BatchFrames)
            && let Some((key, frames, since)) = self.oldest(1)
            && (nothing_comes || is_impatient(since))
        {
            return Some(Choice::Frames(key, frames));
        }
        let (since, _) = self.faces.front().filter(|_| role.serves(Step::BatchFaces))?;
        let frames = &self.permits[PermitKind::Frame as usize];
        let no_frames = frames.free == frames.all;
        ((nothing_comes && no_frames) || is_impatient(*since)).then_some(Choice::Faces(self.faces.len()))
    }

    /// Of the keys with at least so many frames, the one whose first frame has waited longest, its frames and
    /// since when.
    fn oldest(&self, at_least: usize) -> Option<(K, usize, Instant)> {
        let queues = self.frames.iter().filter_map(|(&key, queue)| {
            let (since, _) = queue.front()?;
            (queue.len() >= at_least).then_some((key, queue.len(), *since))
        });
        queues.min_by_key(|&(.., since)| since)
    }

    fn take(&mut self, role: Role, now: Instant) -> Option<Work<K, F, C, T>> {
        match self.choose(role, now)? {
            Choice::Faces(count) => Some(Work::Faces(
                self.faces.drain(..count).map(|(_, face)| face).collect(),
            )),
            Choice::Task(step) => self.tasks[step as usize].pop_front().map(Work::Task),
            Choice::Frames(key, count) => {
                let queue = self.frames.get_mut(&key)?;
                let frames = queue.drain(..count).map(|(_, frame)| frame).collect();
                if queue.is_empty() {
                    self.frames.remove(&key);
                }
                Some(Work::Frames(key, frames))
            }
        }
    }

    /// When something that waits now will have waited too long.
    fn impatient_at(&self) -> Option<Instant> {
        let frames = self.frames.values().filter_map(VecDeque::front);
        let frames = frames.map(|(since, _)| *since);
        let faces = self.faces.front().map(|(since, _)| *since);
        let first = frames.chain(faces).min()?;
        first.checked_add(self.patience)
    }
}

#[cfg(test)]
mod tests;
