//! What annotators' files may hold: other labels, new persons, two annotators, names and clocks of any kind.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abaw::affwild2::{FrameLabel, Labels};
use abaw::labels::{ActionUnit, Expression};
use serde_json::{Value, json};

use crate::annotated_run::RUN;
use crate::export::export;
use crate::support::workspace::Workspace;
use crate::support::{abaw, abaw_with, errors, expect_exit, sample, stderr_of};

/// An import from a folder of its own.
struct Import {
    out: tempfile::TempDir,
    output: Output,
}

impl Import {
    fn of(exit: i32, format: &str, annotations: &Path, options: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let arguments: [&dyn AsRef<OsStr>; 7] = [
            &"import-labels",
            &RUN.root(),
            &annotations,
            &"--format",
            &format,
            &"--out",
            &out.path(),
        ];
        let output = expect_exit(exit, abaw_with(&arguments).args(options));
        Self { out, output }
    }

    fn labels(&self, video: &str) -> Vec<FrameLabel> {
        let labels = Labels::read(self.out.path()).unwrap();
        let (_, rows) = labels.by_video().find(|(name, _)| *name == video).unwrap();
        rows.iter().map(|row| row.label).collect()
    }

    fn told(&self) -> String {
        stderr_of(&self.output)
    }
}

/// The subject of `two`, who is the same in all frames, and the other person.
fn persons() -> (u16, u16) {
    let (rows, _) = RUN.table("two");
    let subject = rows.iter().find(|row| row.subject).unwrap().person.unwrap().0;
    (subject, 1 - subject)
}

/// The exported tasks of `two` with annotations in place of predictions.
fn tasks(folder: &Path, annotations: impl Fn(Vec<Value>) -> Value) -> PathBuf {
    let path = folder.join("two.json");
    let mut tasks: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let regions = tasks[0]["predictions"][0]["result"].as_array().unwrap().clone();
    tasks[0]["annotations"] = annotations(regions);
    std::fs::write(&path, tasks.to_string()).unwrap();
    path
}

fn expression_region(person: u16, frames: (u32, u32), label: &str) -> Value {
    json!({
        "type": "timelinelabels",
        "value": { "ranges": [{ "start": frames.0, "end": frames.1 }], "timelinelabels": [label] },
        "meta": { "text": [format!("person {person}")] },
    })
}

#[test]
fn label_studio_regions_may_end_one_past_the_last_frame_and_have_labels_of_their_own() {
    let folder = export("label-studio", &[]);
    let (subject, _) = persons();
    let path = tasks(folder.path(), |_| {
        json!([{ "result": [
            expression_region(subject, (1, 30), "Smile"),
            expression_region(subject, (31, 61), "Happiness"),
        ] }])
    });
    let import = Import::of(0, "label-studio", &path, &[]);
    let labels = import.labels("two");
    assert_eq!(labels.len(), 60);
    assert!(labels[..30].iter().all(|label| label.expression.is_none()));
    assert!(
        labels[30..]
            .iter()
            .all(|label| label.expression == Some(Expression::Happiness))
    );
    assert!(
        import
            .told()
            .contains("1 regions of the label `Smile` are left out"),
        "{}",
        import.told()
    );
    // Two past the last is of another video.
    let path = tasks(
        folder.path(),
        |_| json!([{ "result": [expression_region(subject, (31, 62), "Happiness")] }]),
    );
    let import = Import::of(2, "label-studio", &path, &[]);
    assert!(
        import.told().contains("a region of frames 31 to 62"),
        "{}",
        import.told()
    );
}

