//! Writes a run as a folder of web pages that need no server and no network.
//!
//! ```text
//! run.json, tables, labels -> video_entry, tracks -> overview, video_page, page_data  (askama, uPlot)
//! videos                   -> highlights -> thumbnail
//! ```
//!
//! ```text
//! OUT/index.html           overview and table of videos
//! OUT/assets/              styles and scripts, uPlot among them
//! OUT/videos/<slug>.html   a video's page
//! OUT/videos/<slug>.js     its numbers, as a call of `abaw.video(...)`: a page opened from disk may run scripts
//!                          from its folder, but may not read files
//! OUT/videos/<slug>.files/ thumbnails; overlay.mp4 if RUN/overlay/<id>.mp4 is there
//! ```

mod error;
mod folder;
mod highlights;
mod marking;
pub mod numbers;
mod overview;
mod page_data;
mod score_page;
mod scores;
mod thumbnail;
mod tracks;
mod video_entry;
mod video_page;
mod weights_card;

pub use error::ReportError;

use std::path::Path;
use std::sync::Mutex;

use jiff::Timestamp;
use rayon::prelude::*;

use crate::affwild2::Labels;
use crate::error_chain::sentence;
use crate::finalise::{SubjectError, SubjectReader};
use crate::run::{Event, Failure, PlannedInput, RunFolder, RunReader, RunSummary, Stage, Status};
use crate::table::weak_expressions;
use crate::tuning::ThresholdCounts;
use folder::ReportFolder;
use highlights::Highlight;
use marking::Marking;
use overview::Overview;
use page_data::data_script;
use score_page::ScorePage;
use scores::LabelledRun;
use tracks::Tracks;
use video_entry::{VideoEntry, VideoFacts};
use video_page::{Neighbours, VideoPage};

/// Counts of what was written, and what is missing.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Videos with a page of their own.
    pub pages: usize,
    /// Pictures of faces.
    pub thumbnails: usize,
    /// Videos whose table cannot be read; the report gives the reason.
    pub unreadable: usize,
    /// Id and reason of each video that lacks pictures, since it could not be read.
    pub without_pictures: Vec<String>,
    /// Labelled videos that are not in the run.
    pub unknown_labels: Vec<String>,
}

/// Writes the report of a finished run into a folder, with one video per core at a time; each has its table in
/// memory. With labels, the report also shows these beside the predictions, and scores.
///
/// # Errors
/// A run that is not finished; labels that [`finalise::evaluate`](crate::finalise::evaluate) cannot score it on; a
/// folder that holds other things; what cannot be written. If a table or video cannot
/// be read, only its own page is missing or lacks pictures.
pub fn write(
    run: &RunReader,
    labels: Option<&Labels>,
    out: &Path,
    on_event: &mut (dyn FnMut(&Event) + Send),
) -> Result<Written, ReportError> {
    let summary = finished(run)?;
    let labelled = labels.map(|labels| LabelledRun::new(run, labels)).transpose()?;
    let folder = ReportFolder::prepare(out)?;
    let reporter = Reporter {
        run,
        subjects: SubjectReader::of(run),
        summary: &summary,
        folder: &folder,
        labelled: labelled.as_ref(),
        untrained: weights_card::untrained(&summary.weights),
    };
    let seen = Mutex::new(on_event);
    let reported: Vec<Reported> = (0..summary.videos.len())
        .into_par_iter()
        .map(|at| {
            let reported = reporter.video(at)?;
            if let Ok(mut on_event) = seen.lock() {
                on_event(&reported.event);
            }
            Ok(reported)
        })
        .collect::<Result<_, ReportError>>()?;

    let mut written = Written {
        unknown_labels: labelled.as_ref().map(LabelledRun::unknown).unwrap_or_default(),
        ..Written::default()
    };
    let mut entries = Vec::with_capacity(reported.len());
    let mut curves = ThresholdCounts::default();
    for one in reported {
        written.pages += usize::from(one.entry.facts.is_some());
        written.unreadable += usize::from(one.entry.unreadable.is_some());
        written.thumbnails += one.thumbnails;
        written.without_pictures.extend(one.no_pictures);
        if let Some(more) = &one.curves {
            curves.merge(more);
        }
        entries.push(one.entry);
    }
    let thresholds = run.plan().postprocess().map_err(SubjectError::from)?.thresholds;
    let weights = weights_card::cards(run.plan(), &summary.weights);
    let scores = labelled
        .as_ref()
        .map(|labelled| ScorePage::new(labelled, &curves, &thresholds));
    let overview = Overview::new(run, &summary, &entries, scores, weights)?;
    folder.write_overview(&overview)?;
    Ok(written)
}

