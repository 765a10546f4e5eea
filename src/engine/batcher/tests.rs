use super::*;
use crate::engine::job::tests::video;
use crate::engine::timeline::Timeline;
use crate::face::PersonId;
use crate::frame::{FrameIndex, Picture};
use crate::model::AlignedFace;
use crate::table::Sighting;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No test may hang on it, and none may pass by it.
const FOR_EVER: Duration = Duration::from_secs(3600);
const CAPACITY: Capacity = Capacity {
    frame_batch: 4,
    face_batch: 3,
    frames: 8,
    crops: 6,
};
const LARGE: DetectorInput = Some((64, 48));
const SMALL: DetectorInput = Some((32, 32));

fn crop() -> AlignedFace {
    AlignedFace::new(Picture::black(AlignedFace::SIDE, AlignedFace::SIDE)).unwrap()
}

fn face(video: &Arc<VideoJob>) -> Face {
    let mut timeline = Timeline::default();
    timeline.push_frame(FrameIndex::FIRST, None, false);
    Face {
        video: Arc::clone(video),
        slot: timeline.push_face(PersonId(0), Sighting::Crop),
        crop: crop(),
        place: None,
    }
}

fn bring(reader: &Reader, video: &Arc<VideoJob>, input: DetectorInput) {
    let frame = Frame {
        index: FrameIndex::FIRST,
        time_s: None,
        picture: Picture::black(1, 1),
    };
    let place = reader.frame_place().unwrap();
    let video = Arc::clone(video);
    reader.put_frame(ReadFrame { video, frame, place }, input);
}

fn take(batcher: &Batcher) -> Option<Work> {
    batcher.state().take(Instant::now())
}

fn frames(work: Option<Work>) -> (DetectorInput, Vec<ReadFrame>) {
    match work {
        Some(Work::Frames(input, frames)) => (input, frames),
        Some(Work::Faces(faces)) => panic!("{} faces", faces.len()),
        None => panic!("nothing to do"),
    }
}

#[test]
fn frames_alike_in_size_fill_a_batch_whatever_their_video() {
    let (batcher, readers) = Batcher::with_patience(CAPACITY, 2, FOR_EVER);
    let videos = ["a", "b"].map(video);
    for at in [0, 1, 0] {
        bring(&readers[at], &videos[at], LARGE);
    }
    bring(&readers[1], &videos[1], SMALL);
    assert!(take(&batcher).is_none(), "three and one make no four");
    bring(&readers[1], &videos[1], LARGE);
    let (input, full) = frames(take(&batcher));
    assert_eq!((input, full.len()), (LARGE, 4));
    bring(&readers[0], &videos[0], None);
    let (input, unseen) = frames(take(&batcher));
    assert_eq!((input, unseen.len()), (None, 1), "no network, no batch to fill");
    assert!(take(&batcher).is_none());
    drop(readers);
    let (input, rest) = frames(take(&batcher));
    assert_eq!((input, rest.len()), (SMALL, 1));
}

#[test]
fn faces_wait_until_no_frame_can_show_another() {
    let (batcher, mut readers) = Batcher::with_patience(CAPACITY, 1, FOR_EVER);
    let video = video("a");
    let reader = readers.pop().unwrap();
    bring(&reader, &video, LARGE);
    batcher.put_faces(vec![face(&video), face(&video)]);
    drop(reader);
    let (_, in_work) = frames(take(&batcher));
    assert!(take(&batcher).is_none(), "a frame is on its way");
    drop(in_work);
    assert!(matches!(take(&batcher), Some(Work::Faces(faces)) if faces.len() == 2));
    batcher.put_faces((0..4).map(|_| face(&video)).collect());
    assert!(matches!(take(&batcher), Some(Work::Faces(faces)) if faces.len() == 3));
}