#[test]
fn two_annotators_are_never_taken_for_one() {
    let folder = export("label-studio", &[]);
    let (subject, _) = persons();
    let by = |who: Value, day: u32, label: &str| {
        json!({
            "completed_by": who,
            "updated_at": format!("2026-01-0{day}T00:00:00Z"),
            "result": [expression_region(subject, (1, 30), "Fear"), expression_region(subject, (31, 60), label)],
        })
    };
    let anna = json!({ "id": 7, "email": "anna@lab" });
    let path = tasks(folder.path(), |_| {
        json!([
            by(json!(3), 2, "Anger"),
            by(anna.clone(), 1, "Sadness"),
            by(json!(3), 1, "Neutral")
        ])
    });
    let last = |import: &Import| import.labels("two")[59].expression;
    let import = Import::of(0, "label-studio", &path, &[]);
    assert_eq!(last(&import), Some(Expression::Anger));
    for told in [
        "annotators anna@lab and 3 agree in 50.0 % of expressions (60 frames",
        "2 people annotated it; the labels are those of 3, the newest",
        "of several annotations by 3 the newest counts",
    ] {
        assert!(import.told().contains(told), "no `{told}` in {}", import.told());
    }
    let import = Import::of(0, "label-studio", &path, &["--annotator", "anna@lab"]);
    assert_eq!(last(&import), Some(Expression::Sadness));
    let import = Import::of(0, "label-studio", &path, &["--annotator", "agree"]);
    let labels = import.labels("two");
    assert!(
        labels[..30]
            .iter()
            .all(|label| label.expression == Some(Expression::Fear))
    );
    assert!(labels[30..].iter().all(|label| label.expression.is_none()));
    assert!(import.told().contains("agree in 50.0 %"), "{}", import.told());
    let import = Import::of(2, "label-studio", &path, &["--annotator", "bob"]);
    assert!(
        import
            .told()
            .contains("no annotation by `bob`; there are those by anna@lab, 3"),
        "{}",
        import.told()
    );
}

#[test]
fn label_studios_other_json_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.json");
    let short = json!([{
        "video": "/data/two.mp4", "id": 1, "annotator": 1,
        "expression": [{ "ranges": [{ "start": 1, "end": 28 }], "timelinelabels": ["Neutral"] }],
    }]);
    std::fs::write(&path, short.to_string()).unwrap();
    let import = Import::of(2, "label-studio", &path, &[]);
    assert!(import.told().contains("JSON-MIN"), "{}", import.told());
}

/// The exported tracks of `two` with more text before the end.
fn tracks(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("two.xml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("</annotations>", &format!("{more}</annotations>")),
    )
    .unwrap();
    path
}

/// A track over frames 10 to 19, 0-based, as CVAT writes one that an annotator draws.
fn track(label: &str, person: &str, expression: &str) -> String {
    let face = |frame: u32, outside: u8| {
        format!(
            "<box frame=\"{frame}\" keyframe=\"1\" outside=\"{outside}\" occluded=\"0\" xtl=\"1\" ytl=\"1\" xbr=\"50\" \
             ybr=\"50\" z_order=\"0\"><attribute name=\"person\">{person}</attribute><attribute \
             name=\"expression\">{expression}</attribute></box>"
        )
    };
    format!(
        "<track id=\"9\" label=\"{label}\" source=\"manual\">{}{}</track>",
        face(10, 0),
        face(20, 1)
    )
}

#[test]
fn a_new_track_in_cvat_is_a_new_person() {
    let folder = export("cvat", &[]);
    let (subject, _) = persons();
    let untouched = Import::of(0, "cvat", &folder.path().join("two.xml"), &[]).labels("two");
    // What CVAT fills in: the default of the exported label, and that of exports before it.
    for person in ["-1", &subject.to_string()] {
        let folder = export("cvat", &[]);
        let path = tracks(folder.path(), &track("face", person, "Sadness"));
        let import = Import::of(0, "cvat", &path, &[]);
        assert_eq!(import.labels("two"), untouched, "{person}");
        assert!(import.told().contains("new person, 2"), "{}", import.told());
        let import = Import::of(0, "cvat", &path, &["--person", "2"]);
        // The table has no such person in any frame, and a label file has a line for each.
        let labels = import.labels("two");
        let sad: Vec<usize> = (0..60)
            .filter(|&at| labels[at].expression == Some(Expression::Sadness))
            .collect();
        assert_eq!(sad, (10..20).collect::<Vec<_>>(), "{person}");
    }
    let exported = std::fs::read_to_string(folder.path().join("two.xml")).unwrap();
    assert!(exported.contains("<default_value>-1</default_value>"));
}

#[test]
fn other_labels_in_cvat_are_left_out_and_counted() {
    let folder = export("cvat", &[]);
    let (subject, _) = persons();
    let untouched = Import::of(0, "cvat", &folder.path().join("two.xml"), &[]).labels("two");
    let path = tracks(folder.path(), &track("hand", &subject.to_string(), "Sadness"));
    let import = Import::of(0, "cvat", &path, &[]);
    assert_eq!(import.labels("two"), untouched);
    assert!(
        import
            .told()
            .contains("1 tracks of other labels than `face` are left out"),
        "{}",
        import.told()
    );
}

