//! Marks: made on the report's pages by mouse and keyboard, saved, imported, and equal to what was marked.

use std::path::{Path, PathBuf};

use abaw::affwild2::{FrameLabel, Labels};
use abaw::export::{self, AnnotatedVideo, Source, Whose};
use abaw::labels::{ActionUnit, Expression};
use abaw::table::Row;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::annotated_run::RUN;
use crate::browser::{Job, look};
use crate::imports::delayed_clip;
use crate::made_up;
use crate::report;
use crate::support::workspace::Workspace;
use crate::support::{abaw_with, errors, expect_exit, golden, stderr_of};

const CONTROL: &str = "\u{e009}";
const RIGHT: &str = "\u{e014}";
const HOME: &str = "\u{e011}";
const ESCAPE: &str = "\u{e00c}";
const AFFECT: u32 = 0;
const ROWS: u32 = 1;

/// The times of the frames of a table.
fn times(rows: &[Row]) -> Vec<f64> {
    let mut times: Vec<f64> = rows.iter().map(|row| row.time_s.unwrap()).collect();
    times.dedup();
    times
}

/// Where the middle of a frame is, as a share of the width of the charts, which show all frames.
fn share(times: &[f64], frame: usize) -> f64 {
    let middle = (times[frame] + times[frame + 1]) / 2.0;
    (middle - times[0]) / (times[times.len() - 1] - times[0])
}

/// Where a coordinate is, as a share of the height of the first chart from its top, -1.04 to 1.04.
fn down(coordinate: f64) -> f64 {
    (1.04 - coordinate) / 2.08
}

trait Marks: Sized {
    fn choose(self, what: &str) -> Self;
    fn drag_over(self, chart: u32, times: &[f64], first: usize, last: usize) -> Self;
    fn by_keyboard(self, first: usize, last: usize) -> Self;
    fn go_to(self, frame: usize) -> Self;
}

impl Marks for Job {
    fn choose(self, what: &str) -> Self {
        self.then("select", &[json!("#mark-what"), json!(what)])
    }

    fn drag_over(self, chart: u32, times: &[f64], first: usize, last: usize) -> Self {
        let place = |frame| json!([share(times, frame), 0.5]);
        self.then("draw", &[json!(chart), place(first), place(last)])
    }

    fn by_keyboard(self, first: usize, last: usize) -> Self {
        let steps = RIGHT.repeat(last - first);
        self.go_to(first)
            .then("keys", &[json!("m")])
            .then("keys", &[json!(steps)])
            .then("keys", &[json!("m")])
    }

    fn go_to(self, frame: usize) -> Self {
        self.then("keys", &[json!(format!("{HOME}{}", RIGHT.repeat(frame)))])
    }
}

fn import(exit: i32, run: &Path, marks: &Path, options: &[&str]) -> (tempfile::TempDir, String) {
    let out = tempfile::tempdir().unwrap();
    let mut command = abaw_with(&[
        &"import-labels",
        &run,
        &marks,
        &"--format",
        &"report",
        &"--out",
        &out.path(),
    ]);
    let output = expect_exit(exit, command.args(options));
    assert!(exit == 0 || !errors(&output).is_empty());
    (out, stderr_of(&output))
}

fn labels(folder: &Path, video: &str) -> Vec<FrameLabel> {
    let labels = Labels::read(folder).unwrap();
    let (_, rows) = labels.by_video().find(|(name, _)| *name == video).unwrap();
    rows.iter().map(|row| row.label).collect()
}

fn subject_rows(video: &str) -> Vec<Row> {
    let (rows, _) = RUN.table(video);
    rows.into_iter().filter(|row| row.subject).collect()
}

