//! Optimal assignment: who goes with whom at the least total cost.

/// Pairs rows with columns so that the total cost is least, where a row left alone costs `limit`.
///
/// `costs` is `[rows, columns]`, row by row, its length `rows * columns`; a cost of `limit` or more,
/// or one that is not a number, forbids the pair. `limit` must be finite. Gives the column of each
/// row, `None` for a row left alone. Equal totals go to the earlier row and the earlier column.
///
/// The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987), `O(rows² columns)`.
pub(super) fn assign(costs: &[f64], rows: usize, columns: usize, limit: f64) -> Vec<Option<usize>> {
    debug_assert_eq!(costs.len(), rows * columns);
    // Each row has one more column of its own, which stands for being left alone.
    let width = columns + rows;
    let cost = |row: usize, column: usize| {
        if column >= columns {
            if column - columns == row {
                limit
            } else {
                f64::INFINITY
            }
        } else {
            let cost = costs[row * columns + column];
            if cost < limit { cost } else { f64::INFINITY }
        }
    };

    let mut row_potential = vec![0.0; rows];
    let mut column_potential = vec![0.0; width];
    let mut owner: Vec<Option<usize>> = vec![None; width];
    for first_row in 0..rows {
        let mut distance = vec![f64::INFINITY; width];
        let mut came_from: Vec<Option<usize>> = vec![None; width];
        let mut reached: Vec<usize> = Vec::new();
        let mut is_reached = vec![false; width];
        let mut row = first_row;
        let mut here: Option<usize> = None;
        let free = loop {
            let mut nearest = columns + row;
            let mut step = f64::INFINITY;
            for column in 0..width {
                if is_reached[column] {
                    continue;
                }
                let reduced = cost(row, column) - row_potential[row] - column_potential[column];
                if reduced < distance[column] {
                    distance[column] = reduced;
                    came_from[column] = here;
                }
                if distance[column] < step {
                    step = distance[column];
                    nearest = column;
                }
            }
            row_potential[first_row] += step;
            for &column in &reached {
                if let Some(row) = owner[column] {
                    row_potential[row] += step;
                }
                column_potential[column] -= step;
            }
            for column in 0..width {
                if !is_reached[column] {
                    distance[column] -= step;
                }
            }
            match owner[nearest] {
                None => break nearest,
                Some(next_row) => {
                    is_reached[nearest] = true;
                    reached.push(nearest);
                    here = Some(nearest);
                    row = next_row;
                }
            }
        };
        let mut column = free;
        while let Some(previous) = came_from[column] {
            owner[column] = owner[previous];
            column = previous;
        }
        owner[column] = Some(first_row);
    }

    let mut chosen = vec![None; rows];
    for (column, row) in owner.iter().take(columns).enumerate() {
        if let Some(row) = *row {
            chosen[row] = Some(column);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(costs: &[f64], columns: usize, limit: f64, chosen: &[Option<usize>]) -> f64 {
        let cost =
            |(row, column): (usize, &Option<usize>)| column.map_or(limit, |c| costs[row * columns + c]);
        chosen.iter().enumerate().map(cost).sum()
    }

    /// The least total, by trying everything.
    fn least(costs: &[f64], rows: usize, columns: usize, limit: f64, taken: &mut Vec<bool>) -> f64 {
        if rows == 0 {
            return 0.0;
        }
        let row = rows - 1;
        let mut best = limit + least(costs, row, columns, limit, taken);
        for column in 0..columns {
            let cost = costs[row * columns + column];
            if !taken[column] && cost < limit {
                taken[column] = true;
                best = best.min(cost + least(costs, row, columns, limit, taken));
                taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn takes_the_best_total_not_the_best_pair() {
        // The cheapest pair (row 0, column 0) would leave row 1 with a dear one.
        assert_eq!(assign(&[1.0, 2.0, 1.5, 9.0], 2, 2, 10.0), [Some(1), Some(0)]);
    }

    #[test]
    fn dear_pairs_stay_apart() {
        assert_eq!(
            assign(&[5.0, f64::NAN, f64::INFINITY, 5.0], 2, 2, 5.0),
            [None, None]
        );
    }

    #[test]
    fn nothing_to_pair() {
        assert_eq!(assign(&[], 0, 3, 1.0), []);
        assert_eq!(assign(&[], 2, 0, 1.0), [None, None]);
    }

    #[test]
    fn ties_go_to_the_earlier() {
        assert_eq!(assign(&[1.0; 6], 2, 3, 2.0), [Some(0), Some(1)]);
    }

    proptest! {
        #[test]
        fn is_the_least_total(
            rows in 0usize..6, columns in 0usize..6, limit in 0.5f64..12.0,
            pool in prop::collection::vec(prop_oneof![4 => 0.0f64..10.0, 1 => Just(f64::INFINITY), 1 => (0u8..3).prop_map(f64::from)], 36),
        ) {
            let costs = &pool[..rows * columns];
            let chosen = assign(costs, rows, columns, limit);
            let mut columns_used: Vec<_> = chosen.iter().flatten().collect();
            columns_used.sort();
            columns_used.dedup();
            prop_assert_eq!(columns_used.len(), chosen.iter().flatten().count());
            let best = least(costs, rows, columns, limit, &mut vec![false; columns]);
            prop_assert!((total(costs, columns, limit, &chosen) - best).abs() < 1e-9);
        }
    }
}
