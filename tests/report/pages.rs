//! What a person sees and does, at the width of a desk and of a phone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quick_xml::events::Event;
use serde_json::{Value, json};

use crate::browser::{Job, look};
use crate::support::workspace::Workspace;
use crate::support::{expect_exit, stderr_of, summary};
use crate::{real_run, report};

/// Of `two_people.mp4` and `astronaut.mp4` in frames.
const ASTRONAUT_FRAMES: f64 = 250.0;

/// The report of the run, below `folder`.
fn real_report(folder: &Path) -> PathBuf {
    let out = folder.join("report");
    let done = report(&real_run(), &out, None);
    assert!(done.status.success(), "{}", stderr_of(&done));
    out
}

#[test]
fn a_real_run_at_a_desk_and_on_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let out = real_report(folder.path());
    let (index, page) = (out.join("index.html"), out.join("videos/astronaut.html"));
    let two = out.join("videos/two_people.html");
    let at = |width: u32| {
        let overview = Job::new(&index, width)
            .then("text", &[json!(".warning")])
            .then("sort", &[json!(1)])
            .then("sort", &[json!(1)])
            .then("find", &[json!("ASTRO")])
            .then("follow", &[json!("astronaut")]);
        let video = Job::new(&page, width)
            .then("ink", &[])
            .then("state", &[])
            .then("click", &[json!(0), json!(0.5)])
            .then("click", &[json!(1), json!(0.25)])
            .then("hover", &[json!(2), json!(0.8)])
            .then("keys", &[json!("\u{e014}")])
            .then("keys", &[json!("\u{e008}\u{e012}")])
            .then("keys", &[json!("\u{e010}")])
            .then("keys", &[json!("\u{e011}")])
            .then("play", &[])
            .then("pictures", &[])
            .then("text", &[json!("#legend li")]);
        [overview, video]
    };
    let zoom = Job::new(&page, 1280)
        .then("drag", &[json!(0), json!(0.4), json!(0.6)])
        .then("keys", &[json!("+")])
        .then("keys", &[json!("0")])
        .then(
            "script",
            &[json!("document.getElementById('in').click(); return null")],
        )
        .then("state", &[]);
    let persons = Job::new(&two, 1280)
        .then(
            "script",
            &[json!(
                "return [...document.getElementById('person').options].map((one) => one.textContent)"
            )],
        )
        .then("pictures", &[])
        .then("person", &[json!(2)])
        .then("ink", &[])
        .then("pictures", &[]);
    let mut jobs: Vec<Job> = [1280, 400].into_iter().flat_map(at).collect();
    jobs.extend([zoom, persons]);
    let seen = look(jobs);

    for overview in [&seen[0], &seen[2]] {
        overview_is_sound(overview);
    }
    for video in [&seen[1], &seen[3]] {
        video_is_sound(video);
    }
    zooming_is_sound(&seen[4]);

    let names: Vec<&str> = strings(&seen[5]["did"][0]);
    assert_eq!(
        names,
        [
            "Subject (120 frames)",
            "Person 0 (120 frames)",
            "Person 1 (120 frames)"
        ]
    );
    assert_eq!(seen[5]["did"][2]["track"], "Person 1");
    ink_is_there(&seen[5]["did"][3]);
    assert_ne!(seen[5]["did"][1], json!([]));
    assert_ne!(seen[5]["did"][4], json!([]));
}

fn overview_is_sound(seen: &Value) {
    let did = &seen["did"];
    assert!(strings(&did[0])[0].contains("Untrained network"), "{did}");
    assert_eq!(did[1]["names"], json!(["astronaut", "two_people"]));
    assert_eq!(did[1]["sort"], "descending");
    assert_eq!(did[2]["names"], json!(["two_people", "astronaut"]));
    assert_eq!(did[2]["sort"], "ascending");
    assert_eq!(did[3], json!(["astronaut"]));
    assert_eq!(did[4], "astronaut · abaw report");
}

fn video_is_sound(seen: &Value) {
    let did = seen["did"].as_array().unwrap();
    ink_is_there(&did[0]);
    assert_eq!(did[1]["chosen"], 0);
    let frame = |state: &Value| state["chosen"].as_f64().unwrap();
    let overlay = |state: &Value| state["overlay"]["time"].as_f64().unwrap();
    // A click goes to its place, and the overlay with it.
    for (state, share) in [(&did[2], 0.5), (&did[3], 0.25)] {
        let expected = share * ASTRONAUT_FRAMES;
        assert!((frame(state) - expected).abs() < 4.0, "{state}");
        assert!((overlay(state) - frame(state) / 25.0).abs() < 0.04, "{state}");
        assert_eq!(state["overlay"]["error"], Value::Null);
        assert_eq!(state["value"], json!((frame(state) + 1.0).to_string()));
        let words = state["words"].as_str().unwrap();
        // In the middle nobody is seen for more than a second.
        let is_right = match share {
            0.5 => words.ends_with("nobody"),
            _ => words.contains("valence") && words.contains('%'),
        };
        assert!(is_right, "{words}");
    }
    // The mouse alone changes what is read, not the place.
    assert_eq!(did[4]["chosen"], did[3]["chosen"]);
    let hovered: f64 = did[4]["frame"].as_str().unwrap().parse().unwrap();
    assert!((hovered - 0.8 * ASTRONAUT_FRAMES).abs() < 5.0, "{}", did[4]);
    // Keys: one frame on, one second back, the end, the beginning.
    assert_eq!(frame(&did[5]), frame(&did[3]) + 1.0);
    assert_eq!(frame(&did[6]), frame(&did[5]) - 25.0);
    assert_eq!(frame(&did[7]), ASTRONAUT_FRAMES - 1.0);
    assert_eq!(frame(&did[8]), 0.0);
    // The timeline follows the overlay.
    let played = &did[9];
    assert!((overlay(played) - frame(played) / 25.0).abs() < 0.2, "{played}");
    let pictures = did[10].as_array().unwrap();
    let in_between = pictures
        .iter()
        .filter(|one| one[1].as_str().unwrap().to_lowercase().contains("in between"));
    assert_eq!(in_between.count(), 6, "{pictures:?}");
    assert!(pictures.len() >= 10, "{pictures:?}");
    for picture in pictures {
        assert_eq!(picture[0], 128);
    }
    let legend = strings(&did[11]);
    for name in ["Valence", "Cut", "Face not seen, filled", "Happiness"] {
        assert!(legend.contains(&name), "{legend:?}");
    }
}

