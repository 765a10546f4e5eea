//! Leave-one-out: how the pooled score changes without each video.

use super::{Scores, TaskTallies};

/// The effect of one video on a pooled score.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOutVideo {
    /// Its index in the list of videos.
    pub video: usize,
    /// The pooled score without the video, minus the pooled score; positive for a video that lowers it.
    pub cost: f64,
    /// Its own scores. They scatter much: a short video has few classes and
    /// nearly constant labels.
    pub own: Scores,
}

/// Leaves out each video in turn. Returns all videos, those that lower the score most first. `videos`: the tallies of
/// one mask, one for each video; `score`: such as `|scores| scores.p`.
pub fn leave_one_out(videos: &[TaskTallies], score: impl Fn(&Scores) -> f64) -> Vec<LeftOutVideo> {
    let pooled = score(&TaskTallies::merged(videos).scores());
    // Merging the tallies before and after each video takes 2 n merges, not n^2.
    let mut after = vec![TaskTallies::default(); videos.len()];
    for video in (1..videos.len()).rev() {
        after[video - 1] = TaskTallies::merged([&videos[video], &after[video]]);
    }
    let mut before = TaskTallies::default();
    let mut costs: Vec<LeftOutVideo> = Vec::with_capacity(videos.len());
    for (video, tally) in videos.iter().enumerate() {
        let others = TaskTallies::merged([&before, &after[video]]);
        costs.push(LeftOutVideo {
            video,
            cost: score(&others.scores()) - pooled,
            own: tally.scores(),
        });
        before.merge(tally);
    }
    costs.sort_by(|a, b| b.cost.total_cmp(&a.cost));
    costs
}
