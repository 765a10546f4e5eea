//! Submissions: the organisers' list with a run's predictions filled in.

use std::fmt::{self, Display};
use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::answer::Answer;
use super::error::{Error, some_of};
use super::image_name::VideoNames;
use super::lines::{Lines, read_file};
use super::mismatch::{Mismatch, quoted};
use super::video_predictions::Origin;
use super::{Challenge, FrameList, VideoList, VideoPredictions};
use crate::frame::FrameIndex;

/// What to do about a listed video that the run does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Write nothing; [`Error::MissingVideos`].
    Refuse,
    /// Write neutral values: valence and arousal 0, class 0, no action unit.
    Neutral,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubmissionSummary {
    /// Lines below the headers.
    pub lines: usize,
    /// Videos listed.
    pub videos: usize,
    /// Lines of frames that the run lacks or in which it saw nobody, filled from other frames of the video.
    pub filled: usize,
    /// Lines with neutral values, for lack of any prediction in the video.
    pub neutral: usize,
    /// Listed videos that the run does not have.
    pub missing: Vec<String>,
    /// Listed videos that the run has, but without any prediction: no face was found.
    pub faceless: Vec<String>,
    /// Videos with a frame 0, which has no line: line 1 of the one-file-a-video form is frame 1, and a list names its
    /// frames.
    pub frame_0_left_out: usize,
}

impl Display for SubmissionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines, {} videos", self.lines, self.videos)?;
        write!(f, ", {} lines filled from other frames", self.filled)?;
        if self.neutral > 0 {
            write!(f, ", {} neutral", self.neutral)?;
        }
        let names = [
            ("not in the run", &self.missing),
            ("without a face", &self.faceless),
        ];
        for (what, videos) in names.into_iter().filter(|(_, videos)| !videos.is_empty()) {
            write!(f, "; {} {what}: {}", videos.len(), some_of(videos))?;
        }
        if self.frame_0_left_out > 0 {
            write!(f, "; frame 0 of {} videos has no line", self.frame_0_left_out)?;
        }
        Ok(())
    }
}

/// Writes the submission of `challenge` for the frames of `list`, in its order, to the file `out`.
///
/// `predictions` is called once for each listed video, with its name in the list; it returns `None` if the run
/// does not have the video. A frame that the run lacks takes the first prediction before the first, the
/// last after the last; in between valence and arousal are linear in frame number, the rest is that
/// of the frame nearest in time (the earlier of equals).
///
/// The file is written under a temporary name beside `out`, read back and compared, and only then
/// renamed, so that `out` is never an unfinished or a damaged file.
///
/// # Errors
/// A list of another challenge, missing videos, predictions that cannot be had, I/O.
pub fn write_submission<E>(
    challenge: Challenge,
    list: &FrameList,
    out: &Path,
    if_missing: IfMissing,
    predictions: impl FnMut(&str) -> Result<Option<VideoPredictions>, E>,
) -> Result<SubmissionSummary, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    list.check_is_for(challenge)?;
    let wanted = list.frames_by_video().into_iter().map(Some).collect();
    let (answers, summary) = answer(challenge, list.videos(), wanted, if_missing, predictions)?;
    // Each video's answers are in the order of its rows, so the rows take them one by one.
    let mut left: Vec<_> = answers.into_iter().map(Vec::into_iter).collect();
    let answers: Vec<_> = list
        .rows()
        .filter_map(|row| left[row.video.index()].next())
        .collect();
    let rows = list.rows().map(|row| Some(row.image)).zip(&answers);
    publish(out, challenge, &list.submission_header(challenge), rows)?;
    Ok(summary)
}

