//! The images of an epoch, and their order.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::dataset::Sample;
use super::recipe::SamplerSettings;
use crate::labels::EXPRESSIONS;

/// Draws the images of epochs. An epoch's order depends on the seed and its number alone, so a resumed
/// run draws the same.
#[derive(Debug)]
pub struct Sampler {
    seed: u64,
    images: usize,
    /// Running sums of the images' weights; `None` where all weigh the same.
    cumulative: Option<Vec<f64>>,
    samples: usize,
}

/// The purposes of random numbers. Each has a stream of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Order = 1,
    Augmentation = 2,
    Dropout = 3,
    Weights = 4,
}

impl Sampler {
    /// A sampler of these samples.
    pub fn new(samples: &[Sample], settings: &SamplerSettings, seed: u64) -> Self {
        let weights = (settings.balance > 0.0).then(|| weights(samples, settings.balance));
        let cumulative = weights.map(|weights| {
            let mut sum = 0.0;
            let add = |weight| {
                sum += weight;
                sum
            };
            weights.into_iter().map(add).collect()
        });
        Self {
            seed,
            images: settings.images.unwrap_or(samples.len()),
            cumulative,
            samples: samples.len(),
        }
    }

    /// Images an epoch.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The samples of an epoch (0-based) in order: their indices in the data set. Without balance each
    /// appears once before any appears twice.
    pub fn epoch(&self, epoch: usize) -> Vec<usize> {
        let mut random = random(self.seed, Stream::Order, epoch as u64);
        match &self.cumulative {
            Some(cumulative) => {
                let all = cumulative.last().copied().unwrap_or(0.0);
                let draw = |_| {
                    let at = random.random_range(0.0..all);
                    cumulative.partition_point(|&sum| sum <= at).min(self.samples - 1)
                };
                (0..self.images).map(draw).collect()
            }
            None => {
                let mut order = Vec::with_capacity(self.images + self.samples);
                while order.len() < self.images {
                    let mut all: Vec<usize> = (0..self.samples).collect();
                    all.shuffle(&mut random);
                    order.extend(all);
                }
                order.truncate(self.images);
                order
            }
        }
    }
}

/// The random numbers of one purpose; `index` numbers the epoch or the image.
pub(super) fn random(seed: u64, stream: Stream, index: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ (stream as u64) << 56);
    random.set_stream(index);
    random
}

/// `n ^ -balance` for an image of a class of n; an image without a class counts as the mean one.
fn weights(samples: &[Sample], balance: f64) -> Vec<f64> {
    let mut counts = [0usize; EXPRESSIONS];
    let classes = || samples.iter().map(|sample| sample.label.expression);
    for class in classes().flatten() {
        counts[class.index()] += 1;
    }
    let weight = |count: usize| (count as f64).powf(-balance);
    let labelled: usize = counts.iter().sum();
    let sum: f64 = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| count as f64 * weight(count))
        .sum();
    let mean = if labelled > 0 { sum / labelled as f64 } else { 1.0 };
    classes()
        .map(|class| class.map_or(mean, |class| weight(counts[class.index()])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affwild2::FrameLabel;
    use crate::labels::Expression;

    fn samples(counts: &[(Option<Expression>, usize)]) -> Vec<Sample> {
        let one = |&(expression, count): &(Option<Expression>, usize)| {
            let label = FrameLabel {
                expression,
                ..FrameLabel::default()
            };
            std::iter::repeat_n(Sample::of_label(label), count)
        };
        counts.iter().flat_map(one).collect()
    }

    #[test]
    fn without_balance_every_image_comes_once() {
        let samples = samples(&[(Some(Expression::Neutral), 90), (None, 10)]);
        let sampler = Sampler::new(&samples, &SamplerSettings::default(), 7);
        let mut order = sampler.epoch(3);
        assert_eq!(order, sampler.epoch(3));
        assert_ne!(order, sampler.epoch(4));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn with_full_balance_rare_classes_come_as_often_as_others() {
        let samples = samples(&[
            (Some(Expression::Neutral), 900),
            (Some(Expression::Fear), 50),
            (None, 50),
        ]);
        let settings = SamplerSettings {
            balance: 1.0,
            images: Some(20_000),
        };
        let order = Sampler::new(&samples, &settings, 7).epoch(0);
        let share = |range: std::ops::Range<usize>| {
            order.iter().filter(|place| range.contains(place)).count() as f64 / 20_000.0
        };
        // The 50 without a class weigh 2/950 each, the classes' mean, beside 1 for each class.
        let all = 2.0 + 50.0 * 2.0 / 950.0;
        for (range, expected) in [
            (0..900, 1.0 / all),
            (900..950, 1.0 / all),
            (950..1000, 0.105 / all),
        ] {
            assert!((share(range.clone()) - expected).abs() < 0.02, "{range:?}");
        }
    }
}
