//! Predictions over labels, and scores.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::browser::{Job, look};
use crate::pages::{ink_is_there, strings};
use crate::support::{abaw_with, sample, stderr_of};
use crate::{real_run, report};

fn labels() -> PathBuf {
    sample("aff-wild2/6th_ABAW_Annotations")
}

#[test]
fn scores_are_those_of_evaluate_and_labels_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let done = report(&real_run(), &out, Some(&labels()));
    assert!(done.status.success(), "{}", stderr_of(&done));
    assert!(
        stderr_of(&done).contains("1 labelled videos are not in the run (first: carphone)"),
        "{}",
        stderr_of(&done)
    );
    let mut evaluate = abaw_with(&[&"evaluate", &"--json", &"--labels"]);
    let scores = evaluate.arg(labels()).arg(real_run()).output().unwrap();
    let scores: Value = serde_json::from_slice(&scores.stdout).unwrap();
    let scores = &scores["per_task"];

    let overview = |width| {
        Job::new(&out.join("index.html"), width)
            .then("text", &[json!(".plain tbody td:nth-child(2)")])
            .then("text", &[json!(".halves > div:nth-child(1) .number")])
            .then("text", &[json!(".halves > div:nth-child(2) .number")])
            .then("text", &[json!(".confusion tbody td:last-child")])
            .then("script", &[json!(
                "return [...document.querySelectorAll('.curves polyline')].map(({ points }) => [points.length, 1 - points[40].y / 80])"
            )])
    };
    let page = Job::new(&out.join("videos/two_people.html"), 1280)
        .then("ink", &[])
        .then(
            "script",
            &[json!(
                "const { labels } = abaw.timeline.track; const at = 10; \
             return [labels.valence(at), labels.arousal(at), labels.expression(at), \
             [...Array(12).keys()].map((unit) => labels.unit(at, unit))]"
            )],
        )
        .then("text", &[json!("#legend li")]);
    let seen = look(vec![overview(1280), overview(400), page]);

    let shown = |score: &Value| format!("{:.3}", score.as_f64().unwrap()).replace('-', "\u{2212}");
    for overview in &seen[..2] {
        let did = &overview["did"];
        let expected =
            ["p", "ccc_valence", "ccc_arousal", "expression", "au"].map(|name| shown(&scores[name]));
        assert_eq!(strings(&did[0]), expected);
        let list = |name: &str| {
            scores[name]
                .as_array()
                .unwrap()
                .iter()
                .map(shown)
                .collect::<Vec<_>>()
        };
        assert_eq!(strings(&did[1]), list("f1_expression"));
        assert_eq!(strings(&did[2]), list("f1_au"));
        let frames = strings(&did[3])
            .iter()
            .map(|frames| frames.parse::<u64>().unwrap())
            .sum::<u64>();
        assert_eq!(json!(frames), scores["frames"]["expression"]);
        // The curve at the run's own threshold is the score.
        let curves = did[4].as_array().unwrap();
        assert_eq!(curves.len(), 12);
        for (curve, score) in curves.iter().zip(scores["f1_au"].as_array().unwrap()) {
            assert_eq!(curve[0], 81);
            let (drawn, score) = (curve[1].as_f64().unwrap(), score.as_f64().unwrap());
            assert!((drawn - score).abs() < 2e-3, "{drawn} for {score}");
        }
    }
    ink_is_there(&seen[2]["did"][0]);
    labels_are_the_files(&seen[2]["did"][1]);
    assert!(strings(&seen[2]["did"][2]).contains(&"AU in labels"));
}

/// Frame 11 of `two_people`, read from the label files as text.
fn labels_are_the_files(seen: &Value) {
    let line = |task: &str| {
        let path = labels().join(format!("{task}/Validation_Set/two_people.txt"));
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .nth(11)
            .unwrap()
            .to_owned()
    };
    let numbers: Vec<f64> = line("VA_Estimation_Challenge")
        .split(',')
        .map(|one| one.parse().unwrap())
        .collect();
    for (seen, number) in [&seen[0], &seen[1]].into_iter().zip(numbers) {
        match number < -1.0 {
            true => assert!(seen.is_null()),
            false => assert!((seen.as_f64().unwrap() - number).abs() < 1e-3),
        }
    }
    let class: i64 = line("EXPR_Recognition_Challenge").parse().unwrap();
    assert_eq!(seen[2].as_i64().unwrap_or(-1), class);
    let units = line("AU_Detection_Challenge");
    let units: Vec<Value> = units
        .split(',')
        .map(|one| match one {
            "-1" => Value::Null,
            one => json!(one == "1"),
        })
        .collect();
    assert_eq!(seen[3], Value::Array(units));
}

/// Aff-Wild2 names two people of one video by their sides: each has a track of its own, with its labels.
#[test]
fn people_named_by_their_side_have_tracks() {
    const COLUMNS: &str = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26";
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("AU_Detection_Challenge");
    std::fs::create_dir(&labels).unwrap();
    for (side, first) in [("left", 1), ("right", 0)] {
        let line = format!("{first},0,0,0,0,0,0,0,0,0,0,1\n");
        let text = format!("{COLUMNS}\n{}", line.repeat(120));
        std::fs::write(labels.join(format!("two_people_{side}.txt")), text).unwrap();
    }
    let out = folder.path().join("out");
    let done = report(&real_run(), &out, Some(&labels));
    assert!(done.status.success(), "{}", stderr_of(&done));
    let first_unit = "return [abaw.timeline.track.labels?.unit(5, 0) ?? null, abaw.timeline.track.labels?.valence(5) ?? null]";
    let page = Job::new(&out.join("videos/two_people.html"), 1280)
        .then(
            "script",
            &[json!(
                "return [...document.getElementById('person').options].map((one) => one.textContent.split(' (')[0])"
            )],
        )
        .then("script", &[json!(first_unit)])
        .then("person", &[json!(3)])
        .then("script", &[json!(first_unit)])
        .then("person", &[json!(4)])
        .then("script", &[json!(first_unit)])
        .then("ink", &[]);
    let seen = look(vec![page]);
    let did = &seen[0]["did"];
    let names = [
        "Subject",
        "Person 0",
        "Person 1",
        "two_people_left",
        "two_people_right",
    ];
    assert_eq!(strings(&did[0]), names);
    assert_eq!(did[1], json!([null, null]));
    assert_eq!(did[3], json!([true, null]));
    assert_eq!(did[5], json!([false, null]));
    ink_is_there(&did[6]);
}

#[test]
fn labels_of_other_videos_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("AU_Detection_Challenge");
    std::fs::create_dir(&labels).unwrap();
    std::fs::write(
        labels.join("elsewhere.txt"),
        "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26\n0,0,0,0,0,0,0,0,0,0,0,1\n",
    )
    .unwrap();
    let done = report(&real_run(), &folder.path().join("out"), Some(&labels));
    assert_eq!(done.status.code(), Some(2));
    assert!(
        stderr_of(&done).contains("none of the 1 labelled videos (first: elsewhere)"),
        "{}",
        stderr_of(&done)
    );
}
