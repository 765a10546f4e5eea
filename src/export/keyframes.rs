//! Chooses key frames between which straight lines approximate a curve.

use std::collections::BTreeSet;

/// Returns the frames among `points` (ascending) to keep, so that straight lines between them differ from no number of
/// the others by more than its tolerance. The first and the last are kept. (Ramer 1972, Douglas and Peucker 1973, with the distance
/// taken at equal times.)
pub fn keyframes<const N: usize>(points: &[(usize, [f32; N])], tolerance: [f32; N]) -> BTreeSet<usize> {
    let mut kept = BTreeSet::new();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return kept;
    };
    kept.extend([first.0, last.0]);
    let mut stretches = vec![(0, points.len() - 1)];
    while let Some((from, to)) = stretches.pop() {
        let worst = (from + 1..to)
            .map(|at| (at, miss(points[from], points[to], points[at], tolerance)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, miss)) = worst
            && miss > 1.0
        {
            kept.insert(points[at].0);
            stretches.extend([(from, at), (at, to)]);
        }
    }
    kept
}

/// Returns the largest difference of a point from the line between two others, in tolerances.
fn miss<const N: usize>(
    from: (usize, [f32; N]),
    to: (usize, [f32; N]),
    point: (usize, [f32; N]),
    tolerance: [f32; N],
) -> f32 {
    let way = (point.0 - from.0) as f32 / (to.0 - from.0) as f32;
    (0..N)
        .map(|nth| {
            let drawn = from.1[nth] + (to.1[nth] - from.1[nth]) * way;
            (drawn - point.1[nth]).abs() / tolerance[nth]
        })
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_straight_line_needs_its_ends_only() {
        let points: Vec<_> = (3..50).map(|at| (at, [at as f32 * 0.3])).collect();
        assert_eq!(keyframes(&points, [0.01]), [3, 49].into());
    }

    proptest! {
        #[test]
        fn lines_between_the_kept_miss_nothing_by_more_than_the_tolerance(
            values in proptest::collection::vec((-1f32..1.0, 0f32..500.0), 1..80),
        ) {
            let tolerance = [0.1, 3.0];
            let points: Vec<_> = values.iter().enumerate().map(|(at, &(a, b))| (at, [a, b])).collect();
            let kept: Vec<usize> = keyframes(&points, tolerance).into_iter().collect();
            for pair in kept.windows(2) {
                for at in pair[0]..pair[1] {
                    prop_assert!(miss(points[pair[0]], points[pair[1]], points[at], tolerance) <= 1.001);
                }
            }
        }
    }
}
