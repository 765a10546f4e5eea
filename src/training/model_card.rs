//! The model card: data, training, scores and limits of trained weights.

use super::dataset::Counts;
use super::evaluation::Evaluation;
use super::recipe::{Layers, Recipe, Task};
use super::records::EpochRecord;
use crate::labels::{ActionUnit, Expression};
use crate::metrics::Scores;

/// The card as Markdown. `test`: the best weights on the test set.
pub fn text(recipe: &Recipe, train: &Counts, records: &[EpochRecord], test: Option<&Evaluation>) -> String {
    let mut card =
        String::from("# Model card\n\nDDAMFN (arXiv 2407.12390), trained by `abaw train`.\n\n## Data\n\n");
    let mut line = |text: String| {
        card.push_str(&text);
        card.push('\n');
    };
    if !recipe.card.data.is_empty() {
        line(format!("{}\n", recipe.card.data));
    }
    let classes: Vec<String> = Expression::ALL
        .iter()
        .map(|class| format!("{} {}", class.name(), train.expression[class.index()]))
        .collect();
    line(format!(
        "{} training images; labelled for valence and arousal {}, for action units {}, for expressions: {}.\n",
        train.images,
        train.valence_arousal,
        train.action_units,
        classes.join(", ")
    ));
    line("## Training\n".to_owned());
    let tasks: Vec<&str> = recipe.tasks.iter().map(|task| task_name(*task)).collect();
    line(format!(
        "Tasks: {}. Seed {}, batches of {}, {}.",
        tasks.join(", "),
        recipe.seed,
        recipe.batch,
        match &recipe.start {
            Some(start) => format!(
                "started from {}",
                start.file_name().unwrap_or_default().to_string_lossy()
            ),
            None => "from scratch".to_owned(),
        }
    ));
    for phase in &recipe.phase {
        line(format!(
            "- {} epochs, {}: {:?}, {:?}",
            phase.epochs,
            match phase.layers {
                Layers::Classifier => "the classifier alone",
                Layers::All => "all layers",
            },
            phase.optimizer,
            phase.schedule
        ));
    }
    line("\n## Results\n".to_owned());
    let best = records
        .iter()
        .max_by(|a, b| p_of(&a.validation).total_cmp(&p_of(&b.validation)));
    let sets = [
        best.map(|record| ("validation", &record.validation, record.accuracy)),
        test.map(|test| ("test", &test.scores, test.accuracy)),
    ];
    line(table(sets.into_iter().flatten().collect()));
    line("## Limits\n".to_owned());
    line(match recipe.card.limits.is_empty() {
        true => "Not stated.".to_owned(),
        false => recipe.card.limits.clone(),
    });
    card
}

/// Sets by name, each with its scores and the share of right expressions.
pub(super) fn table(sets: Vec<(&str, &Scores, Option<f64>)>) -> String {
    let names: String = sets.iter().map(|(name, _, _)| format!(" {name} |")).collect();
    let mut table = format!("| |{names}\n|{}\n", "---|".repeat(sets.len() + 1));
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let mut row = |name: String, value: &dyn Fn(&Scores, Option<f64>) -> Option<f64>| {
        let values = sets
            .iter()
            .map(|(_, scores, accuracy)| number(value(scores, *accuracy)));
        let values: Vec<String> = values.collect();
        table.push_str(&format!("| {name} | {} |\n", values.join(" | ")));
    };
    row("expression accuracy".to_owned(), &|_, accuracy| accuracy);
    row("expression F1, mean of 8".to_owned(), &|s, _| s.expression);
    for class in Expression::ALL {
        row(format!("F1 {}", class.name()), &|s, _| {
            s.f1_expression.map(|f1| f1[class.index()])
        });
    }
    row("CCC valence".to_owned(), &|s, _| s.ccc_valence);
    row("CCC arousal".to_owned(), &|s, _| s.ccc_arousal);
    row("action unit F1, mean of 12, threshold 0.5".to_owned(), &|s, _| {
        s.au
    });
    for unit in ActionUnit::ALL {
        row(format!("F1 {}", unit.name()), &|s, _| {
            s.f1_au.map(|f1| f1[unit.index()])
        });
    }
    row("P".to_owned(), &|s, _| s.p);
    table
}

/// P, below any other where nothing is labelled.
pub(super) fn p_of(scores: &Scores) -> f64 {
    scores.p.unwrap_or(f64::NEG_INFINITY)
}

pub(super) fn task_name(task: Task) -> &'static str {
    match task {
        Task::Va => "valence and arousal",
        Task::Expr => "expressions",
        Task::Au => "action units",
    }
}
