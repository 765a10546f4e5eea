//! Looks at a face that are good, and those that are not: upside down, blurred, too small.

use std::path::Path;

use abaw::labels::FinalAffect;
use serde_json::Value;

use crate::support::workspace::Workspace;
use crate::support::{abaw_with, expect_exit, sample, stdout_of, table};

const FRAMES: u32 = 10;

/// A clip of the astronaut through ffmpeg's filters.
fn clip(workspace: &Workspace, name: &str, filter: &str) {
    let arguments = format!("-i {} -vf {filter}", sample("astronaut.mp4").display());
    workspace.ffmpeg(
        &arguments,
        FRAMES,
        &Path::new("clips").join(format!("{name}.mkv")),
    );
}

#[test]
fn looks_are_measured_judged_and_left_out_if_asked() {
    let workspace = Workspace::new();
    clip(&workspace, "good", "null");
    clip(&workspace, "upside_down", "hflip,vflip");
    clip(&workspace, "blurred", "gblur=sigma=5");
    clip(&workspace, "tilted", "rotate=-0.5:fillcolor=gray");
    workspace.pipeline("[detector]\nlong_side = 320\n[postprocess]\nsmoothing.valence_arousal = { kernel = \"box\", half_width = \"3 frames\" }\n");
    let run = workspace.path("run");
    let output = expect_exit(0, &mut workspace.annotate(&[workspace.path("clips")], &run));
    let said = stdout_of(&output);
    assert!(said.contains("usable in 0"), "{said}");

    let mean = |name: &str, value: fn(&abaw::face::Quality) -> Option<f32>| {
        let (rows, _) = table(&run, name);
        let values: Vec<f32> = rows.iter().filter_map(|row| value(&row.quality?)).collect();
        values.iter().sum::<f32>() / values.len() as f32
    };
    for (name, is_usable) in [
        ("good", true),
        ("tilted", true),
        ("upside_down", false),
        ("blurred", false),
    ] {
        let (rows, _) = table(&run, name);
        let seen: Vec<_> = rows.iter().filter(|row| row.sighting.is_face()).collect();
        // The detector misses most heads that are upside down.
        let is_easy = name != "upside_down";
        assert!(
            seen.len() >= FRAMES as usize - 2 || (!is_easy && !seen.is_empty()),
            "{name}: {} seen",
            seen.len()
        );
        for row in &rows {
            assert_eq!(row.usable.is_some(), row.sighting.is_face());
            assert!(
                row.usable.is_none_or(|usable| usable == is_usable),
                "{name}: {row:?}"
            );
        }
    }
    let roll = |name| mean(name, |quality| Some(quality.pose?.roll));
    // Turned by half a radian against the clock as one looks: her right ear goes down.
    assert!(
        (roll("tilted") - roll("good") - 28.6).abs() < 4.0,
        "{}",
        roll("tilted")
    );
    assert!(
        roll("upside_down").abs() > 120.0 || mean("upside_down", |quality| quality.alignment_error) > 0.3
    );
    assert!(mean("good", |quality| quality.sharpness) > 5.0 * mean("blurred", |quality| quality.sharpness));
    assert!(
        (mean("tilted", |quality| quality.face_px) / mean("good", |quality| quality.face_px) - 1.0).abs()
            < 0.1
    );

    // As if not seen: a row for each frame, and no final numbers, though the raw ones stay.
    let only_usable = workspace.path("only_usable.toml");
    std::fs::write(&only_usable, "[postprocess]\nonly_usable = true\n").unwrap();
    expect_exit(
        0,
        &mut abaw_with(&[&"postprocess", &run, &"--pipeline", &only_usable]),
    );
    for (name, is_usable) in [("good", true), ("upside_down", false)] {
        let (rows, footer) = table(&run, name);
        assert_eq!(footer.postprocess["only_usable"], true);
        for row in rows.iter().filter(|row| row.sighting.is_face()) {
            assert!(row.raw.expression.is_some());
            assert_eq!(row.postprocessed != FinalAffect::default(), is_usable, "{name}");
        }
    }
    // Other limits need no new annotation.
    std::fs::write(&only_usable, "[quality]\nmin_face_px = 1000.0\n").unwrap();
    expect_exit(
        0,
        &mut abaw_with(&[&"postprocess", &run, &"--pipeline", &only_usable]),
    );
    assert!(table(&run, "good").0.iter().all(|row| row.usable == Some(false)));
}

