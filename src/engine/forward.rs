//! A batch of several videos before a network: whose time it takes, whose failure it is.

use std::sync::Arc;
use std::time::Instant;

use super::job::VideoJob;
use crate::run::Stage;

/// What a batch has of one video.
pub struct Part<T> {
    pub video: Arc<VideoJob>,
    pub items: Vec<T>,
}

/// A batch by video, in the order in which they come in it; what is of failed videos is left out.
pub fn parts<T>(batch: Vec<T>, video: impl Fn(&T) -> &Arc<VideoJob>) -> Vec<Part<T>> {
    let mut parts: Vec<Part<T>> = Vec::new();
    for item in batch {
        let of = video(&item);
        if of.has_failed() {
            continue;
        }
        match parts.iter_mut().find(|part| Arc::ptr_eq(&part.video, of)) {
            Some(part) => part.items.push(item),
            None => parts.push(Part {
                video: Arc::clone(of),
                items: vec![item],
            }),
        }
    }
    parts
}

/// Lets a network look at all parts at once and gives what it says of each; `network` answers for each
/// item in order. Its time is counted to the videos by their shares.
///
/// Where it fails, it looks at each part alone, so that no video fails by the company it is in.
pub fn forward<T, R>(
    stage: Stage,
    parts: &[Part<T>],
    network: impl Fn(&[&T]) -> Result<Vec<R>, String>,
) -> Vec<Result<Vec<R>, String>> {
    let look = |parts: &[Part<T>]| {
        let items: Vec<&T> = parts.iter().flat_map(|part| &part.items).collect();
        let start = Instant::now();
        let said = network(&items);
        let share = start.elapsed().div_f64(items.len().max(1) as f64);
        for part in parts {
            part.video
                .clock
                .add(stage, share.mul_f64(part.items.len() as f64));
        }
        said
    };
    match parts {
        [] => Vec::new(),
        [only] => vec![look(std::slice::from_ref(only))],
        several => match look(several) {
            Ok(said) => {
                let mut said = said.into_iter();
                let of_part = |part: &Part<T>| Ok(said.by_ref().take(part.items.len()).collect());
                several.iter().map(of_part).collect()
            }
            Err(_) => several
                .iter()
                .map(|part| look(std::slice::from_ref(part)))
                .collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::tests::video;

    #[test]
    fn a_video_fails_by_itself_only() {
        let videos = ["a", "b", "c"].map(video);
        let batch = [(0, 1), (1, 2), (0, 3), (2, 4), (1, -5), (2, 6)];
        let batch = batch.map(|(of, number): (usize, i32)| (Arc::clone(&videos[of]), number));
        let parts = parts(batch.into(), |(video, _)| video);
        let looks = std::cell::RefCell::new(Vec::new());
        let said = forward(Stage::Infer, &parts, |items: &[&(Arc<VideoJob>, i32)]| {
            looks.borrow_mut().push(items.len());
            match items.iter().any(|(_, number)| *number < 0) {
                true => Err("below zero".to_owned()),
                false => Ok(items.iter().map(|(_, number)| 10 * number).collect()),
            }
        });
        assert_eq!(
            said,
            [Ok(vec![10, 30]), Err("below zero".to_owned()), Ok(vec![40, 60])]
        );
        assert_eq!(*looks.borrow(), [6, 2, 2, 2]);
        for video in &videos {
            assert!(video.clock.seconds().contains_key("infer"));
        }
    }

    #[test]
    fn what_failed_before_is_left_out() {
        let videos = ["a", "b"].map(video);
        videos[0].fail(Stage::Detect, "broken");
        let parts = parts(
            [0, 1, 0, 1, 0].map(|of| Arc::clone(&videos[of])).into(),
            |video| video,
        );
        assert_eq!(parts.len(), 1);
        assert!(Arc::ptr_eq(&parts[0].video, &videos[1]) && parts[0].items.len() == 2);
    }
}
