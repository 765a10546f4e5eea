//! The annotations of a video by one or several annotators: whose count, and how far they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::str::FromStr;

use jiff::Timestamp;

use super::annotated::AnnotatedVideo;
use super::corrections::{Corrections, PersonLabels};
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, EXPRESSIONS};
use crate::metrics::Concordance;

/// Whose annotations count where several annotators worked on one video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnotatorChoice {
    /// Those that were changed last.
    Newest,
    /// What all annotators agree on; other frames are not annotated.
    Agree,
    /// Those of one annotator, by the name, number or address that the tool gives.
    Named(String),
}

impl FromStr for AnnotatorChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "newest" => Self::Newest,
            "agree" => Self::Agree,
            name => Self::Named(name.to_owned()),
        })
    }
}

/// Makes corrections from a file's annotations, given the video of the run that they are about.
type Correct = dyn Fn(&AnnotatedVideo) -> Result<Corrections, String>;

/// The annotations of one video by one annotator.
pub struct Version {
    pub(super) annotator: String,
    /// When it was changed last, if the file tells.
    pub(super) changed: Option<Timestamp>,
    pub(super) corrections: Box<Correct>,
    /// Whether there is an older one by the same annotator.
    pub(super) replaces: bool,
}

impl Version {
    fn of(&self, video: &AnnotatedVideo) -> Result<Corrections, String> {
        let mut found = (self.corrections)(video)?;
        if self.replaces {
            let annotator = &self.annotator;
            found
                .notes
                .push(format!("of several annotations by {annotator} the newest counts"));
        }
        Ok(found)
    }
}

/// The annotations of one video in a file that a tool saved, or in several.
pub struct VideoAnnotations {
    /// The video's id in the run; `None` if the file does not name it.
    pub video: Option<String>,
    /// One for each annotator, the one that was changed last at the end; at least one.
    pub(super) versions: Vec<Version>,
}

impl VideoAnnotations {
    /// Annotations of which the file names no annotator.
    pub(super) fn of_one(
        video: Option<String>,
        corrections: impl Fn(&AnnotatedVideo) -> Result<Corrections, String> + 'static,
    ) -> Self {
        let version = Version {
            annotator: String::new(),
            changed: None,
            corrections: Box::new(corrections),
            replaces: false,
        };
        Self {
            video,
            versions: vec![version],
        }
    }

    /// Annotations of which the newest of each annotator counts; of equally old ones, the later in the list is the newer.
    pub(super) fn new(video: Option<String>, mut all: Vec<Version>) -> Self {
        all.sort_by_key(|version| version.changed);
        let mut versions: Vec<Version> = Vec::new();
        for mut version in all {
            let older = versions
                .iter()
                .position(|older| older.annotator == version.annotator);
            version.replaces |= older.map(|at| versions.remove(at)).is_some();
            versions.push(version);
        }
        Self { video, versions }
    }

    /// Adds the annotations of the same video in another file.
    pub fn join(&mut self, other: Self) {
        let mut versions = std::mem::take(&mut self.versions);
        versions.extend(other.versions);
        *self = Self::new(self.video.take(), versions);
    }