#[test]
fn cvat_tracks_may_end_after_the_last_frame_and_images_are_named() {
    let folder = export("cvat", &[]);
    let path = folder.path().join("two.xml");
    let untouched = Import::of(0, "cvat", &path, &[]).labels("two");
    let text = std::fs::read_to_string(&path).unwrap();
    let end = "<box frame=\"60\" keyframe=\"1\" outside=\"1\" occluded=\"0\" xtl=\"0\" ytl=\"0\" xbr=\"1\" ybr=\"1\" \
               z_order=\"0\"></box></track>";
    std::fs::write(&path, text.replace("</track>", end)).unwrap();
    assert_eq!(Import::of(0, "cvat", &path, &[]).labels("two"), untouched);

    let images = "<?xml version=\"1.0\" encoding=\"utf-8\"?><annotations><version>1.1</version><image id=\"0\" \
                  name=\"frame_000000\" width=\"640\" height=\"360\"><box label=\"face\" occluded=\"0\" xtl=\"1\" \
                  ytl=\"1\" xbr=\"50\" ybr=\"50\" z_order=\"0\"></box></image></annotations>";
    std::fs::write(&path, images).unwrap();
    let import = Import::of(2, "cvat", &path, &[]);
    assert!(import.told().contains("CVAT for images"), "{}", import.told());
}

#[test]
fn a_second_file_about_a_video_replaces_no_labels() {
    let folder = export("cvat", &[]);
    let first = Import::of(0, "cvat", &folder.path().join("two.xml"), &[]).labels("two");
    let text = std::fs::read_to_string(folder.path().join("two.xml")).unwrap();
    let other = text
        .replace(">Neutral<", ">Fear<")
        .replace(">Happiness<", ">Fear<");
    assert_ne!(other, text);
    std::fs::write(folder.path().join("two_by_berta.xml"), other).unwrap();
    let import = Import::of(3, "cvat", folder.path(), &[]);
    assert_eq!(import.labels("two"), first);
    let told = import.told();
    assert!(told.contains("two_by_berta.xml: two has labels from "), "{told}");
}

#[test]
fn an_empty_value_in_elan_is_no_label() {
    let folder = export("elan", &[]);
    let (subject, _) = persons();
    let path = folder.path().join("two.eaf");
    let before = Import::of(0, "elan", &path, &[]).labels("two");
    let text = std::fs::read_to_string(&path).unwrap();
    let tier = text
        .find(&format!("TIER_ID=\"person {subject} expression\""))
        .unwrap();
    let value = "<ANNOTATION_VALUE>";
    let at = tier + text[tier..].find(value).unwrap();
    let end = at + text[at..].find("</ANNOTATION_VALUE>").unwrap();
    let emptied = format!(
        "{}<ANNOTATION_VALUE/>{}",
        &text[..at],
        &text[end + "</ANNOTATION_VALUE>".len()..]
    );
    std::fs::write(&path, emptied).unwrap();
    let after = Import::of(0, "elan", &path, &[]).labels("two");
    let first = before[0].expression;
    let length = before
        .iter()
        .take_while(|label| label.expression == first)
        .count();
    assert!(first.is_some() && length < 60);
    assert!(after[..length].iter().all(|label| label.expression.is_none()));
    assert!(
        after[length..]
            .iter()
            .zip(&before[length..])
            .all(|(a, b)| a.expression == b.expression)
    );
}

#[test]
fn all_persons_can_be_imported_and_scored() {
    let folder = export("elan", &[]);
    let (subject, other) = persons();
    let import = Import::of(0, "elan", folder.path(), &[]);
    assert!(
        import.told().contains("two: 1 persons are not the subject"),
        "{}",
        import.told()
    );
    let import = Import::of(0, "elan", folder.path(), &["--person", "all"]);
    let of_row = |person: u16| {
        let (rows, _) = RUN.table("two");
        let rows = rows
            .into_iter()
            .filter(move |row| row.person.is_some_and(|id| id.0 == person));
        rows.map(|row| row.postprocessed.expression).collect::<Vec<_>>()
    };
    for person in [subject, other] {
        let labels = import.labels(&format!("two_person{person}"));
        let expressions: Vec<Option<Expression>> = labels.iter().map(|label| label.expression).collect();
        assert_eq!(expressions, of_row(person), "{person}");
    }
    let labels = import.out.path();
    let output = expect_exit(
        0,
        &mut abaw_with(&[&"evaluate", &RUN.root(), &"--labels", &labels, &"--json"]),
    );
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Predictions beside themselves: right wherever a unit occurs.
    let f1 = scores["per_task"]["f1_au"].as_array().unwrap();
    assert!(
        f1.iter().all(|f1| [0.0, 1.0].contains(&f1.as_f64().unwrap())),
        "{scores}"
    );
    let one = Import::of(
        0,
        "elan",
        &folder.path().join("two.eaf"),
        &["--person", &other.to_string()],
    );
    assert_eq!(one.labels("two"), import.labels(&format!("two_person{other}")));
    assert!(one.labels("two")[0].action_units[ActionUnit::Au1.index()].is_some());
}

