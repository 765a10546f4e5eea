//! The concordance correlation coefficient, streamed.

use crate::labels::ValenceArousal;

/// Moments of pairs of a label and a prediction, in one pass and without cancellation (Welford 1962;
/// merging: Chan, Golub, LeVeque 1979).
///
/// ```
/// use abaw::metrics::Concordance;
///
/// let mut pairs = Concordance::default();
/// for (label, prediction) in [(-0.5, -0.3), (0.0, 0.2), (0.5, 0.7)] {
///     pairs.add(label, prediction);
/// }
/// // Each prediction is 0.2 too high: 2 x 1/6 / (1/6 + 1/6 + 0.2 x 0.2).
/// let ccc = pairs.ccc().unwrap_or_default();
/// assert!((ccc - 1.0 / 1.12).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Concordance {
    count: u64,
    label_mean: f64,
    prediction_mean: f64,
    /// Sums of squared deviations from the mean, and of their products.
    label_squares: f64,
    prediction_squares: f64,
    products: f64,
}

impl Concordance {
    /// Adds one pair.
    pub fn add(&mut self, label: f64, prediction: f64) {
        self.count += 1;
        let count = self.count as f64;
        let label_step = label - self.label_mean;
        let prediction_step = prediction - self.prediction_mean;
        self.label_mean += label_step / count;
        self.prediction_mean += prediction_step / count;
        self.label_squares += label_step * (label - self.label_mean);
        self.prediction_squares += prediction_step * (prediction - self.prediction_mean);
        self.products += label_step * (prediction - self.prediction_mean);
    }

    /// Adds the pairs of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let share = theirs / (ours + theirs);
        let label_step = other.label_mean - self.label_mean;
        let prediction_step = other.prediction_mean - self.prediction_mean;
        self.label_squares += other.label_squares + label_step * label_step * ours * share;
        self.prediction_squares +=
            other.prediction_squares + prediction_step * prediction_step * ours * share;
        self.products += other.products + label_step * prediction_step * ours * share;
        self.label_mean += label_step * share;
        self.prediction_mean += prediction_step * share;
        self.count += other.count;
    }

    /// The number of pairs.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `2 cov / (var_label + var_prediction + (difference of the means)^2)` with population variances
    /// (ddof 0), in [-1, 1]; `None` for 0/0.
    pub fn ccc(&self) -> Option<f64> {
        let shift = self.label_mean - self.prediction_mean;
        let spread = self.label_squares + self.prediction_squares + self.count as f64 * shift * shift;
        (spread > 0.0).then(|| 2.0 * self.products / spread)
    }
}

/// The pairs of both dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ValenceArousalTally {
    valence: Concordance,
    arousal: Concordance,
    unanswered: u64,
}

impl ValenceArousalTally {
    /// Counts one annotated frame; no prediction counts as (0, 0).
    pub fn add(&mut self, label: ValenceArousal, prediction: Option<ValenceArousal>) {
        self.unanswered += u64::from(prediction.is_none());
        let prediction = prediction.unwrap_or_default();
        self.valence.add(label.valence.into(), prediction.valence.into());
        self.arousal.add(label.arousal.into(), prediction.arousal.into());
    }

    /// Adds the frames of another tally.
    pub fn merge(&mut self, other: &Self) {
        self.valence.merge(&other.valence);
        self.arousal.merge(&other.arousal);
        self.unanswered += other.unanswered;
    }

    /// The pairs of valence.
    pub fn valence(&self) -> &Concordance {
        &self.valence
    }

    /// The pairs of arousal.
    pub fn arousal(&self) -> &Concordance {
        &self.arousal
    }

    /// Annotated frames.
    pub fn frames(&self) -> u64 {
        self.valence.count()
    }

    /// Annotated frames without a prediction.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// The mean of both CCCs, an undefined one counted as 0; `None` without any prediction.
    pub fn score(&self) -> Option<f64> {
        let ccc = |pairs: &Concordance| pairs.ccc().unwrap_or(0.0);
        (self.frames() > self.unanswered).then(|| (ccc(&self.valence) + ccc(&self.arousal)) / 2.0)
    }
}
