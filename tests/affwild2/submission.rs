//! Submissions: templates filled from a run, checked by hand and by reading them back as labels.

use std::fs;
use std::path::Path;

use abaw::affwild2::{
    Challenge, Error, FrameList, FramePrediction, IfMissing, Labels, SubmissionSummary, VideoList,
    VideoPredictions, write_submission, write_video_files,
};
use abaw::frame::FrameIndex;
use abaw::labels::{Expression, ValenceArousal};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::annotation_file;

fn frame(number: u32) -> FrameIndex {
    FrameIndex::new(number).unwrap()
}

/// A prediction whose class and units follow from its valence.
fn prediction(number: u32, valence: f32) -> FramePrediction {
    let mut expression = [0.0; 8];
    expression[(valence.abs() * 7.0) as usize] = 1.0;
    FramePrediction {
        frame: frame(number),
        valence_arousal: Some(ValenceArousal {
            valence,
            arousal: -valence,
        }),
        expression: Some(expression),
        action_units: Some(std::array::from_fn(|unit| valence > unit as f32 / 12.0)),
        filled: false,
        usable: true,
    }
}

/// The run of the golden templates: `frames_present.txt`, valence a tenth of the frame number.
fn golden_run(video: &str) -> Result<Option<VideoPredictions>, Error> {
    let present = FrameList::read(&annotation_file("frames_present.txt"))?;
    let Some(id) = present.videos().id(video) else {
        return Ok(None);
    };
    let frames = &present.frames_by_video()[id.index()];
    VideoPredictions::new(
        frames
            .iter()
            .map(|f| prediction(f.number(), f.number() as f32 / 10.0)),
    )
    .map(Some)
}

fn submit(challenge: Challenge, template: &str) -> (SubmissionSummary, String) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("below/submission.txt");
    let list = FrameList::read(&annotation_file(template)).unwrap();
    let summary = write_submission(challenge, &list, &out, IfMissing::Refuse, golden_run).unwrap();
    assert_eq!(
        fs::read_dir(out.parent().unwrap()).unwrap().count(),
        1,
        "no temporary file is left"
    );
    (summary, fs::read_to_string(out).unwrap())
}

#[test]
fn a_template_is_filled_in_its_order() {
    let (summary, text) = submit(Challenge::Va, "submission_templates/VA_test_set_example.txt");
    assert_eq!(
        text,
        "image_location,valence,arousal\n\
         video1/00001.jpg,0.2,-0.2\nvideo1/00002.jpg,0.2,-0.2\nvideo1/00003.jpg,0.3,-0.3\n\
         video1/00004.jpg,0.4,-0.4\nvideo1/00005.jpg,0.5,-0.5\nvideo1/00006.jpg,0.6,-0.6\n\
         10-60-1280x720_left/00001.jpg,0.1,-0.1\n10-60-1280x720_left/00002.jpg,0.2,-0.2\n\
         10-60-1280x720_left/00003.jpg,0.3,-0.3\n10-60-1280x720_left/00004.jpg,0.3,-0.3\n\
         10-60-1280x720_right/00001.jpg,0.1,-0.1\n10-60-1280x720_right/00002.jpg,0.2,-0.2\n\
         10-60-1280x720_right/00003.jpg,0.3,-0.3\n10-60-1280x720_right/00005.jpg,0.5,-0.5\n\
         10-60-1280x720_right/00006.jpg,0.6,-0.6\n"
    );
    assert_eq!(
        (summary.lines, summary.videos, summary.filled, summary.neutral),
        (15, 3, 5, 0)
    );
    assert_eq!(
        summary.to_string(),
        "15 lines, 3 videos, 5 lines filled from other frames"
    );
}