#[test]
fn a_missing_folder_is_a_usage_error() {
    let import = Import::of(2, "elan", Path::new("nowhere"), &[]);
    assert_eq!(errors(&import.output).len(), 1);
    assert!(import.told().contains("nowhere"), "{}", import.told());
}

/// A clip of 20 frames that begins half a second after its sound.
pub fn delayed_clip(workspace: &Workspace) -> PathBuf {
    let clip = workspace.path("delayed.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args("-v error -y -nostdin -f lavfi -i sine=duration=2 -itsoffset 0.5 -i".split(' '));
    ffmpeg.arg(sample("astronaut.mp4"));
    ffmpeg.args(
        "-map 0:a -map 1:v -vsync passthrough -frames:v 20 -vf scale=128:96 -c:v libx264 -pix_fmt yuv420p -c:a aac".split(' '),
    );
    expect_exit(0, ffmpeg.arg(&clip));
    clip
}

#[test]
fn exports_have_the_delay_of_the_video() {
    let workspace = Workspace::new();
    let clip = delayed_clip(&workspace);
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args("-v error -select_streams v -show_entries frame=pts_time -of csv=p=0".split(' '));
    let probed = expect_exit(0, ffprobe.arg(&clip)).stdout;
    let times: Vec<f64> = String::from_utf8(probed)
        .unwrap()
        .lines()
        .map(|line| line.trim_end_matches(','))
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().unwrap())
        .collect();
    assert!((times[0] - 0.5).abs() < 0.05, "{times:?}");
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    let exported = |format: &str| {
        let out = workspace.path(format);
        expect_exit(
            0,
            &mut abaw_with(&[&"export", &run, &"--format", &format, &"--out", &out]),
        );
        out
    };
    let elan = std::fs::read_to_string(exported("elan").join("delayed.eaf")).unwrap();
    let slots: Vec<f64> = elan
        .split("TIME_VALUE=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap() / 1000.0)
        .collect();
    let first = slots.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((first - times[0]).abs() < 0.001, "{first} {}", times[0]);

    let tasks = std::fs::read(exported("label-studio").join("delayed.json")).unwrap();
    let tasks: Value = serde_json::from_slice(&tasks).unwrap();
    let fps = tasks[0]["data"]["fps"].as_f64().unwrap();
    let regions = tasks[0]["predictions"][0]["result"].as_array().unwrap();
    let starts = regions
        .iter()
        .map(|region| region["value"]["ranges"][0]["start"].as_u64().unwrap());
    assert_eq!(starts.min().unwrap(), (times[0] * fps).round() as u64 + 1);
}

#[test]
fn the_path_of_a_video_is_encoded_in_label_studios_url() {
    let workspace = Workspace::new();
    let clip = workspace.clip("clip.mp4", 2);
    std::fs::create_dir(workspace.path("videos")).unwrap();
    let names = ["a#1 & 2.mp4", "per%41cent.mp4", "plus+sign.mp4", "é?=;.mp4"];
    for name in names {
        std::fs::copy(&clip, workspace.path("videos").join(name)).unwrap();
    }
    let (run, out) = (workspace.path("run"), workspace.path("tasks"));
    expect_exit(0, &mut workspace.annotate(&[workspace.path("videos")], &run));
    expect_exit(
        0,
        abaw()
            .arg("export")
            .arg(&run)
            .args(["--format", "label-studio", "--out"])
            .arg(&out),
    );
    for name in names {
        let path = out.join(Path::new(name).with_extension("json"));
        let tasks: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let url = tasks[0]["data"]["video"].as_str().unwrap();
        // As a web server reads the query.
        let mut python = Command::new("python3");
        python.arg("-c").arg(
            "import sys, urllib.parse as u; q = u.urlsplit(sys.argv[1]); assert not q.fragment; \
             print('/' + u.parse_qs(q.query)['d'][0], end='')",
        );
        let decoded = expect_exit(0, python.arg(url)).stdout;
        let decoded = PathBuf::from(String::from_utf8(decoded).unwrap());
        assert_eq!(
            decoded,
            std::path::absolute(workspace.path("videos").join(name)).unwrap(),
            "{url}"
        );
    }
}
