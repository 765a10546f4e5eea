//! A temporal network on a finished run: its outputs for the rows of a video, read beside the raw table.

use std::path::PathBuf;

use serde_json::json;

use crate::labels::Affect;
use crate::model::weights::sha256;
use crate::path_error::PathError;
use crate::postprocess::TemporalSettings;
use crate::run::{Plan, RunFolder, VideoId, absolute};
use crate::table::{FaceFeature, FeatureReader, Row, TableError, Timing};
use crate::temporal::{
    FaceNumbers, Sequence, SequencePass, TemporalCard, TemporalNetwork, TemporalWeights,
    TemporalWeightsError, face_numbers, sequences,
};

/// A temporal network cannot be used on a run.
#[derive(Debug, thiserror::Error)]
pub enum TemporalError {
    /// The file of its weights cannot be used.
    #[error(transparent)]
    Weights(#[from] TemporalWeightsError),
    /// The file of its weights cannot be read.
    #[error(transparent)]
    File(#[from] PathError),
    /// The file has changed.
    #[error(
        "{}: other weights than when they were named; `abaw postprocess RUN --pipeline FILE` takes them as they are now",
        .0.display()
    )]
    Changed(PathBuf),
    /// The run has no features.
    #[error(
        "{}: a temporal network needs the features of the run's faces, and this run has none: annotate with --features",
        .0.display()
    )]
    NoFeatures(PathBuf),
    /// The run's features are of other networks.
    #[error(
        "{}: trained on features of other weights ({}) than the run's ({}): annotate with those, or train on this run",
        weights.display(), short(trained), short(found)
    )]
    OtherNetworks {
        /// The temporal network.
        weights: PathBuf,
        /// sha256 of the networks that it was trained with.
        trained: Vec<String>,
        /// sha256 of the networks of the run.
        found: Vec<String>,
    },
    /// The features cannot be read.
    #[error(transparent)]
    Features(#[from] TableError),
    /// A file of features belongs to another table.
    #[error("{}: not the features of the table's faces; remove it and run `abaw annotate` again", .0.display())]
    OtherFaces(PathBuf),
}

/// Hashes as a person compares them.
fn short(hashes: &[String]) -> String {
    let short = hashes.iter().map(|hash| hash.get(..12).unwrap_or(hash));
    short.collect::<Vec<_>>().join(", ")
}

/// The temporal network of a run. Any number of threads may use it at once.
pub struct TemporalOutputs {
    run: RunFolder,
    network: TemporalNetwork,
    card: TemporalCard,
    content: String,
}

/// Writes a hash of the network's weights into the settings, so that a later change is noticed, and makes its path
/// absolute.
///
/// # Errors
/// A file that cannot be used as a temporal network.
pub fn record_network(settings: &mut TemporalSettings) -> Result<(), TemporalError> {
    if let Some(weights) = &settings.weights {
        TemporalWeights::load(weights)?;
        settings.content = Some(sha256(weights).map_err(PathError::at(weights))?);
        settings.weights = Some(absolute(weights));
    }
    Ok(())
}

impl TemporalOutputs {
    /// The network that a plan asks for; `None` if it asks for none.
    ///
    /// # Errors
    /// Weights that cannot be read or have changed; a run without features, or with those of other networks.
    pub fn of(run: &RunFolder, plan: &Plan) -> Result<Option<Self>, TemporalError> {
        let settings = &plan.settings.pipeline.postprocess.temporal;
        let Some(weights) = &settings.weights else {
            return Ok(None);
        };
        let content = sha256(weights).map_err(PathError::at(weights))?;
        if settings.content.as_ref().is_some_and(|named| *named != content) {
            return Err(TemporalError::Changed(weights.clone()));
        }
        let (network, card) = TemporalWeights::load(weights)?;
        if !plan.settings.pipeline.model.features {
            return Err(TemporalError::NoFeatures(weights.clone()));
        }
        let found = plan.networks();
        if card.networks != found {
            return Err(TemporalError::OtherNetworks {
                weights: weights.clone(),
                trained: card.networks,
                found,
            });
        }
        Ok(Some(Self {
            run: run.clone(),
            network,
            card,
            content,
        }))
    }

    /// What is known of the network.
    pub fn card(&self) -> &TemporalCard {
        &self.card
    }

    /// The network as table footers record it.
    pub fn record(&self) -> serde_json::Value {
        json!({"sha256": self.content, "source": self.card.source})
    }