    /// Returns the corrections of the video, given its table. Their notes tell whose they are and how far the annotators
    /// agree, if there are several; without a choice the newest count.
    ///
    /// # Errors
    /// An unknown label, a frame that the video does not have, an annotator that is not there: in words.
    pub fn corrections(
        &self,
        video: &AnnotatedVideo,
        choice: Option<&AnnotatorChoice>,
    ) -> Result<Corrections, String> {
        let all = self.versions.iter().map(|version| version.of(video));
        let mut all: Vec<Corrections> = all.collect::<Result<_, _>>()?;
        let names: Vec<&str> = self
            .versions
            .iter()
            .map(|version| version.annotator.as_str())
            .collect();
        let mut notes = Vec::new();
        if let [_, _, ..] = names[..] {
            for (nth, later) in names.iter().enumerate() {
                for (earlier, before) in names[..nth].iter().zip(&all) {
                    notes.push(format!(
                        "annotators {earlier} and {later} {}",
                        agreement(before, &all[nth])
                    ));
                }
            }
        }
        let mut chosen = match choice {
            Some(AnnotatorChoice::Agree) => agreed(&all),
            Some(AnnotatorChoice::Named(name)) => {
                let at = names.iter().position(|known| known == name);
                let at = at.ok_or_else(|| match names[..] {
                    [""] => format!("no annotator is named in the file, so none is `{name}`"),
                    _ => format!(
                        "no annotation by `{name}`; there are those by {}",
                        names.join(", ")
                    ),
                })?;
                all.swap_remove(at)
            }
            Some(AnnotatorChoice::Newest) | None => all.pop().unwrap_or_default(),
        };
        if let (None, [_, .., newest]) = (choice, &names[..]) {
            notes.push(format!(
                "{} people annotated it; the labels are those of {newest}, the newest (--annotator NAME, newest or agree)",
                names.len()
            ));
        }
        chosen.notes.extend(notes);
        Ok(chosen)
    }
}

/// What all agree on.
fn agreed(all: &[Corrections]) -> Corrections {
    let people: BTreeSet<Option<PersonId>> = all.iter().flat_map(|one| one.people.keys().copied()).collect();
    let mut agreed = Corrections::default();
    for person in people {
        let of_person: Option<Vec<&PersonLabels>> = all.iter().map(|one| one.people.get(&person)).collect();
        // What one of them did not label at all, they do not agree on.
        let Some((first, others)) = of_person.as_ref().and_then(|labels| labels.split_first()) else {
            continue;
        };
        let labels = others
            .iter()
            .fold((*first).clone(), |labels, other| labels.agreed_with(other));
        agreed.people.insert(person, labels);
    }
    agreed.notes = all.iter().flat_map(|one| one.notes.clone()).collect();
    agreed
}

impl PersonLabels {
    /// The labels that are equal in both.
    fn agreed_with(mut self, other: &Self) -> Self {
        let both = |one: &mut Option<Vec<_>>, other: &Option<Vec<_>>| match (one.as_mut(), other) {
            (Some(values), Some(others)) => keep_equal(values, others),
            _ => *one = None,
        };
        both(&mut self.expression, &other.expression);
        match (&mut self.action_units, &other.action_units) {
            (Some(values), Some(others)) => {
                for (units, others) in values.iter_mut().zip(others) {
                    keep_equal(units, others);
                }
            }
            (units, _) => *units = None,
        }
        match (&mut self.valence_arousal, &other.valence_arousal) {
            (Some(values), Some(others)) => keep_equal(values, others),
            (points, _) => *points = None,
        }
        self
    }
}

fn keep_equal<T: PartialEq>(values: &mut [Option<T>], others: &[Option<T>]) {
    for (value, other) in values.iter_mut().zip(others) {
        if value != other {
            *value = None;
        }
    }
}