#[test]
fn what_is_marked_on_a_page_comes_back_as_labels() {
    let folder = tempfile::tempdir().unwrap();
    let (out, saved) = (folder.path().join("report"), folder.path().join("saved"));
    std::fs::create_dir(&saved).unwrap();
    let done = report(&RUN.root(), &out, None);
    assert!(done.status.success(), "{}", stderr_of(&done));
    let page = |video: &str| out.join(format!("videos/{video}.html"));
    let rows = subject_rows("two");
    let at = times(&rows);
    let other = 1 - rows[0].person.unwrap().0;

    let two = Job::new(&page("two"), 1280)
        .then("write", &[json!("#annotator"), json!("Anna B.")])
        .then("press", &[json!("#mark-draw")])
        .choose("Sadness")
        .drag_over(ROWS, &at, 10, 20)
        // Drawn from right to left, over a part of what is there.
        .choose("Other")
        .drag_over(AFFECT, &at, 24, 18)
        .choose("Valence")
        .then(
            "draw",
            &[
                json!(AFFECT),
                json!([share(&at, 10), down(-0.8)]),
                json!([share(&at, 20), down(0.7)]),
            ],
        )
        .then("text", &[json!("#mark-status")])
        .choose("Arousal")
        .then("write", &[json!("#mark-value"), json!("0.5")])
        .go_to(10)
        .then("keys", &[json!("m")])
        .then("write", &[json!("#mark-value"), json!("-0.5")])
        .go_to(19)
        .then("keys", &[json!("m")])
        .choose("AU4 active")
        .by_keyboard(0, 3)
        .choose("AU12 not active")
        .by_keyboard(2, 5)
        .choose("As predicted, where nothing else is marked")
        .drag_over(2, &at, 40, 50)
        .choose("Disgust")
        .drag_over(ROWS, &at, 45, 47)
        .choose("Nothing: erase")
        .drag_over(ROWS, &at, 49, 52)
        // Marked and undone; begun and dropped; marked and removed.
        .choose("Fear")
        .drag_over(ROWS, &at, 30, 33)
        .then("keys", &[json!(CONTROL), json!("z")])
        .go_to(30)
        .then("keys", &[json!(format!("m{RIGHT}{ESCAPE}"))])
        .by_keyboard(54, 56)
        .then("keys", &[json!("\u{e017}")])
        // Marked, undone and done again.
        .by_keyboard(57, 58)
        .then("keys", &[json!(CONTROL), json!("z")])
        .then("keys", &[json!(CONTROL), json!("y")])
        .then("person", &[json!(1 + other)])
        .choose("Anger")
        .by_keyboard(7, 8)
        .then("reload", &[])
        .then("press", &[json!("#mark-count")])
        .then("text", &[json!("#mark-list li button:first-child")])
        .then("download", &[json!("#mark-save"), json!(saved)]);
    let uneven = subject_rows("batch1/small");
    let uneven_at = times(&uneven);
    let steps = uneven_at.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.fold(0.0, f64::max) > 0.07, "a clip of variable rate");
    let name = std::fs::read_dir(out.join("videos"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.to_string_lossy().contains("small") && path.extension().is_some_and(|kind| kind == "html")
        });
    let small = Job::new(&name.unwrap(), 400)
        .then("text", &[json!("#mark-count")])
        .choose("Surprise")
        .then("press", &[json!("#mark-draw")])
        .drag_over(ROWS, &uneven_at, 5, 31)
        .then("download", &[json!("#mark-save"), json!(saved)]);
    let seen = look(vec![two, small]);

    let did = seen[0]["did"].as_array().unwrap();
    assert!(
        did.iter().any(|told| told[0]
            .as_str()
            .is_some_and(|told| told.contains("A label needs valence and arousal"))),
        "{did:?}"
    );
    let listed = did[did.len() - 2].as_array().unwrap();
    let listed: Vec<&str> = listed.iter().map(|mark| mark.as_str().unwrap()).collect();
    assert_eq!(listed[0], "AU4 active, 0:00.00 to 0:00.12, Subject");
    assert!(
        listed.contains(&format!("Anger, 0:00.28 to 0:00.32, Person {other}").as_str()),
        "{listed:?}"
    );
    assert_eq!(listed.len(), 10, "{listed:?}");
    assert!(saved.join("two.Anna-B-.json").exists());
    // The name goes with the browser, the marks stay with their video.
    assert_eq!(seen[1]["did"][0], json!(["No marks"]));

    let (imported, told) = import(0, &RUN.root(), &saved, &[]);
    assert!(
        told.contains("1 frames have a mark of one of valence and arousal only"),
        "{told}"
    );
    let got = labels(imported.path(), "two");
    assert_eq!(got.len(), 60);
    for (frame, label) in got.iter().enumerate() {
        let predicted = &rows[frame].postprocessed;
        let is_predicted = (40..49).contains(&frame);
        let expression = match frame {
            10..18 => Some(Expression::Sadness),
            18..=24 => Some(Expression::Other),
            45..=47 => Some(Expression::Disgust),
            57..=58 => Some(Expression::Fear),
            _ if is_predicted => predicted.expression,
            _ => None,
        };
        assert_eq!(label.expression, expression, "{frame}");
        let mut units = [None; 12];
        if is_predicted {
            units = predicted.action_units;
        }
        if frame <= 3 {
            units[ActionUnit::Au4.index()] = Some(true);
        }
        if (2..=5).contains(&frame) {
            units[ActionUnit::Au12.index()] = Some(false);
        }
        assert_eq!(label.action_units, units, "{frame}");
        match label.valence_arousal {
            Some(point) if is_predicted => assert_eq!(Some(point), predicted.affect.valence_arousal),
            Some(point) => {
                assert!((10..=19).contains(&frame), "{frame}");
                let drawn = -0.8 + 1.5 * (frame as f32 - 10.0) / 10.0;
                // The mouse is in the middle of a frame, and a pixel is 0.01 high.
                assert!((point.valence - drawn).abs() < 0.03, "{frame}: {point:?} {drawn}");
                let typed = 0.5 - (frame as f32 - 10.0) / 9.0;
                assert!((point.arousal - typed).abs() < 1e-3, "{frame}: {point:?} {typed}");
            }
            None => assert!(!is_predicted && !(10..=19).contains(&frame), "{frame}"),
        }
    }
    let small = labels(imported.path(), "batch1/small");
    let surprised: Vec<usize> = (0..small.len())
        .filter(|&frame| small[frame].expression.is_some())
        .collect();
    assert_eq!(surprised, (5..=31).collect::<Vec<_>>());

    let (of_other, _) = import(
        0,
        &RUN.root(),
        &saved.join("two.Anna-B-.json"),
        &["--person", &other.to_string()],
    );
    let angry = labels(of_other.path(), "two");
    let angry: Vec<usize> = (0..60)
        .filter(|&frame| angry[frame].expression == Some(Expression::Anger))
        .collect();
    assert_eq!(angry, [7, 8]);

    let scores = expect_exit(
        0,
        &mut abaw_with(&[&"evaluate", &RUN.root(), &"--labels", &imported.path(), &"--json"]),
    );
    let scores: Value = serde_json::from_slice(&scores.stdout).unwrap();
    assert_eq!(
        scores["per_task"]["frames"],
        json!({"va": 19, "expression": 15 + 9 + 2 + 27, "au": 9})
    );
}