#[test]
fn classes_and_units_are_those_nearest_in_time() {
    let crlf = "submission_templates/EXPR_test_set_example_crlf_trailing_comma.txt";
    let (_, text) = submit(Challenge::Expr, crlf);
    let header = "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n";
    let video1 = "video1/00001.jpg,1\nvideo1/00002.jpg,1\nvideo1/00003.jpg,2\n\
                  video1/00004.jpg,2\nvideo1/00005.jpg,4\nvideo1/00006.jpg,4\n";
    assert!(text.starts_with(&format!("{header}{video1}")), "{text}");
    assert!(!text.contains('\r'));

    let (_, text) = submit(Challenge::Au, "submission_templates/AU_test_set_example.txt");
    assert_eq!(
        text.lines().nth(4),
        Some("video1/00004.jpg,1,1,1,1,0,0,0,0,0,0,0,0")
    );
    assert_eq!(
        text.lines().nth(5),
        Some("video1/00005.jpg,1,1,1,1,1,1,1,1,0,0,0,0")
    );
}

#[test]
fn video_files_have_a_line_for_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let template = annotation_file("submission_templates/VA_test_set_example.txt");
    let frames = VideoList::read(&template).unwrap();
    let summary = write_video_files(
        Challenge::Va,
        &frames,
        folder.path(),
        IfMissing::Refuse,
        golden_run,
    )
    .unwrap();
    assert_eq!((summary.lines, summary.videos, summary.filled), (16, 3, 6));
    let right = fs::read_to_string(folder.path().join("10-60-1280x720_right.txt")).unwrap();
    assert_eq!(
        right,
        "valence,arousal\n0.1,-0.1\n0.2,-0.2\n0.3,-0.3\n0.4,-0.4\n0.5,-0.5\n0.6,-0.6\n"
    );
    let labels = Labels::read(folder.path()).unwrap();
    assert_eq!(labels.rows().len(), 16);

    let error = write_video_files(
        Challenge::Au,
        &frames,
        folder.path(),
        IfMissing::Refuse,
        golden_run,
    )
    .unwrap_err();
    assert!(
        matches!(error, Error::Line { line: 1, .. }),
        "a template of another challenge: {error}"
    );

    // A list of names is as long as the run.
    let names = VideoList::from_bytes(Path::new("names.txt"), b"10-60-1280x720_left\r\n").unwrap();
    let out = folder.path().join("names");
    let summary = write_video_files(Challenge::Au, &names, &out, IfMissing::Refuse, golden_run).unwrap();
    assert_eq!((summary.lines, summary.filled), (3, 0));
    let unknown = VideoList::from_bytes(Path::new("names.txt"), b"elsewhere").unwrap();
    let error = write_video_files(Challenge::Au, &unknown, &out, IfMissing::Neutral, golden_run).unwrap_err();
    assert!(matches!(error, Error::UnknownLength { videos } if videos == ["elsewhere"]));
    let error = write_video_files(Challenge::Mtl, &names, &out, IfMissing::Refuse, golden_run).unwrap_err();
    assert!(matches!(
        error,
        Error::NoVideoFiles {
            challenge: Challenge::Mtl
        }
    ));
}

#[test]
fn videos_that_the_run_lacks_are_named_or_neutral() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("submission.txt");
    fs::write(&out, "the last good one").unwrap();
    let rows = "video1/00001.jpg\nx/00001.jpg\nx/00002.jpg\ny/00001.jpg\n";
    let list = FrameList::from_bytes(Path::new("t.txt"), rows.as_bytes()).unwrap();
    // `y` is in the run, but no face was found there.
    let run = |video: &str| match video {
        "y" => Ok(Some(VideoPredictions::default())),
        other => golden_run(other),
    };

    let error = write_submission(Challenge::Mtl, &list, &out, IfMissing::Refuse, run).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the run lacks 1 of the listed videos: x; --allow-missing writes neutral values for them"
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "the last good one");

    let summary = write_submission(Challenge::Mtl, &list, &out, IfMissing::Neutral, run).unwrap();
    assert_eq!(
        summary.to_string(),
        "4 lines, 3 videos, 1 lines filled from other frames, 3 neutral; \
         1 not in the run: x; 1 without a face: y"
    );
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("image,valence,arousal,expression,aus\nvideo1/00001.jpg,0.2,-0.2,1,1,1,1,0,"));
    assert!(text.ends_with("\ny/00001.jpg,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n"));
}

