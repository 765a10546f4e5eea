//! The compound expressions of the CE challenge, from the basic ones.

use crate::labels::{EXPRESSIONS, Expression};

/// A compound expression of the CE challenge; the discriminant is its class number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CompoundExpression {
    /// Fear and surprise.
    FearfullySurprised = 0,
    /// Happiness and surprise.
    HappilySurprised = 1,
    /// Sadness and surprise.
    SadlySurprised = 2,
    /// Disgust and surprise.
    DisgustedlySurprised = 3,
    /// Anger and surprise.
    AngrilySurprised = 4,
    /// Sadness and fear.
    SadlyFearful = 5,
    /// Sadness and anger.
    SadlyAngry = 6,
}

impl CompoundExpression {
    /// All compound expressions in class order.
    pub const ALL: [CompoundExpression; 7] = [
        CompoundExpression::FearfullySurprised,
        CompoundExpression::HappilySurprised,
        CompoundExpression::SadlySurprised,
        CompoundExpression::DisgustedlySurprised,
        CompoundExpression::AngrilySurprised,
        CompoundExpression::SadlyFearful,
        CompoundExpression::SadlyAngry,
    ];

    /// The two expressions it is made of.
    pub fn parts(self) -> [Expression; 2] {
        match self {
            CompoundExpression::FearfullySurprised => [Expression::Fear, Expression::Surprise],
            CompoundExpression::HappilySurprised => [Expression::Happiness, Expression::Surprise],
            CompoundExpression::SadlySurprised => [Expression::Sadness, Expression::Surprise],
            CompoundExpression::DisgustedlySurprised => [Expression::Disgust, Expression::Surprise],
            CompoundExpression::AngrilySurprised => [Expression::Anger, Expression::Surprise],
            CompoundExpression::SadlyFearful => [Expression::Sadness, Expression::Fear],
            CompoundExpression::SadlyAngry => [Expression::Sadness, Expression::Anger],
        }
    }

    /// The compound whose parts' probabilities have the highest mean; the first of equals.
    pub fn most_probable(probabilities: &[f32; EXPRESSIONS]) -> Self {
        let mean = |compound: CompoundExpression| {
            let [a, b] = compound.parts().map(|part| probabilities[part.index()]);
            (a + b) / 2.0
        };
        let [first, others @ ..] = Self::ALL;
        others.into_iter().fold(
            first,
            |best, other| if mean(other) > mean(best) { other } else { best },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Challenge;
    use super::*;

    #[test]
    fn compounds_are_the_mean_of_their_parts() {
        let most_probable = |pairs: &[(Expression, f32)]| {
            let mut probabilities = [0.0; EXPRESSIONS];
            for (expression, probability) in pairs {
                probabilities[expression.index()] = *probability;
            }
            CompoundExpression::most_probable(&probabilities)
        };
        use Expression::*;
        // The most probable expressions need not be a compound.
        assert_eq!(
            most_probable(&[(Anger, 0.4), (Disgust, 0.35), (Sadness, 0.25)]),
            CompoundExpression::SadlyAngry
        );
        assert_eq!(
            most_probable(&[(Happiness, 0.5), (Surprise, 0.1)]),
            CompoundExpression::HappilySurprised
        );
        assert_eq!(
            most_probable(&[(Neutral, 1.0)]),
            CompoundExpression::FearfullySurprised,
            "first of equals"
        );
        assert_eq!(
            CompoundExpression::ALL.map(|compound| compound as u8),
            [0, 1, 2, 3, 4, 5, 6]
        );
        assert_eq!(
            Challenge::Ce.columns().split(',').count(),
            CompoundExpression::ALL.len()
        );
    }
}