#[test]
fn marks_of_a_delayed_video_are_on_its_own_clock_and_a_saved_file_is_opened() {
    let workspace = Workspace::new();
    let clip = delayed_clip(&workspace);
    let (run, out) = (workspace.path("run"), workspace.path("report"));
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    assert!(report(&run, &out, None).status.success());
    let (rows, _) = abaw::table::read(&run.join("frames/delayed.parquet")).unwrap();
    let at = times(&rows);
    assert!((at[0] - 0.5).abs() < 0.05, "{at:?}");
    let saved = workspace.path("saved");
    std::fs::create_dir(&saved).unwrap();
    let page = out.join("videos/delayed.html");
    let first = Job::new(&page, 1280)
        .then("press", &[json!("#mark-save")])
        .then("text", &[json!("#mark-status")])
        .then("write", &[json!("#annotator"), json!("berta")])
        .then("press", &[json!("#mark-draw")])
        .choose("Happiness")
        .drag_over(ROWS, &at, 3, 6)
        .choose("Neutral")
        .by_keyboard(15, 19)
        .then("download", &[json!("#mark-save"), json!(saved)]);
    let seen = look(vec![first]);
    assert_eq!(
        seen[0]["did"][1],
        json!(["Write your name first: it tells annotators apart."])
    );
    let path = saved.join("delayed.berta.json");
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let begin = file["marks"][0]["begin"].as_f64().unwrap();
    assert!((begin - at[3]).abs() < 1e-3, "{begin} {at:?}");
    let frames = |folder: &Path| {
        let labels = labels(folder, "delayed");
        let of = |expression| {
            (0..20)
                .filter(|&frame| labels[frame].expression == Some(expression))
                .collect::<Vec<_>>()
        };
        [of(Expression::Happiness), of(Expression::Neutral)]
    };
    let (imported, _) = import(0, &run, &path, &[]);
    assert_eq!(
        frames(imported.path()),
        [vec![3, 4, 5, 6], vec![15, 16, 17, 18, 19]]
    );

    // Another browser, which has kept nothing, opens the file, changes it and saves it again.
    let again = workspace.path("again");
    std::fs::create_dir(&again).unwrap();
    let second = Job::new(&page, 1280)
        .then("text", &[json!("#mark-count")])
        .then("open_file", &[json!("#mark-file"), json!(path)])
        .then("text", &[json!("#mark-count")])
        .choose("Nothing: erase")
        .by_keyboard(0, 4)
        .then("download", &[json!("#mark-save"), json!(again)]);
    let seen = look(vec![second]);
    assert_eq!(
        (&seen[0]["did"][0], &seen[0]["did"][2]),
        (&json!(["No marks"]), &json!(["2 marks"]))
    );
    let (imported, _) = import(0, &run, &again, &[]);
    assert_eq!(frames(imported.path()), [vec![5, 6], vec![15, 16, 17, 18, 19]]);
}