#[test]
fn a_run_without_the_task_is_refused() {
    let list = FrameList::from_bytes(Path::new("t.txt"), b"a/1.jpg").unwrap();
    let without_units = |_: &str| {
        VideoPredictions::new([FramePrediction {
            action_units: None,
            ..prediction(1, 0.5)
        }])
        .map(Some)
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.txt");
    let error = write_submission(Challenge::Au, &list, &out, IfMissing::Refuse, without_units).unwrap_err();
    assert!(matches!(
        error,
        Error::NothingPredicted {
            challenge: Challenge::Au
        }
    ));
    assert!(!out.exists());
    write_submission(Challenge::Ce, &list, &out, IfMissing::Refuse, without_units).unwrap();
    assert!(
        fs::read_to_string(&out)
            .unwrap()
            .starts_with("image_location,Fearfully_Surprised,")
    );
}

#[test]
fn what_cannot_be_had_or_written_is_said_with_its_name() {
    let list = FrameList::from_bytes(Path::new("t.txt"), b"a/1.jpg").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |out: &Path| write_submission(Challenge::Va, &list, out, IfMissing::Neutral, golden_run);
    assert!(
        write(folder.path())
            .unwrap_err()
            .to_string()
            .contains("no regular file")
    );
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = write(&file.join("s.txt")).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: cannot be written: ", file.display())),
        "{error}"
    );

    let broken = |_: &str| VideoPredictions::new([prediction(2, 0.0), prediction(1, 0.0)]).map(Some);
    let error = write_submission(Challenge::Va, &list, &file, IfMissing::Neutral, broken).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a: frame 1 comes after frame 2: expected ascending frames, each once"
    );
    let error = Labels::read(&folder.path().join("absent.txt"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("absent.txt: cannot be read: No such file"),
        "{error}"
    );
}

#[test]
#[cfg(unix)]
fn a_submission_is_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let list = FrameList::from_bytes(Path::new("t.txt"), b"a/1.jpg").unwrap();
    let [out, plain] = ["s.txt", "plain"].map(|name| folder.path().join(name));
    write_submission(Challenge::Va, &list, &out, IfMissing::Neutral, golden_run).unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&out), mode(&plain));
}

/// Peak memory of this process in MB, with the other tests that run beside it.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .strip_suffix(" kB")?
        .parse::<u64>()
        .ok()
        .map(|kb| kb / 1024)
}

/// In a process of its own, since the tests beside it use memory, too.
#[test]
fn a_million_lines_take_little_memory() {
    let this = std::env::current_exe().unwrap();
    let mut alone = std::process::Command::new(this);
    alone.args(["--exact", "submission::a_million_lines_alone", "--ignored"]);
    let output = alone.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}

#[test]
#[ignore = "run by a_million_lines_take_little_memory"]
fn a_million_lines_alone() {
    const VIDEOS: u32 = 250;
    const FRAMES: u32 = 4000;
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.txt");
    let mut text = String::from("image,valence,arousal,expression,aus\r\n");
    for video in 0..VIDEOS {
        for number in 1..=FRAMES {
            text.push_str(&format!("{video}-30-1920x1080/{number:05}.jpg,\r\n"));
        }
    }
    fs::write(&template, &text).unwrap();
    drop(text);
    let out = folder.path().join("submission.txt");

    let list = FrameList::read(&template).unwrap();
    // Every 50th frame is missing.
    let run = |_: &str| {
        let frames = (1..=FRAMES).filter(|number| number % 50 != 0);
        VideoPredictions::new(frames.map(|number| prediction(number, (number as f32).sin()))).map(Some)
    };
    let summary = write_submission(Challenge::Mtl, &list, &out, IfMissing::Refuse, run).unwrap();
    let labels = Labels::read(&out).unwrap();

    assert_eq!((summary.lines, labels.rows().len()), (1_000_000, 1_000_000));
    assert_eq!(summary.filled, 20_000);
    let peak = peak_memory();
    assert!(peak.is_none_or(|megabytes| megabytes < 500), "{peak:?} MB");
}