    /// The prediction for each of a video's rows: the network's, in tasks without one, and of extra action units, the raw one. `None` where `sees` is
    /// false for the row.
    ///
    /// # Errors
    /// Features that cannot be read, or are not those of the rows.
    pub fn predictions(
        &self,
        id: &VideoId,
        rows: &[Row],
        timing: &Timing,
        sees: impl Fn(&Row) -> bool,
    ) -> Result<Vec<Option<Affect>>, TemporalError> {
        let mut predictions = vec![None; rows.len()];
        let sequences = sequences(rows, &timing.cuts, self.network.reach(), sees);
        let mut sequence_of: Vec<Option<usize>> = vec![None; rows.len()];
        for (number, sequence) in sequences.iter().enumerate() {
            for &at in &sequence.rows {
                sequence_of[at] = Some(number);
            }
        }
        let mut open: Vec<Option<OpenSequence>> = sequences.iter().map(|_| None).collect();
        for_each_face(&self.run, id, rows, |at, face| {
            let Some(number) = sequence_of[at] else { return };
            let sequence = &sequences[number];
            let pass = open[number].get_or_insert_with(|| OpenSequence::new(&self.network, sequence, rows));
            pass.push(at, face, &mut predictions);
            if sequence.rows.last() == Some(&at)
                && let Some(pass) = open[number].take()
            {
                pass.finish(&mut predictions);
            }
        })?;
        Ok(predictions)
    }
}

/// Reads the features of a video's faces and hands each over with the index of its row and its numbers, which are `None`
/// for a face that counts as not seen. One at a time is in memory.
///
/// # Errors
/// Features that cannot be read, or are not those of the rows.
pub fn for_each_face(
    run: &RunFolder,
    id: &VideoId,
    rows: &[Row],
    mut visit: impl FnMut(usize, Option<&FaceNumbers>),
) -> Result<(), TemporalError> {
    let path = run.features(id);
    let mut features = FeatureReader::open(&path)?;
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.sighting.is_face()) {
        match features.next().transpose()? {
            Some(FaceFeature {
                frame,
                person,
                feature,
            }) if frame == row.frame && Some(person) == row.person => {
                visit(at, face_numbers(&feature, &row.raw).as_ref());
            }
            _ => return Err(TemporalError::OtherFaces(path)),
        }
    }
    match features.next() {
        None => Ok(()),
        Some(_) => Err(TemporalError::OtherFaces(path)),
    }
}

/// A sequence that has begun.
struct OpenSequence<'a> {
    pass: SequencePass<'a>,
    /// The number of the frame that the network is given next.
    next: u32,
    outputs: AwaitedOutputs<'a>,
}

impl<'a> OpenSequence<'a> {
    fn new(network: &'a TemporalNetwork, sequence: &'a Sequence, rows: &'a [Row]) -> Self {
        let first = sequence.rows.first().map_or(0, |&at| rows[at].frame.number());
        Self {
            pass: SequencePass::new(network),
            next: first,
            outputs: AwaitedOutputs {
                rows,
                left: &sequence.rows,
                next: first,
            },
        }
    }

    /// Gives the network the face of a row, and blanks for the frames before in which it was not seen.
    fn push(&mut self, at: usize, face: Option<&FaceNumbers>, predictions: &mut [Option<Affect>]) {
        let frame = self.outputs.rows[at].frame.number();
        for number in self.next..=frame {
            if let Some(outputs) = self.pass.push(face.filter(|_| number == frame)) {
                self.outputs.keep(outputs, predictions);
            }
        }
        self.next = frame + 1;
    }

    fn finish(mut self, predictions: &mut [Option<Affect>]) {
        for outputs in self.pass.finish() {
            self.outputs.keep(outputs, predictions);
        }
    }
}

/// The rows of a sequence whose outputs have not come yet.
struct AwaitedOutputs<'a> {
    /// All rows of the video.
    rows: &'a [Row],
    /// Indices of those that wait.
    left: &'a [usize],
    /// The number of the frame whose outputs come next.
    next: u32,
}

impl AwaitedOutputs<'_> {
    /// Keeps the outputs of the next frame if the person was seen in it.
    fn keep(&mut self, outputs: Affect, predictions: &mut [Option<Affect>]) {
        if let Some((&at, left)) = self.left.split_first()
            && self.rows[at].frame.number() == self.next
        {
            let mut affect = self.rows[at].raw.clone();
            affect.valence_arousal = outputs.valence_arousal.or(affect.valence_arousal);
            affect.expression = outputs.expression.or(affect.expression);
            for (unit, output) in affect.action_units.iter_mut().zip(outputs.action_units) {
                *unit = output.or(*unit);
            }
            predictions[at] = Some(affect);
            self.left = left;
        }
        self.next += 1;
    }
}