#[test]
fn marks_of_crops_are_by_the_numbers_of_their_frames() {
    let workspace = Workspace::new();
    let (run, out, saved) = (
        workspace.path("run"),
        workspace.path("report"),
        workspace.path("saved"),
    );
    let crops = workspace.path("crops/v");
    std::fs::create_dir_all(&crops).unwrap();
    std::fs::create_dir(&saved).unwrap();
    for number in [1, 2, 3, 5, 8, 9] {
        let crop = crops.join(format!("{number:05}.jpg"));
        std::fs::copy(golden("crops/jpeg_444.jpg"), crop).unwrap();
    }
    let mut annotate = workspace.annotate_with(&["--crops"], &[workspace.path("crops")], &run);
    expect_exit(0, &mut annotate);
    assert!(report(&run, &out, None).status.success());
    let job = Job::new(&out.join("videos/v.html"), 1280)
        .then("write", &[json!("#annotator"), json!("anna")])
        .choose("Sadness")
        .by_keyboard(1, 3)
        .then("press", &[json!("#mark-draw")])
        .choose("Fear")
        // From 1 to 9: frame 5 is shown until frame 8 begins.
        .then("draw", &[json!(ROWS), json!([0.95, 0.5]), json!([0.7, 0.5])])
        .then("download", &[json!("#mark-save"), json!(saved)]);
    look(vec![job]);
    let (imported, _) = import(0, &run, &saved, &[]);
    let expressions: Vec<Option<Expression>> = labels(imported.path(), "v")
        .iter()
        .map(|label| label.expression)
        .collect();
    let (sad, afraid) = (Some(Expression::Sadness), Some(Expression::Fear));
    assert_eq!(
        expressions,
        [None, sad, sad, None, afraid, None, None, afraid, None]
    );
}

/// A file of marks of `two`.
fn file(annotator: &str, day: u32, marks: &Value) -> Value {
    let (_, footer) = RUN.table("two");
    json!({
        "format": "abaw marks", "version": 1, "annotator": annotator, "saved": format!("2026-01-0{day}T00:00:00Z"),
        "run": "run", "settings_hash": footer.settings_hash, "video": "two", "axis": "seconds", "marks": marks,
    })
}

fn expression(begin: f64, end: f64, label: &str) -> Value {
    json!({ "person": "subject", "begin": begin, "end": end, "what": "expression", "label": label })
}

fn write(folder: &Path, name: &str, file: &Value) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, file.to_string()).unwrap();
    path
}

