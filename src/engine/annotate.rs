//! `annotate`: the threads of a run from start to end. Readers bring frames of videos, workers turn them into
//! tables. All videos share the workers, so that one long video and many short ones keep every core busy; the
//! number of frames in memory is bounded, however long a video is.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use super::context::{AnnotateOptions, Context, Producer, Queue, Task, Work};
use super::cpu;
use super::network::{self, Passes};
use super::publication::Publication;
use super::queue::Capacity;
use super::threads::{Threads, Worker};
use crate::config::Pipeline;
use crate::model::Feed;
use crate::run::{Event, InputTotals, NetworkTimes, PlannedInput};
use crate::stop::Stop;

/// How often the engine looks for a stop signal.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// How a shard's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every input is published or recorded as failed.
    Complete(InputTotals),
    /// Stopped by a signal; the rest is for another attempt.
    Stopped(InputTotals),
}

/// Annotates `inputs`, publishing a table or a failure for each, and reports to `on_event` what happens.
///
/// # Errors
/// The operating system's, if threads cannot be started.
pub fn annotate(
    inputs: &[PlannedInput],
    pipeline: &Pipeline,
    options: AnnotateOptions,
    threads: Threads,
    publication: &Publication,
    stop: &Stop,
    on_event: &mut dyn FnMut(&Event),
) -> std::io::Result<Outcome> {
    let feed = threads.feed(pipeline);
    let capacity = capacity(&feed, &threads);
    let readers = threads.readers.min(inputs.len());
    let (queue, producers) = Queue::new(capacity, readers);
    let (events, received) = mpsc::channel();
    let context = Context {
        pipeline: Arc::new(pipeline.clone()),
        crop_forms: threads.crop_forms(),
        identity: threads.identity(),
        feed,
        decode_threads: decode_threads(threads.readers, readers),
        options,
        publication,
        queue,
        events,
    };
    let mut totals = InputTotals::default();
    let mut record = |event: Event| {
        totals.count(&event);
        on_event(&event);
        totals.total()
    };
    let next_input = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (context, next_input) = (&context, &next_input);
        // Threads that have started must end, whatever becomes of the others.
        let _close = CloseAtEnd(&context.queue);
        for (number, producer) in producers.into_iter().enumerate() {
            start(scope, format!("reader {number}"), move || {
                read_inputs(context, producer, inputs, next_input, stop)
            })?;
        }
        for (number, worker) in threads.workers.into_iter().enumerate() {
            let name = format!("{} {number}", worker.name());
            start(scope, name, move || work(context, &worker))?;
        }
        let mut finished = 0;
        while finished < inputs.len() as u64 && !stop.asked() {
            match received.recv_timeout(STOP_CHECK) {
                Ok(event) => finished = record(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        std::io::Result::Ok(())
    })?;
    // Events of threads that ended after the queue was closed.
    for event in received.try_iter() {
        record(event);
    }
    Ok(if totals.total() < inputs.len() as u64 {
        Outcome::Stopped(totals)
    } else {
        Outcome::Complete(totals)
    })
}

/// Frames that count as a batch in memory at least: those between two looks at the whole picture wait for the first.
const LEAST_FRAMES: usize = 4;

/// Batches that may be in memory for each thread that runs networks: one in work, one ready; beside a thread that only
/// runs networks also one in flight and one that fills up.
fn capacity(feed: &Feed, threads: &Threads) -> Capacity {
    let batches = threads.workers.iter().map(|worker| match worker {
        Worker::Network(_) => 4,
        Worker::Both(_) => 2,
        Worker::Cpu => 0,
    });
    let batches = batches.sum::<usize>().max(1);
    Capacity {
        frame_batch: feed.frame_batch(),
        face_batch: feed.face_batch(),
        frames: batches * feed.frame_batch().max(LEAST_FRAMES),
        crops: batches * feed.face_batch(),
    }
}

/// Threads that decode each video: more than one where there are fewer videos than threads to read them.
fn decode_threads(threads: usize, readers: usize) -> NonZeroU32 {
    const MOST: usize = 16;
    let share = (threads / readers.max(1)).clamp(1, MOST);
    NonZeroU32::new(share as u32).unwrap_or(NonZeroU32::MIN)
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    run: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    Builder::new().name(name).spawn_scoped(scope, run).map(drop)
}

/// Closes the queue when it is dropped.
struct CloseAtEnd<'a>(&'a Queue);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reads inputs until none is left.
fn read_inputs(
    context: &Context,
    producer: Producer,
    inputs: &[PlannedInput],
    next_input: &AtomicUsize,
    stop: &Stop,
) {
    while !stop.asked() {
        let Some(input) = inputs.get(next_input.fetch_add(1, Ordering::Relaxed)) else {
            return;
        };
        cpu::read(context, &producer, input);
    }
}

/// Does what there is to do of the worker's steps until the run is over.
fn work(context: &Context, worker: &Worker) {
    // On the CPU the workers are the parallelism; threads below them only wait for each other.
    tch::set_num_threads(1);
    let Some(networks) = worker.networks() else {
        while let Some(work) = context.queue.next(worker.role()) {
            cpu::work(context, work);
        }
        return;
    };
    let began = Instant::now();
    if let Some(device) = worker.cuda_device() {
        network::start_device(context, networks, device);
    }
    let start = began.elapsed();
    let mut idle = Duration::ZERO;
    let mut passes = Passes::new(context, networks, matches!(worker, Worker::Network(_)));
    loop {
        let asked = Instant::now();
        let work = match passes.in_flight() {
            true => context.queue.try_next(worker.role()),
            false => context.queue.next(worker.role()),
        };
        idle += asked.elapsed();
        match work {
            Some(Work::Task(Task::Detect(pass))) => passes.detect(pass),
            Some(Work::Task(Task::Infer(pass))) => passes.infer(pass),
            Some(work) => cpu::work(context, work),
            None if passes.in_flight() => passes.finish(),
            None => break,
        }
    }
    let (submit, wait) = passes.times();
    let other = began.elapsed().saturating_sub(start + idle + submit + wait);
    let [idle, start, submit, wait, other] =
        [idle, start, submit, wait, other].map(|time| time.as_secs_f64());
    let times = NetworkTimes {
        idle,
        start,
        submit,
        wait,
        other,
    };
    context.send(Event::NetworksEnded { times });
}