/// What a frame of a video must get: looked for by walking through all its predictions.
fn by_hand(video: &[FramePrediction], wanted: FrameIndex) -> (ValenceArousal, Expression, [bool; 12]) {
    let distance = |row: &&FramePrediction| row.frame.number().abs_diff(wanted.number());
    let nearest = video.iter().min_by_key(distance).unwrap();
    let before = video.iter().rfind(|row| row.frame <= wanted).unwrap_or(&video[0]);
    let after = video
        .iter()
        .find(|row| row.frame >= wanted)
        .unwrap_or(&video[video.len() - 1]);
    let (a, b) = (before.valence_arousal.unwrap(), after.valence_arousal.unwrap());
    let span = f64::from(after.frame.number()) - f64::from(before.frame.number());
    let place = if span > 0.0 {
        (f64::from(wanted.number()) - f64::from(before.frame.number())) / span
    } else {
        0.0
    };
    let mix = |a: f32, b: f32| (f64::from(a) * (1.0 - place) + f64::from(b) * place) as f32;
    let point = ValenceArousal {
        valence: mix(a.valence, b.valence),
        arousal: mix(a.arousal, b.arousal),
    };
    let expression = Expression::most_probable(&nearest.expression.unwrap());
    (point, expression, nearest.action_units.unwrap())
}

fn any_prediction(number: u32) -> impl Strategy<Value = FramePrediction> {
    let values = (
        any::<[f32; 8]>(),
        -1.0f32..=1.0,
        -1.0f32..=1.0,
        any::<[bool; 12]>(),
    );
    values.prop_map(move |(noise, valence, arousal, units)| FramePrediction {
        frame: frame(number),
        valence_arousal: Some(ValenceArousal { valence, arousal }),
        expression: Some(noise.map(|x| if x.is_finite() { x.abs().min(1.0) } else { 0.5 })),
        action_units: Some(units),
        filled: false,
        usable: true,
    })
}

fn any_video() -> impl Strategy<Value = Vec<FramePrediction>> {
    proptest::collection::btree_set(1u32..60, 1..20)
        .prop_flat_map(|frames| frames.into_iter().map(any_prediction).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    /// A submission read back as labels is the run, whatever the list's order and duplicates.
    #[test]
    fn submissions_hold_what_the_run_says(
        videos in proptest::collection::vec(any_video(), 1..4),
        wanted in proptest::collection::vec((any::<Index>(), 1u32..70), 1..60),
    ) {
        let wanted: Vec<_> = wanted.iter().map(|(video, number)| (video.index(videos.len()), frame(*number))).collect();
        let text: String = wanted.iter().map(|(video, frame)| format!("v{video}/{frame}.png\n")).collect();
        let list = FrameList::from_bytes(Path::new("t.txt"), text.as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("s.txt");
        let run = |name: &str| {
            let video: usize = name[1..].parse().unwrap();
            VideoPredictions::new(videos[video].iter().copied()).map(Some)
        };
        let summary = write_submission(Challenge::Mtl, &list, &out, IfMissing::Refuse, run).unwrap();
        let labels = Labels::read(&out).unwrap();

        prop_assert_eq!(labels.rows().len(), wanted.len());
        let mut filled = 0;
        for (row, (video, frame)) in labels.rows().iter().zip(wanted) {
            prop_assert_eq!(labels.videos().name(row.video), format!("v{video}"));
            prop_assert_eq!(row.frame, frame);
            let (point, expression, units) = by_hand(&videos[video], frame);
            let found = row.label.valence_arousal.unwrap();
            if videos[video].iter().any(|row| row.frame == frame) {
                prop_assert_eq!(found, point);
            } else {
                filled += 1;
                prop_assert!((found.valence - point.valence).abs() < 1e-6);
                prop_assert!((found.arousal - point.arousal).abs() < 1e-6);
            }
            prop_assert_eq!(row.label.expression, Some(expression));
            prop_assert_eq!(row.label.all_action_units(), Some(units));
        }
        prop_assert_eq!(summary.filled, filled);
    }
}