#[test]
fn the_files_of_two_annotators_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let curve = |from: f64, to: f64| {
        [("valence", from, to), ("arousal", to, from)].map(|(what, from, to)| {
            json!({ "person": "subject", "begin": 0.0, "end": 1.2, "what": what, "curve": [[0.0, from], [1.16, to]] })
        })
    };
    let [valence, arousal] = curve(0.0, 0.5);
    let anna = json!([
        expression(0.0, 1.2, "Fear"),
        expression(1.2, 2.4, "Anger"),
        valence,
        arousal
    ]);
    let [valence, arousal] = curve(0.1, 0.6);
    let berta = json!([
        expression(0.0, 1.2, "Fear"),
        expression(1.2, 2.4, "Sadness"),
        valence,
        arousal
    ]);
    write(folder.path(), "a.json", &file("anna", 2, &anna));
    write(folder.path(), "b.json", &file("berta", 1, &berta));
    write(folder.path(), "c.json", &file("anna", 1, &json!([])));
    let last = |options: &[&str]| {
        let (out, told) = import(0, &RUN.root(), folder.path(), options);
        (labels(out.path(), "two"), told)
    };
    let (newest, told) = last(&[]);
    assert_eq!(newest[59].expression, Some(Expression::Anger));
    // 2 x variance / (2 x variance + 0.1^2), with the variance of 30 even steps from 0 to 0.5.
    let variance = 0.25 / 12.0 * 31.0 / 29.0;
    let ccc = 2.0 * variance / (2.0 * variance + 0.01);
    for wanted in [
        "annotators berta and anna agree in 50.0 % of expressions (60 frames",
        &format!("CCC of valence {ccc:.2} and arousal {ccc:.2} (30 frames)"),
        "2 people annotated it; the labels are those of anna, the newest",
        "of several annotations by anna the newest counts",
    ] {
        assert!(told.contains(wanted), "no `{wanted}` in {told}");
    }
    let (berta, _) = last(&["--annotator", "berta"]);
    assert_eq!(berta[59].expression, Some(Expression::Sadness));
    assert!((berta[0].valence_arousal.unwrap().valence - 0.1).abs() < 1e-6);
    let (agreed, _) = last(&["--annotator", "agree"]);
    assert!(
        agreed[..30]
            .iter()
            .all(|label| label.expression == Some(Expression::Fear))
    );
    assert!(agreed[30..].iter().all(|label| label.expression.is_none()));
    assert!(agreed.iter().all(|label| label.valence_arousal.is_none()));
    let (_, told) = import(2, &RUN.root(), folder.path(), &["--annotator", "carla"]);
    assert!(
        told.contains("no annotation by `carla`; there are those by berta, anna"),
        "{told}"
    );
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told =
        |exit: i32, file: &Value| import(exit, &RUN.root(), &write(folder.path(), "two.json", file), &[]).1;
    let good = || file("anna", 1, &json!([expression(0.0, 1.0, "Fear")]));
    let with = |key: &str, value: Value| {
        let mut file = good();
        file[key] = value;
        file
    };
    let mark = |change: Value| {
        let mut mark = expression(0.0, 1.0, "Fear");
        let changes = change.as_object().unwrap().clone();
        mark.as_object_mut().unwrap().extend(changes);
        with("marks", json!([mark]))
    };
    for (file, reason) in [
        (
            json!([{ "annotations": [] }]),
            "not marks that were saved on a page of `abaw report`",
        ),
        (
            with("format", json!("other")),
            "the format is `other`, expected `abaw marks`",
        ),
        (
            with("version", json!(2)),
            "marks of version 2; this program reads version 1",
        ),
        (with("video", json!("nowhere")), "the run has no video `nowhere`"),
        (
            mark(json!({ "label": "Contempt" })),
            "unknown expression `Contempt`; expected Neutral, Anger",
        ),
        (
            mark(json!({ "person": 7 })),
            "a mark of person 7, who is not in the table of this run",
        ),
        (
            mark(json!({ "end": 9.0 })),
            "a mark from 0 to 9 seconds, but the video is from 0 to 2.4",
        ),
        (mark(json!({ "begin": 1.1 })), "a mark from 1.1 to 1 seconds"),
        (
            mark(json!({ "what": "action_unit", "label": "AU3", "present": true })),
            "unknown action unit `AU3`",
        ),
        (
            mark(json!({ "what": "valence", "curve": [] })),
            "a curve without points",
        ),
        (
            mark(json!({ "what": "valence", "curve": [[0.0, 1.5]] })),
            "a curve outside of [-1, 1]",
        ),
        (
            mark(json!({ "what": "arousal", "curve": [[0.4, 0.5], [0.4, 0.6]] })),
            "points do not follow one another",
        ),
        (mark(json!({ "what": "pain" })), "unknown variant `pain`"),
    ] {
        let told = told(2, &file);
        assert!(told.contains(reason), "no `{reason}` in {told}");
    }
    let told = told(0, &with("settings_hash", json!("0")));
    assert!(
        told.contains("the marks were made on a run with other settings"),
        "{told}"
    );
}