/// Writes the older form of a submission: for each video of `list` a file `<video>.txt` in the
/// folder `out`, line *i* after the header for frame *i*. A file ends with the highest listed frame,
/// or with the run's last where the list is of names only. Otherwise as [`write_submission`].
///
/// # Errors
/// `mtl` and `ce`, which never had this form; otherwise as [`write_submission`].
pub fn write_video_files<E>(
    challenge: Challenge,
    list: &VideoList,
    out: &Path,
    if_missing: IfMissing,
    predictions: impl FnMut(&str) -> Result<Option<VideoPredictions>, E>,
) -> Result<SubmissionSummary, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if matches!(challenge, Challenge::Mtl | Challenge::Ce) {
        return Err(Error::NoVideoFiles { challenge });
    }
    list.check_is_for(challenge)?;
    let frames_to = |last| frames_to(last).collect();
    let wanted = list
        .lengths()
        .into_iter()
        .map(|last| last.map(frames_to))
        .collect();
    let (answers, summary) = answer(challenge, list.videos(), wanted, if_missing, predictions)?;
    for (video, answers) in list.videos().iter().zip(answers) {
        let rows = answers.iter().map(|answer| (None, answer));
        publish(
            &out.join(format!("{video}.txt")),
            challenge,
            challenge.columns(),
            rows,
        )?;
    }
    Ok(summary)
}

/// The frames from the first to number `last`.
fn frames_to(last: u32) -> impl Iterator<Item = FrameIndex> {
    (1..=last).filter_map(FrameIndex::new)
}

/// The answers for the `wanted` frames of each video (`None`: all frames of the run), and their
/// count. Holds one video's predictions at a time.
fn answer<E>(
    challenge: Challenge,
    videos: &VideoNames,
    wanted: Vec<Option<Vec<FrameIndex>>>,
    if_missing: IfMissing,
    mut predictions: impl FnMut(&str) -> Result<Option<VideoPredictions>, E>,
) -> Result<(Vec<Vec<Answer>>, SubmissionSummary), Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut summary = SubmissionSummary {
        videos: videos.len(),
        ..Default::default()
    };
    let mut unknown_length = Vec::new();
    let mut answers = Vec::with_capacity(wanted.len());
    for (name, wanted) in videos.iter().zip(wanted) {
        let video = predictions(name).map_err(|error| Error::Predictions {
            video: name.to_owned(),
            source: error.into(),
        })?;
        let is_missing = video.is_none();
        if is_missing && wanted.is_none() {
            unknown_length.push(name.to_owned());
        }
        let video = video.unwrap_or_default();
        let last = video.last().map_or(0, FrameIndex::number);
        let frames = wanted.unwrap_or_else(|| frames_to(last).collect());
        let is_written = frames.iter().any(|frame| frame.number() == 0);
        summary.frame_0_left_out += usize::from(video.has_frame_0() && !is_written);
        let (of_video, origins): (Vec<_>, Vec<_>) = frames
            .into_iter()
            .map(|frame| Answer::of(challenge, &video, frame))
            .unzip();
        let count = |origin| origins.iter().filter(|other| **other == origin).count();

        summary.lines += of_video.len();
        summary.filled += count(Origin::Filled);
        summary.neutral += count(Origin::Neutral);
        if is_missing {
            summary.missing.push(name.to_owned());
        } else if count(Origin::Neutral) > 0 {
            summary.faceless.push(name.to_owned());
        }
        answers.push(of_video);
    }
    match if_missing {
        IfMissing::Refuse if !summary.missing.is_empty() => Err(Error::MissingVideos {
            videos: summary.missing,
        }),
        IfMissing::Refuse if summary.neutral == summary.lines => Err(Error::NothingPredicted { challenge }),
        IfMissing::Neutral if !unknown_length.is_empty() => Err(Error::UnknownLength {
            videos: unknown_length,
        }),
        _ => Ok((answers, summary)),
    }
}