#[test]
fn usable_frames_are_scored_beside_all_and_shown() {
    let workspace = Workspace::new();
    let graph = "[0]trim=end_frame=20,split[a][b];[b]gblur=sigma=9,setpts=PTS-STARTPTS[blurred];[a][blurred]concat,scale=320:-2";
    let arguments = format!("-i {} -filter_complex {graph}", sample("astronaut.mp4").display());
    let clip = workspace.ffmpeg(&arguments, 40, Path::new("v.mkv"));
    workspace.pipeline("[detector]\nlong_side = 320\n");
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    let usable = table(&run, "v")
        .0
        .iter()
        .filter(|row| row.usable == Some(true))
        .count();
    assert!((20..22).contains(&usable), "{usable}");

    let labels = workspace.path("labels.txt");
    let lines = (1..=40).map(|frame| {
        format!(
            "v/{frame:05}.jpg,0.{},0.5,4,0,0,0,0,0,0,1,0,0,0,1,0\n",
            frame % 10
        )
    });
    let header = abaw::affwild2::Challenge::Mtl.submission_header();
    std::fs::write(&labels, format!("{header}\n{}", lines.collect::<String>())).unwrap();
    let json = expect_exit(
        0,
        &mut abaw_with(&[&"evaluate", &run, &"--labels", &labels, &"--usable", &"--json"]),
    );
    let scores: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(scores["per_task"]["frames"]["va"], 40);
    assert_eq!(scores["usable"]["per_task"]["frames"]["va"], usable);
    let said = stdout_of(&expect_exit(
        0,
        &mut abaw_with(&[&"evaluate", &run, &"--labels", &labels, &"--usable"]),
    ));
    assert!(
        said.contains(&format!(
            "only the {usable} of 40 labelled frames with a usable look"
        )),
        "{said}"
    );
    assert_eq!(said.matches("CCC valence").count(), 2, "{said}");

    let report = workspace.path("report");
    expect_exit(0, &mut abaw_with(&[&"report", &run, &"--out", &report]));
    let pages = crate::support::workspace::files(&report.join("videos"));
    let page = pages
        .iter()
        .find(|path| path.extension().is_some_and(|kind| kind == "html"))
        .unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Usable looks"));
    let film = workspace.path("film.mp4");
    expect_exit(0, &mut abaw_with(&[&"render", &run, &"v", &"--out", &film]));
}

#[test]
fn thresholds_are_tuned_on_usable_frames_where_asked() {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 320\n");
    let graph = "[0]trim=end_frame=8,split[a][b];[b]gblur=sigma=9,setpts=PTS-STARTPTS[blurred];[a][blurred]concat,scale=320:-2";
    let clips = ["u.mkv", "v.mkv", "w.mkv"].map(|name| {
        let arguments = format!("-i {} -filter_complex {graph}", sample("astronaut.mp4").display());
        workspace.ffmpeg(&arguments, 16, Path::new(name))
    });
    let run = workspace.path("run");
    expect_exit(
        0,
        &mut workspace.annotate(&clips.each_ref().map(|clip| clip.as_path()), &run),
    );
    let usable: usize = ["u", "v", "w"]
        .map(|name| {
            let rows = table(&run, name).0;
            rows.iter().filter(|row| row.usable == Some(true)).count()
        })
        .iter()
        .sum();
    assert!((24..48).contains(&usable), "{usable}");

    let labels = workspace.path("labels.txt");
    let header = abaw::affwild2::Challenge::Mtl.submission_header();
    let lines = ["u", "v", "w"].map(|video| {
        let line = |frame| {
            format!(
                "{video}/{frame:05}.jpg,0.{},0.5,4,0,0,0,0,0,0,1,0,0,0,1,0\n",
                frame % 10
            )
        };
        (1..=16).map(line).collect::<String>()
    });
    std::fs::write(&labels, format!("{header}\n{}", lines.concat())).unwrap();
    let calibration = workspace.path("calibration.toml");
    let printed = stdout_of(&expect_exit(
        0,
        &mut abaw_with(&[
            &"tune",
            &run,
            &"--labels",
            &labels,
            &"--usable",
            &"--out",
            &calibration,
        ]),
    ));
    assert!(printed.contains("labelled frames: 48 VA"), "{printed}");
    assert!(
        printed.contains(&format!("labelled frames: {usable} VA")),
        "{printed}"
    );
    let calibration: toml::Value = toml::from_str(&std::fs::read_to_string(&calibration).unwrap()).unwrap();
    assert_eq!(
        calibration["frames"]["valence_arousal"].as_integer(),
        Some(usable as i64)
    );
}