fn zooming_is_sound(seen: &Value) {
    let did = &seen["did"];
    let range = |state: &Value| (state["min"].as_f64().unwrap(), state["max"].as_f64().unwrap());
    let whole = (ASTRONAUT_FRAMES - 1.0) / 25.0;
    let (min, max) = range(&did[0]);
    assert!(
        (min - 0.4 * whole).abs() < 0.1 && (max - 0.6 * whole).abs() < 0.1,
        "{}",
        did[0]
    );
    let (nearer_min, nearer_max) = range(&did[1]);
    assert!(nearer_max - nearer_min < 0.6 * (max - min), "{}", did[1]);
    let (all_min, all_max) = range(&did[2]);
    assert!(all_min == 0.0 && (all_max - whole).abs() < 1e-3, "{}", did[2]);
    let (button_min, button_max) = range(&did[4]);
    assert!(button_max - button_min < 0.6 * whole, "{}", did[4]);
}

/// Each chart shows more than an empty frame.
pub fn ink_is_there(charts: &Value) {
    let charts = charts.as_array().unwrap();
    assert_eq!(charts.len(), 3);
    for (chart, (painted, colours)) in charts.iter().zip([(0.02, 20), (0.3, 20), (0.01, 10)]) {
        assert!(chart["painted"].as_f64().unwrap() > painted, "{charts:?}");
        assert!(chart["colours"].as_u64().unwrap() > colours, "{charts:?}");
    }
}

/// A list of texts.
pub fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[test]
fn the_overview_begins_with_the_worst_and_finds_in_all_columns() {
    let workspace = Workspace::new();
    let (good, nobody) = (workspace.face_clip("a.mkv", 4), workspace.clip("b.mkv", 4));
    let blurred = format!("-i {} -vf gblur=sigma=14", good.display());
    let blurred = workspace.ffmpeg(&blurred, 4, Path::new("d.mkv"));
    let broken = workspace.path("c.mkv");
    std::fs::write(&broken, "no video").unwrap();
    let run = workspace.path("run");
    expect_exit(3, &mut workspace.annotate(&[good, nobody, broken, blurred], &run));
    let out = workspace.path("report");
    assert!(report(&run, &out, None).status.success());
    let reason = summary(&run)["videos"][2]["failure"]["error"].as_str().unwrap()[..12].to_uppercase();
    let job = Job::new(&out.join("index.html"), 1280)
        .then("text", &[json!("#table tbody th")])
        .then("find", &[json!(reason)])
        .then("text", &[json!("#table tbody td:nth-of-type(4)")]);
    let seen = look(vec![job]);
    assert_eq!(
        seen[0]["did"][0],
        json!(["c", "b", "d", "a"]),
        "few usable looks before many"
    );
    assert_eq!(seen[0]["did"][1], json!(["c"]), "{reason}");
}

#[test]
fn axe_finds_nothing_serious_in_light_or_dark() {
    let folder = tempfile::tempdir().unwrap();
    let out = real_report(folder.path());
    let page = |path: &Path| {
        Job::new(path, 1280)
            .then("axe", &[])
            .then("dark", &[json!(true)])
            .then("axe", &[])
    };
    let seen = look(vec![
        page(&out.join("index.html")),
        page(&out.join("videos/two_people.html")),
    ]);
    for one in &seen {
        for (at, colours) in [(0, "light"), (2, "dark")] {
            let found = &one["did"][at];
            assert_eq!(found["broken"], json!([]), "{colours}");
            assert!(found["hold"].as_u64().unwrap() > 10, "{found}");
        }
    }
}

#[test]
fn the_plot_is_saved_as_pixels_and_as_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let out = real_report(folder.path());
    let saved = json!(folder.path().join("saved"));
    std::fs::create_dir(folder.path().join("saved")).unwrap();
    let job = Job::new(&out.join("videos/two_people.html"), 1280)
        .then("download", &[json!("#png"), saved.clone()])
        .then("download", &[json!("#svg"), saved]);
    let seen = look(vec![job]);
    let path = |at: usize| seen[0]["did"][at].as_str().unwrap();

    let picture = image::open(path(0)).unwrap().to_rgb8();
    let colours: BTreeSet<[u8; 3]> = picture.pixels().map(|pixel| pixel.0).collect();
    assert!(picture.width() > 600 && picture.height() > 400);
    assert!(colours.len() > 20, "{} colours", colours.len());

    let shapes = std::fs::read_to_string(path(1)).unwrap();
    let mut reader = quick_xml::Reader::from_str(&shapes);
    let (mut elements, mut texts) = (BTreeMap::<String, usize>::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name().as_ref().to_owned();
                *elements.entry(name).or_default() += 1;
            }
            Event::Text(text) => texts.push(text.as_ref().to_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(elements["path"] >= 4, "two curves above, two below: {elements:?}");
    for wanted in ["Expression", "AU12", "Usable", "−1"] {
        assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
    }
    assert!(
        texts.iter().any(|text| text.contains("two_people · Subject")),
        "{texts:?}"
    );
}