/// Writes a header and rows under a temporary name, reads them back, renames the file to `out`.
fn publish<'a>(
    out: &Path,
    challenge: Challenge,
    header: &str,
    rows: impl Iterator<Item = (Option<&'a str>, &'a Answer)> + Clone,
) -> Result<(), Error> {
    if out.exists() && !out.is_file() {
        let source = io::Error::other("it exists and is no regular file");
        return Err(Error::Write {
            path: out.to_owned(),
            source,
        });
    }
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::writing(folder))?;
    let temporary = write_temporary(folder, header, rows.clone()).map_err(Error::writing(out))?;
    read_back(temporary.path(), challenge, header, rows).map_err(|error| match error {
        Error::Line {
            line,
            found,
            expected,
            ..
        } => Error::ReadBack {
            path: out.to_owned(),
            line,
            found,
            expected,
        },
        other => other,
    })?;
    temporary
        .persist(out)
        .map_err(|error| Error::writing(out)(error.error))?;
    Ok(())
}

fn write_temporary<'a>(
    folder: &Path,
    header: &str,
    rows: impl Iterator<Item = (Option<&'a str>, &'a Answer)>,
) -> io::Result<NamedTempFile> {
    // As any new file: all that the umask leaves, not the 0600 of a secret.
    let permissions = Permissions::from_mode(0o666);
    let temporary = tempfile::Builder::new()
        .prefix(".submission-")
        .permissions(permissions)
        .tempfile_in(folder)?;
    let mut text = BufWriter::with_capacity(1 << 20, temporary.as_file());
    writeln!(text, "{header}")?;
    for (image, answer) in rows {
        match image {
            Some(image) => writeln!(text, "{image},{answer}")?,
            None => writeln!(text, "{answer}")?,
        }
    }
    text.flush()?;
    drop(text);
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Checks that the file contains what was to be written: header, number of lines, order, every value.
fn read_back<'a>(
    path: &Path,
    challenge: Challenge,
    header: &str,
    mut rows: impl Iterator<Item = (Option<&'a str>, &'a Answer)>,
) -> Result<(), Error> {
    let bytes = read_file(path)?;
    let mut lines = Lines::new(path, &bytes);
    let first = lines.first(|| quoted(header))?;
    if first.text != header {
        return Err(Mismatch::new(first.text, quoted(header)).at(path, first.number));
    }
    let mut last = first.number;
    lines.each(|line| {
        last = line.number;
        let Some((image, answer)) = rows.next() else {
            return Err(Mismatch::new(line.text, "the end of the file"));
        };
        let mut fields = line.fields();
        let is_in_order = image.is_none_or(|image| fields.next() == Some(image));
        if is_in_order && Answer::parse(challenge, fields)? == *answer {
            return Ok(());
        }
        Err(Mismatch::new(line.text, written(image, answer)))
    })?;
    match rows.next() {
        Some((image, answer)) => Err(Mismatch::new("", written(image, answer)).at(path, last + 1)),
        None => Ok(()),
    }
}

/// A line of a submission.
fn written(image: Option<&str>, answer: &Answer) -> String {
    image.map_or_else(|| format!("`{answer}`"), |image| format!("`{image},{answer}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Expression;

    #[test]
    fn a_file_with_other_contents_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [anger, fear] = [Expression::Anger, Expression::Fear].map(Answer::Expr);
        let written = [(Some("a/1.jpg"), &anger), (Some("a/2.jpg"), &fear)];
        let file = write_temporary(folder.path(), "h", written.into_iter()).unwrap();
        let read_as = |header: &str, rows: &[(Option<&str>, &Answer)]| {
            let rows = rows.iter().copied();
            match read_back(file.path(), Challenge::Expr, header, rows) {
                Err(Error::Line { line, .. }) => Some(line),
                other => other.map(|()| None).unwrap(),
            }
        };
        assert_eq!(read_as("h", &written), None);
        assert_eq!(read_as("other", &written), Some(1));
        assert_eq!(
            read_as("h", &[(Some("a/1.jpg"), &fear), written[1]]),
            Some(2),
            "a value"
        );
        assert_eq!(read_as("h", &[written[1], written[0]]), Some(2), "the order");
        assert_eq!(read_as("h", &written[..1]), Some(3), "a line too many");
        assert_eq!(
            read_as("h", &[written[0], written[1], written[0]]),
            Some(4),
            "a line too few"
        );
    }
}
