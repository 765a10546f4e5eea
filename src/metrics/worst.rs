//! Where a score is lost: what each video costs.

use super::{Scores, TaskTallies};

/// What one video does to a pooled score.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoCost {
    /// Its place in the list.
    pub video: usize,
    /// By how much the pooled score would rise without it; negative for a video that helps.
    pub cost: f64,
    /// Its own scores. They scatter much: a short video has few classes and
    /// nearly constant labels.
    pub own: Scores,
}

/// All videos, the most costly first; the tallies of one mask, one a video; `score` such as
/// `|scores| scores.p`.
pub fn worst_first(videos: &[TaskTallies], score: impl Fn(&Scores) -> f64) -> Vec<VideoCost> {
    let pooled = score(&TaskTallies::merged(videos).scores());
    // Leaving out one of n by merging what stands before and after it takes 2 n merges, not n^2.
    let mut after = vec![TaskTallies::default(); videos.len()];
    for video in (1..videos.len()).rev() {
        after[video - 1] = TaskTallies::merged([&videos[video], &after[video]]);
    }
    let mut before = TaskTallies::default();
    let mut costs: Vec<VideoCost> = Vec::with_capacity(videos.len());
    for (video, tally) in videos.iter().enumerate() {
        let others = TaskTallies::merged([&before, &after[video]]);
        costs.push(VideoCost {
            video,
            cost: score(&others.scores()) - pooled,
            own: tally.scores(),
        });
        before.merge(tally);
    }
    costs.sort_by(|a, b| b.cost.total_cmp(&a.cost));
    costs
}
