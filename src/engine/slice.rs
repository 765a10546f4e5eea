//! What a batch has of one video.

use std::sync::Arc;

use super::video::VideoState;

/// Items of one video.
pub struct Slice<T> {
    pub video: Arc<VideoState>,
    pub items: Vec<T>,
}

/// A batch cut into slices, in the order in which their videos first come in it; items of videos that have
/// failed are left out.
pub fn slices<T>(batch: Vec<T>, video: impl Fn(&T) -> &Arc<VideoState>) -> Vec<Slice<T>> {
    let mut slices: Vec<Slice<T>> = Vec::new();
    for item in batch {
        let of = video(&item);
        if of.has_failed() {
            continue;
        }
        match slices.iter_mut().find(|slice| Arc::ptr_eq(&slice.video, of)) {
            Some(slice) => slice.items.push(item),
            None => slices.push(Slice {
                video: Arc::clone(of),
                items: vec![item],
            }),
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::video::tests::video;
    use crate::run::Stage;

    #[test]
    fn items_of_failed_videos_are_left_out() {
        let videos = ["a", "b", "c"].map(video);
        videos[0].fail(Stage::Detect, "broken".to_owned());
        let batch = [0, 1, 2, 0, 1].map(|of: usize| (Arc::clone(&videos[of]), of));
        let slices = slices(batch.into(), |(video, _)| video);
        let numbers = |slice: &Slice<(Arc<VideoState>, usize)>| -> Vec<usize> {
            slice.items.iter().map(|(_, of)| *of).collect()
        };
        assert_eq!(
            slices.iter().map(numbers).collect::<Vec<_>>(),
            [vec![1, 1], vec![2]]
        );
    }
}