/// Reads the summary of a finished run.
fn finished(run: &RunReader) -> Result<RunSummary, ReportError> {
    let root = run.folder().root();
    let unfinished = || ReportError::NotFinished { run: root.to_owned() };
    let text = std::fs::read(run.folder().summary()).map_err(|_| unfinished())?;
    let summary: RunSummary = serde_json::from_slice(&text).map_err(|source| ReportError::Summary {
        path: run.folder().summary(),
        source,
    })?;
    let planned = run.plan().inputs.iter().map(|input| &input.id);
    match planned.eq(summary.videos.iter().map(|video| &video.id)) {
        true => Ok(summary),
        false => Err(unfinished()),
    }
}

/// What the pages of all videos need.
struct Reporter<'a> {
    run: &'a RunReader,
    subjects: SubjectReader<'a>,
    summary: &'a RunSummary,
    folder: &'a ReportFolder,
    labelled: Option<&'a LabelledRun<'a>>,
    untrained: bool,
}

/// A video whose page is written.
struct Reported {
    entry: VideoEntry,
    thumbnails: usize,
    no_pictures: Option<String>,
    curves: Option<ThresholdCounts>,
    event: Event,
}

impl Reporter<'_> {
    fn video(&self, at: usize) -> Result<Reported, ReportError> {
        let input = &self.run.plan().inputs[at];
        let mut entry = VideoEntry::new(&self.summary.videos[at]);
        if self.summary.videos[at].status == Status::Failed {
            return Ok(self.without_page(input, entry));
        }
        let (rows, footer) = match self.run.table(&input.id) {
            Ok(table) => table,
            Err(error) => {
                entry.unreadable = Some(sentence(&error));
                return Ok(self.without_page(input, entry));
            }
        };
        let facts = VideoFacts::of(&rows, &footer);
        let tracks = Tracks::of(&self.subjects, &rows, &footer, self.labelled, &input.id)?;
        let highlights = highlights::choose(&tracks);
        let pictures = thumbnail::write(
            self.run.plan(),
            input,
            footer.has_steady_clock(),
            &highlights,
            &self.folder.files_of(&entry.slug),
        )?;
        let overlay = self
            .folder
            .take_overlay(self.run.folder(), &input.id, &entry.slug)?;
        let shown: Vec<&Highlight> = highlights
            .iter()
            .filter(|highlight| pictures.has(highlight))
            .collect();
        let marking = Marking::of(self.run, &input.id, &entry.slug);
        self.folder.write_data(
            &entry.slug,
            &data_script(
                &tracks,
                &entry.slug,
                &shown,
                overlay,
                &marking,
                &weak_expressions(&footer.weights),
            ),
        )?;
        let curves = self.labelled.map(|_| tracks.threshold_counts());
        entry.scores = self.labelled.and_then(|labelled| labelled.scores_of(&input.id));
        entry.facts = Some(facts);
        let page = VideoPage {
            entry: &entry,
            footer: &footer,
            tracks: &tracks,
            neighbours: Neighbours::of(self.summary, at),
            no_pictures: pictures.reason.as_deref(),
            overlay,
            overlay_path: self.folder.overlay_path(self.run.folder(), &input.id),
            untrained: self.untrained,
        };
        self.folder.write_page(&entry.slug, &page)?;
        let event = Event::Done {
            id: input.id.clone(),
            counts: footer.counts,
            seconds: Default::default(),
            damage: None,
            note: None,
        };
        Ok(Reported {
            thumbnails: pictures.written(),
            no_pictures: pictures.reason.map(|reason| format!("{}: {reason}", input.id)),
            entry,
            curves,
            event,
        })
    }

    /// Reports a video that has no page, since it has no readable table.
    fn without_page(&self, input: &PlannedInput, entry: VideoEntry) -> Reported {
        let event = match &entry.unreadable {
            None => Event::Skipped { id: input.id.clone() },
            Some(error) => Event::Failed {
                id: input.id.clone(),
                failure: Failure {
                    input: input.path.display().to_string(),
                    stage: Stage::Postprocess,
                    error: error.clone(),
                    when: Timestamp::now(),
                },
            },
        };
        Reported {
            entry,
            thumbnails: 0,
            no_pictures: None,
            curves: None,
            event,
        }
    }
}

/// Opens the run in a folder.
///
/// # Errors
/// As [`RunReader::open`].
pub fn open(run: &Path) -> Result<RunReader, ReportError> {
    Ok(RunReader::open(RunFolder::new(run))?)
}
