//! Losses and scores of a training as a person reads them.

use abaw::labels::{ActionUnit, Expression};
use abaw::metrics::Scores;
use abaw::training::{Counts, LossValues};

/// How many labels of each kind there are.
pub fn labels(counts: &Counts) -> String {
    let classes =
        Expression::ALL.map(|class| format!("{} {}", class.name(), counts.expression[class.index()]));
    format!(
        "{} with valence and arousal, {} with action units; {}",
        counts.valence_arousal,
        counts.action_units,
        classes.join(", ")
    )
}

/// What is done of a training that goes on; nothing of one that begins.
pub fn done_before(epochs: usize) -> String {
    match epochs {
        0 => String::new(),
        _ => format!("; {epochs} epochs are done"),
    }
}

/// The loss of each task.
pub fn losses(losses: &LossValues) -> String {
    let loss = |name, loss: Option<f64>| loss.map(|loss| format!("{name} {loss:.3}"));
    let losses = [
        loss("VA", losses.valence_arousal),
        loss("EXPR", losses.expression),
        loss("AU", losses.action_units),
    ];
    losses.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// P and the scores of the tasks.
pub fn scores(scores: &Scores) -> String {
    format!(
        "P {} (VA {}, F1 EXPR {}, F1 AU {})",
        number(scores.p),
        number(scores.va),
        number(scores.expression),
        number(scores.au)
    )
}

/// Prints the scores on the test set, if there is one.
pub fn print_scores(test: Option<&Scores>) {
    let Some(test) = test else { return };
    println!(
        "test set: CCC valence {}, arousal {}; expressions {}; action units {}; P {}",
        number(test.ccc_valence),
        number(test.ccc_arousal),
        number(test.expression),
        number(test.au),
        number(test.p)
    );
    if let Some(f1) = test.f1_expression {
        let each = Expression::ALL.map(|class| format!("{} {:.3}", class.name(), f1[class.index()]));
        println!("F1 {}", each.join(", "));
    }
    if let Some(f1) = test.f1_au {
        let each = ActionUnit::ALL.map(|unit| format!("{} {:.3}", unit.name(), f1[unit.index()]));
        println!("F1 {}", each.join(", "));
    }
}

/// Three digits, or a dash.
pub fn number(score: Option<f64>) -> String {
    score.map_or("-".to_owned(), |score| format!("{score:.3}"))
}