/// A mark of frames, both included, which begins and ends up to two fifths of a frame beside them.
#[derive(Debug, Clone)]
struct Marked {
    frames: (usize, usize),
    beside: (f64, f64),
    what: usize,
    present: bool,
}

/// Any marks on any clock.
fn any_marks() -> impl Strategy<Value = (Vec<u32>, f64, Vec<Marked>)> {
    let mark = (
        any::<[usize; 2]>(),
        (-0.4..0.4, -0.4..0.4),
        0..4_usize,
        any::<bool>(),
    );
    let steps = proptest::collection::vec(2_u32..200, 1..40);
    (steps, -5.0..5000.0, proptest::collection::vec(mark, 0..12)).prop_map(|(steps, start_s, marks)| {
        let count = steps.len();
        let mark = |([one, other], beside, what, present): ([usize; 2], _, _, _)| Marked {
            frames: (one % (other % count + 1), other % count),
            beside,
            what,
            present,
        };
        let marks = marks.into_iter().map(mark).collect();
        (steps, start_s, marks)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_marks_are_painted_one_over_the_other((steps, start_s, marks) in any_marks(), timed in any::<bool>()) {
        let (_, mut footer) = RUN.table("two");
        footer.stream["start_s"] = json!(start_s - 0.25);
        let mut starts = vec![start_s];
        starts.extend(steps.iter().scan(start_s, |clock, step| {
            *clock += f64::from(*step) / 1000.0;
            Some(*clock)
        }));
        let rows: Vec<Row> = (0..steps.len())
            .map(|at| {
                let row = made_up::row(at as u32 + 1, made_up::wave(at as u32));
                Row { time_s: timed.then_some(starts[at]), ..row }
            })
            .collect();
        let count = rows.len();
        // The last frame is as long as the frame rate has it.
        *starts.last_mut().unwrap() = starts[count - 1] + 0.04;
        let place = |at: usize, beside: f64| {
            let before = starts[at] - starts[at.saturating_sub(1)];
            let after = starts[(at + 1).min(count)] - starts[at];
            match timed {
                false => at as f64 + 1.0,
                true if at == 0 || at == count => starts[at],
                true if beside < 0.0 => starts[at] + beside * before,
                true => starts[at] + beside * after,
            }
        };
        let list: Vec<Value> = marks
            .iter()
            .map(|mark| {
                let (begin, end) = (place(mark.frames.0, mark.beside.0), place(mark.frames.1 + 1, mark.beside.1));
                let mut written = json!({ "person": "subject", "begin": begin, "end": end });
                let content = match mark.what {
                    0 => json!({ "what": "expression", "label": if mark.present { "Fear" } else { "Other" } }),
                    1 => json!({ "what": "action_unit", "label": "AU15", "present": mark.present }),
                    2 => json!({ "what": "as_predicted" }),
                    _ => json!({ "person": 0, "what": "action_unit", "label": "AU4", "present": mark.present }),
                };
                written.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
                written
            })
            .collect();
        let mut file = file("anna", 1, &json!(list));
        file["axis"] = json!(if timed { "seconds" } else { "frames" });
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "marks.json", &file);

        let video = AnnotatedVideo::new("two".to_owned(), "two.mp4".into(), rows.clone(), &footer);
        let read = export::read(&path, Source::Report).unwrap();
        let got = read[0].corrections(&video, None).unwrap().labels(&video, Whose::Subject);
        for (at, label) in got.iter().enumerate() {
            let here = marks.iter().filter(|mark| (mark.frames.0..=mark.frames.1).contains(&at));
            let mut wanted = FrameLabel::default();
            for mark in here.clone() {
                match mark.what {
                    0 => wanted.expression = Some(if mark.present { Expression::Fear } else { Expression::Other }),
                    1 => wanted.action_units[ActionUnit::Au15.index()] = Some(mark.present),
                    2 => {}
                    _ => wanted.action_units[ActionUnit::Au4.index()] = Some(mark.present),
                }
            }
            if here.clone().any(|mark| mark.what == 2) {
                let predicted = &rows[at].postprocessed;
                wanted.valence_arousal = predicted.affect.valence_arousal;
                wanted.expression = wanted.expression.or(predicted.expression);
                for (unit, present) in wanted.action_units.iter_mut().zip(predicted.action_units) {
                    *unit = unit.or(present);
                }
            }
            prop_assert_eq!(label, &wanted, "frame {}", at);
        }
    }
}