/// How far two annotators agree, in words: the share of equal labels, and Cohen's kappa (1960), which is 0 for the
/// agreement that chance gives; of valence and arousal, where both have them, the concordance correlation coefficient.
fn agreement(one: &Corrections, other: &Corrections) -> String {
    let mut expressions = Confusion::new(EXPRESSIONS);
    let mut units: [Confusion; ACTION_UNITS] = std::array::from_fn(|_| Confusion::new(2));
    let (mut valence, mut arousal) = (Concordance::default(), Concordance::default());
    let mut points = 0;
    for (one, other) in pairs(&one.people, &other.people) {
        for (a, b) in one
            .expression
            .iter()
            .flatten()
            .zip(other.expression.iter().flatten())
        {
            expressions.add(a.map(|class| class.index()), b.map(|class| class.index()));
        }
        for (a, b) in one
            .action_units
            .iter()
            .flatten()
            .zip(other.action_units.iter().flatten())
        {
            for ((unit, a), b) in units.iter_mut().zip(a).zip(b) {
                unit.add(a.map(usize::from), b.map(usize::from));
            }
        }
        for (a, b) in one
            .valence_arousal
            .iter()
            .flatten()
            .zip(other.valence_arousal.iter().flatten())
        {
            if let Some((a, b)) = a.zip(*b) {
                valence.add(a.valence.into(), b.valence.into());
                arousal.add(a.arousal.into(), b.arousal.into());
                points += 1;
            }
        }
    }
    let of_points = format!(
        "; CCC of valence {} and arousal {} ({points} frames)",
        number(valence.ccc()),
        number(arousal.ccc())
    );
    let kappas: Vec<f64> = units.iter().filter_map(Confusion::kappa).collect();
    let mean_kappa = (!kappas.is_empty()).then(|| kappas.iter().sum::<f64>() / kappas.len() as f64);
    let equal: u64 = units.iter().map(Confusion::equal).sum();
    let labelled: u64 = units.iter().map(Confusion::labelled).sum();
    format!(
        "agree in {} of expressions ({} frames, kappa {}) and {} of action units ({} labels, mean kappa {}){}",
        percent(expressions.equal(), expressions.labelled()),
        expressions.labelled(),
        number(expressions.kappa()),
        percent(equal, labelled),
        labelled,
        number(mean_kappa),
        if points > 0 { of_points.as_str() } else { "" }
    )
}

fn pairs<'a>(
    one: &'a BTreeMap<Option<PersonId>, PersonLabels>,
    other: &'a BTreeMap<Option<PersonId>, PersonLabels>,
) -> impl Iterator<Item = (&'a PersonLabels, &'a PersonLabels)> {
    one.iter()
        .filter_map(|(person, labels)| Some((labels, other.get(person)?)))
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    }
}

fn number(kappa: Option<f64>) -> String {
    kappa.map_or_else(|| "-".to_owned(), |kappa| format!("{kappa:.2}"))
}

/// How often each pair of classes was given to one frame.
struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts a frame that both labelled.
    fn add(&mut self, one: Option<usize>, other: Option<usize>) {
        if let Some((one, other)) = one.zip(other) {
            self.counts[one * self.classes + other] += 1;
        }
    }

    fn labelled(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn equal(&self) -> u64 {
        (0..self.classes)
            .map(|class| self.counts[class * (self.classes + 1)])
            .sum()
    }

    /// `None` where chance alone gives full agreement, or nothing is labelled.
    fn kappa(&self) -> Option<f64> {
        let all = self.labelled() as f64;
        let by_chance: f64 = (0..self.classes)
            .map(|class| {
                let one: u64 = (0..self.classes)
                    .map(|other| self.counts[class * self.classes + other])
                    .sum();
                let other: u64 = (0..self.classes)
                    .map(|one| self.counts[one * self.classes + class])
                    .sum();
                one as f64 / all * (other as f64 / all)
            })
            .sum();
        (all > 0.0 && by_chance < 1.0).then(|| (self.equal() as f64 / all - by_chance) / (1.0 - by_chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_is_that_of_scikit_learn() {
        // sklearn.metrics.cohen_kappa_score([0, 0, 1, 2, 2, 1, 0], [0, 1, 1, 2, 0, 1, 0]) = 0.5625
        let mut confusion = Confusion::new(3);
        for (one, other) in [(0, 0), (0, 1), (1, 1), (2, 2), (2, 0), (1, 1), (0, 0)] {
            confusion.add(Some(one), Some(other));
        }
        confusion.add(None, Some(1));
        assert!(
            (confusion.kappa().unwrap() - 0.5625).abs() < 1e-12,
            "{:?}",
            confusion.kappa()
        );
        assert_eq!((confusion.equal(), confusion.labelled()), (5, 7));
    }
}
