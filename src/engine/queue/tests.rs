use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

/// No test may hang on it, and none may pass by it.
const FOR_EVER: Duration = Duration::from_secs(3600);
const CAPACITY: Capacity = Capacity {
    frame_batch: 4,
    face_batch: 3,
    frames: 8,
    crops: 6,
};
const LARGE: u32 = 640;
const SMALL: u32 = 320;

/// Frames are their permits, faces may hold one, tasks are frames after detection.
type TestQueue = Queue<u32, Permit, Option<Permit>, Vec<Permit>>;
type TestProducer = Producer<u32, Permit, Option<Permit>, Vec<Permit>>;
type TestWork = Work<u32, Permit, Option<Permit>, Vec<Permit>>;

fn bring(producer: &TestProducer, key: u32) {
    let permit = producer.permit(PermitKind::Frame).unwrap();
    producer.queue.put_frame(key, permit);
}

fn take(queue: &TestQueue, role: Role) -> Option<TestWork> {
    queue.state().take(role, Instant::now())
}

fn frames(work: Option<TestWork>) -> (u32, Vec<Permit>) {
    match work {
        Some(Work::Frames(key, frames)) => (key, frames),
        Some(Work::Faces(faces)) => panic!("{} faces", faces.len()),
        Some(Work::Task(_)) => panic!("a task"),
        None => panic!("nothing to do"),
    }
}

#[test]
fn frames_of_one_key_fill_a_batch_whoever_brings_them() {
    let (queue, producers) = TestQueue::with_patience(CAPACITY, 2, FOR_EVER);
    for at in [0, 1, 0] {
        bring(&producers[at], LARGE);
    }
    bring(&producers[1], SMALL);
    assert!(take(&queue, Role::Both).is_none(), "three and one make no four");
    bring(&producers[1], LARGE);
    assert!(take(&queue, Role::Network).is_none(), "no work of that role");
    let (key, full) = frames(take(&queue, Role::Cpu));
    assert_eq!((key, full.len()), (LARGE, 4));
    assert!(take(&queue, Role::Both).is_none());
    drop(producers);
    let (key, rest) = frames(take(&queue, Role::Both));
    assert_eq!((key, rest.len()), (SMALL, 1));
}

#[test]
fn faces_wait_until_no_frame_can_show_another() {
    let (queue, mut producers) = TestQueue::with_patience(CAPACITY, 1, FOR_EVER);
    let producer = producers.pop().unwrap();
    bring(&producer, LARGE);
    queue.put_faces(vec![None, None]);
    drop(producer);
    let (_, in_work) = frames(take(&queue, Role::Both));
    assert!(take(&queue, Role::Both).is_none(), "a frame is on its way");
    drop(in_work);
    assert!(matches!(take(&queue, Role::Both), Some(Work::Faces(faces)) if faces.len() == 2));
    queue.put_faces((0..4).map(|_| None).collect());
    assert!(matches!(take(&queue, Role::Both), Some(Work::Faces(faces)) if faces.len() == 3));
}

#[test]
fn nothing_waits_for_ever() {
    let soon = Duration::from_millis(20);
    let (queue, producers) = TestQueue::with_patience(CAPACITY, 1, soon);
    bring(&producers[0], LARGE);
    queue.put_faces(vec![None]);
    let works = [queue.next(Role::Cpu), queue.next(Role::Cpu)];
    assert!(matches!(&works[0], Some(Work::Frames(..))));
    assert!(matches!(&works[1], Some(Work::Faces(..))));
}

/// Else thousands of short folders would all be read before the first is inferred.
#[test]
fn crops_hold_their_permits_until_they_are_inferred() {
    let capacity = Capacity { crops: 2, ..CAPACITY };
    let (queue, producers) = TestQueue::with_patience(capacity, 1, FOR_EVER);
    for _ in 0..2 {
        queue.put_faces(vec![producers[0].permit(PermitKind::Crop)]);
    }
    std::thread::scope(|scope| {
        let third = scope.spawn(|| producers[0].permit(PermitKind::Crop).is_some());
        // Two make no batch, but the only producer waits for one of their permits.
        let Some(Work::Faces(faces)) = queue.next(Role::Both) else {
            panic!("no faces")
        };
        assert!(faces.len() == 2 && !third.is_finished());
        drop(faces);
        assert!(third.join().unwrap());
    });
}