#[test]
fn nobody_waits_for_ever() {
    let soon = Duration::from_millis(20);
    let (batcher, readers) = Batcher::with_patience(CAPACITY, 1, soon);
    let video = video("a");
    bring(&readers[0], &video, LARGE);
    batcher.put_faces(vec![face(&video)]);
    let works = [batcher.next(), batcher.next()];
    assert!(matches!(&works[0], Some(Work::Frames(..))));
    assert!(matches!(&works[1], Some(Work::Faces(..))));
}

/// Else thousands of short folders would all be read before the first is inferred.
#[test]
fn crops_hold_their_places_until_they_are_inferred() {
    let capacity = Capacity { crops: 2, ..CAPACITY };
    let (batcher, readers) = Batcher::with_patience(capacity, 1, FOR_EVER);
    let video = video("341");
    for _ in 0..2 {
        let place = readers[0].crop_place().unwrap();
        let face = video.crop_read(FrameIndex::FIRST, Some(crop()), place);
        batcher.put_faces(face.into_iter().collect());
    }
    std::thread::scope(|scope| {
        let third = scope.spawn(|| readers[0].crop_place().is_some());
        // Two make no batch, but the only reader waits for one of their places.
        let Some(Work::Faces(faces)) = batcher.next() else {
            panic!("no faces")
        };
        assert!(faces.len() == 2 && !third.is_finished());
        video.faces_inferred(faces, vec![]);
        assert!(third.join().unwrap());
    });
}

#[test]
fn the_end_wakes_all_and_drops_what_waits() {
    let (batcher, readers) = Batcher::with_patience(CAPACITY, 1, FOR_EVER);
    let video = video("a");
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while let Some(place) = readers[0].frame_place() {
                // Held for ever.
                std::mem::forget(place);
            }
        });
        let working = scope.spawn(|| batcher.next().is_none());
        batcher.put_faces(vec![face(&video)]);
        std::thread::sleep(Duration::from_millis(20));
        batcher.close();
        reading.join().unwrap();
        working.join().unwrap();
    });
    batcher.put_faces(vec![face(&video)]);
    assert_eq!(batcher.waiting(), QueueLengths::default());
    assert_eq!(Arc::strong_count(&video), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the videos and however few the places: all that is read is worked on, and nobody
    /// stands still.
    #[test]
    fn nothing_is_lost_and_nothing_stands_still(
        videos in proptest::collection::vec((0u32..5, 0usize..20), 1..12),
        readers in 1usize..4,
        workers in 1usize..4,
        frame_batch in 1usize..5,
        face_batch in 1usize..7,
        places in 1usize..10,
    ) {
        let capacity = Capacity { frame_batch, face_batch, frames: places, crops: places };
        let (batcher, readers) = Batcher::with_patience(capacity, readers, FOR_EVER);
        let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (looked_at, faces_seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: usize = videos.iter().map(|(_, frames)| frames).sum();
        std::thread::scope(|scope| {
            for reader in readers {
                scope.spawn(|| {
                    let reader = reader;
                    while let Some(&(size, frames)) = videos.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let video = video("v");
                        for _ in 0..frames {
                            bring(&reader, &video, (size > 0).then_some((size, size)));
                        }
                    }
                });
            }
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(work) = batcher.next() {
                        match work {
                            Work::Frames(input, frames) => {
                                assert!(input.is_none() || frames.len() <= frame_batch);
                                looked_at.fetch_add(frames.len(), Ordering::Relaxed);
                                for read in frames {
                                    batcher.put_faces(vec![face(&read.video)]);
                                }
                            }
                            Work::Faces(faces) => {
                                assert!(faces.len() <= face_batch);
                                faces_seen.fetch_add(faces.len(), Ordering::Relaxed);
                            }
                        }
                        let done = looked_at.load(Ordering::Relaxed) == all
                            && faces_seen.load(Ordering::Relaxed) == all;
                        if done {
                            ended.fetch_add(1, Ordering::Relaxed);
                            batcher.close();
                        }
                    }
                });
            }
            if all == 0 {
                batcher.close();
            }
        });
        prop_assert_eq!(faces_seen.into_inner(), all);
    }
}
