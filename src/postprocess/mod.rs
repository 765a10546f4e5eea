//! From the raw numbers of a network to final ones: gap filling, smoothing, thresholds.