#[test]
fn later_steps_go_first_and_each_role_has_its_own() {
    let (queue, _producers) = TestQueue::with_patience(CAPACITY, 1, FOR_EVER);
    for step in [Step::Detect, Step::Track, Step::Infer, Step::Publish] {
        queue.put_task(step, Vec::with_capacity(step as usize));
    }
    let mut order = Vec::new();
    while let Some(Work::Task(task)) = take(&queue, Role::Both) {
        order.push(task.capacity());
    }
    assert_eq!(order, [5, 4, 2, 1]);
    for role in [Role::Network, Role::Cpu] {
        for &step in role.steps() {
            assert!(role.serves(step) && Role::Both.serves(step));
        }
    }
    assert!(Role::Network.steps().iter().all(|&step| !Role::Cpu.serves(step)));
}

#[test]
fn closing_wakes_all_and_drops_what_waits() {
    let (queue, producers) = TestQueue::with_patience(CAPACITY, 1, FOR_EVER);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut held = Vec::new();
            while let Some(permit) = producers[0].permit(PermitKind::Frame) {
                held.push(permit);
            }
            held.len()
        });
        let working: Vec<_> = Role::ALL
            .map(|role| {
                scope.spawn({
                    let queue = &queue;
                    move || while queue.next(role).is_some() {}
                })
            })
            .into();
        queue.put_faces(vec![producers[0].permit(PermitKind::Crop)]);
        std::thread::sleep(Duration::from_millis(20));
        queue.close();
        assert_eq!(reading.join().unwrap(), CAPACITY.frames);
        working.into_iter().for_each(|thread| thread.join().unwrap());
    });
    queue.put_faces(vec![None]);
    assert_eq!(queue.waiting(), QueueLengths::default());
    assert_eq!(
        queue.state().permits[PermitKind::Crop as usize].free,
        CAPACITY.crops
    );
}

/// One step of a random schedule.
#[derive(Debug, Clone)]
enum Move {
    /// A producer that is neither stuck nor at its end brings a frame of this key, or waits for a permit.
    Bring(usize, u32),
    End(usize),
    /// A thread of this role takes work.
    Take(usize),
    /// Work in hand (by its order) is finished; frames become tasks or faces.
    Finish(usize, usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0usize..3, 0u32..3).prop_map(|(producer, key)| Move::Bring(producer, key)),
        1 => (0usize..3).prop_map(Move::End),
        4 => (0usize..3).prop_map(Move::Take),
        4 => (0usize..4, 0usize..3).prop_map(|(work, faces)| Move::Finish(work, faces)),
    ];
    proptest::collection::vec(one, 0..200)
}

/// The queue beside a plain model of it: what is read, waits and is in hand.
struct Model {
    queue: Arc<TestQueue>,
    producers: Vec<Option<TestProducer>>,
    /// Producers that wait for a permit.
    stuck: Vec<bool>,
    in_hand: VecDeque<TestWork>,
}

impl Model {
    fn new(capacity: Capacity) -> Self {
        let (queue, producers) = TestQueue::with_patience(capacity, 3, FOR_EVER);
        Self {
            queue,
            producers: producers.into_iter().map(Some).collect(),
            stuck: vec![false; 3],
            in_hand: VecDeque::new(),
        }
    }

    fn free(&self) -> usize {
        self.queue.state().permits[PermitKind::Frame as usize].free
    }

    fn bring(&mut self, at: usize, key: u32) {
        let Some(producer) = &self.producers[at] else {
            return;
        };
        if self.free() > 0 {
            if std::mem::take(&mut self.stuck[at]) {
                self.queue.state().permits[PermitKind::Frame as usize].waiters -= 1;
            }
            bring(producer, key);
        } else if !std::mem::replace(&mut self.stuck[at], true) {
            // What a thread does that waits, without the thread.
            self.queue.state().permits[PermitKind::Frame as usize].waiters += 1;
        }
    }

    fn end(&mut self, at: usize) {
        if !self.stuck[at] {
            self.producers[at] = None;
        }
    }

    fn nothing_comes(&self) -> bool {
        let waits = |at: usize| self.stuck[at] && self.free() == 0;
        (0..3).all(|at| self.producers[at].is_none() || waits(at))
    }

    /// Takes work and holds the rule on partial batches.
    fn take(&mut self, role: Role) -> bool {
        let capacity = self.queue.state().capacity;
        let frames_held = capacity.frames - self.free();
        let nothing_comes = self.nothing_comes();
        let Some(work) = take(&self.queue, role) else {
            return false;
        };
        match &work {
            Work::Frames(_, frames) => {
                assert!(
                    frames.len() == capacity.frame_batch || nothing_comes,
                    "partial frames"
                );
                assert!(frames.len() <= capacity.frame_batch);
            }
            Work::Faces(faces) => {
                let full = faces.len() == capacity.face_batch;
                assert!(full || (nothing_comes && frames_held == 0), "partial faces");
                assert!(faces.len() <= capacity.face_batch);
            }
            Work::Task(_) => {}
        }
        self.in_hand.push_back(work);
        true
    }

    fn finish(&mut self, at: usize, faces: usize) {
        match self.in_hand.remove(at) {
            Some(Work::Frames(_, frames)) => self.queue.put_task(Step::Detect, frames),
            Some(Work::Task(frames)) => {
                self.queue
                    .put_faces((0..faces * frames.len()).map(|_| None).collect());
                drop(frames);
            }
            Some(Work::Faces(_)) | None => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any order of events: a batch that is not full is handed out only when nothing can fill it, and whenever
    /// all threads are idle and producers can bring nothing, there is work as long as anything is left.
    #[test]
    fn partial_batches_go_only_if_nothing_can_fill_them(
        moves in moves(),
        frame_batch in 1usize..5,
        face_batch in 1usize..6,
        permits in 1usize..9,
    ) {
        let capacity = Capacity { frame_batch, face_batch, frames: permits, crops: permits };
        let mut model = Model::new(capacity);
        for one in moves {
            match one {
                Move::Bring(at, key) => model.bring(at, key),
                Move::End(at) => model.end(at),
                Move::Take(role) => { model.take(Role::ALL[role]); }
                Move::Finish(at, faces) => model.finish(at, faces),
            }
        }
        // From here on nothing new comes; one thread of each role works until there is nothing to do.
        loop {
            for at in 0..3 {
                if model.stuck[at] && model.free() > 0 {
                    model.bring(at, 0);
                }
                model.end(at);
            }
            let taken = [Role::Network, Role::Cpu].map(|role| model.take(role));
            let finished = !model.in_hand.is_empty();
            while !model.in_hand.is_empty() {
                model.finish(0, 1);
            }
            if taken == [false; 2] && !finished {
                break;
            }
        }
        prop_assert!(model.producers.iter().all(Option::is_none), "a producer waits for ever");
        let state = model.queue.state();
        prop_assert!(state.frames.is_empty() && state.faces.is_empty());
        prop_assert!(state.tasks.iter().all(VecDeque::is_empty));
        prop_assert_eq!(state.permits[PermitKind::Frame as usize].free, permits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With real threads, however few the permits: all that is read is worked on, and no thread waits for ever.
    #[test]
    fn nothing_is_lost_and_nothing_stands_still(
        videos in proptest::collection::vec((0u32..5, 0usize..20), 1..12),
        producers in 1usize..4,
        network in proptest::bool::ANY,
        workers in 1usize..4,
        frame_batch in 1usize..5,
        face_batch in 1usize..7,
        permits in 1usize..10,
    ) {
        let capacity = Capacity { frame_batch, face_batch, frames: permits, crops: permits };
        let (queue, producers) = TestQueue::with_patience(capacity, producers, FOR_EVER);
        let next = AtomicUsize::new(0);
        let (detected, inferred) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: usize = videos.iter().map(|(_, frames)| frames).sum();
        let mut roles = vec![if network { Role::Cpu } else { Role::Both }; workers];
        roles.extend(network.then_some(Role::Network));
        std::thread::scope(|scope| {
            for producer in producers {
                let (videos, next) = (&videos, &next);
                scope.spawn(move || {
                    while let Some(&(size, frames)) = videos.get(next.fetch_add(1, Ordering::Relaxed)) {
                        (0..frames).for_each(|_| bring(&producer, size));
                    }
                });
            }
            for role in roles {
                let (queue, detected, inferred) = (&queue, &detected, &inferred);
                scope.spawn(move || {
                    while let Some(work) = queue.next(role) {
                        match work {
                            Work::Frames(_, frames) => {
                                assert!(frames.len() <= frame_batch);
                                queue.put_task(Step::Detect, frames);
                            }
                            Work::Task(frames) => {
                                detected.fetch_add(frames.len(), Ordering::Relaxed);
                                queue.put_faces(frames.iter().map(|_| None).collect());
                            }
                            Work::Faces(faces) => {
                                assert!(faces.len() <= face_batch);
                                inferred.fetch_add(faces.len(), Ordering::Relaxed);
                            }
                        }
                        let done = [detected, inferred].map(|count| count.load(Ordering::Relaxed));
                        if done == [all, all] {
                            queue.close();
                        }
                    }
                });
            }
            if all == 0 {
                queue.close();
            }
        });
        prop_assert_eq!(inferred.into_inner(), all);
    }
}
