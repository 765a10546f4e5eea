//! Runs and folders that are not as they should be.

use std::fs;

use serde_json::json;

use crate::browser::{Job, look};
use crate::made_up::{self, Video, row, wave};
use crate::pages::{ink_is_there, strings};
use crate::{abaw, errors, report, sample};

const SCRIPT: &str = "a<script>document.title=1<|script>";

fn videos(ids: &[&str]) -> Vec<Video> {
    let video = |id: &&str| Video {
        id: (*id).to_owned(),
        path: "/nowhere/film.mp4".into(),
        frames: 60,
    };
    ids.iter().map(video).collect()
}

#[test]
fn strange_ids_are_names_and_nothing_else() {
    let ids = [
        SCRIPT,
        "batch 1/ü\"quoted\" & 'so'",
        "..hidden",
        "日本/映像",
        "</title><b>",
        "plain",
        "a.js",
        "a",
    ];
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<&str> = ids.into_iter().filter(|id| !id.starts_with("</")).collect();
    let run = made_up::write(&folder.path().join("run"), &videos(&ids), |_, frame| {
        row(frame, wave(frame))
    });
    let out = folder.path().join("out");
    let done = report(run.root(), &out, None);
    assert!(done.status.success(), "{}", errors(&done));
    // The video is not there: the pages are, and say so.
    assert!(
        errors(&done).contains("videos lack pictures of faces"),
        "{}",
        errors(&done)
    );
    assert!(
        errors(&done).contains("no such file; check the name"),
        "{}",
        errors(&done)
    );

    let mut jobs = vec![Job::new(&out.join("index.html"), 1280).then("text", &[json!("#table tbody th")])];
    for id in &ids {
        jobs.push(
            Job::new(&out.join("index.html"), 1280)
                .then("follow", &[json!(id)])
                .then(
                    "script",
                    &[json!("return document.querySelector('h1').textContent")],
                )
                .then("ink", &[])
                .then("text", &[json!("#no-pictures")]),
        );
    }
    let seen = look(jobs);
    assert_eq!(strings(&seen[0]["did"][0]), ids);
    for (id, page) in ids.iter().zip(&seen[1..]) {
        assert_eq!(page["did"][0], json!(format!("{id} · abaw report")));
        assert_eq!(page["did"][1], json!(id));
        ink_is_there(&page["did"][2]);
        assert!(strings(&page["did"][3])[0].contains("no such file"), "{page}");
    }
    for entry in fs::read_dir(out.join("videos")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)),
            "{name}"
        );
    }
}

#[test]
fn a_run_that_is_not_finished_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    let nothing = report(&run, &out, None);
    assert_eq!(nothing.status.code(), Some(2));
    let planned = abaw(&["plan", "--shards", "2", "--out"])
        .arg(&run)
        .arg(sample("astronaut.mp4"))
        .output()
        .unwrap();
    assert!(planned.status.success(), "{}", errors(&planned));
    let refused = report(&run, &out, None);
    assert_eq!(refused.status.code(), Some(2));
    let said = errors(&refused);
    assert!(
        said.contains("not finished") && said.contains("abaw merge"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!out.exists());
}

#[test]
fn a_folder_of_other_things_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = made_up::write(&folder.path().join("run"), &videos(&["a"]), |_, frame| {
        row(frame, wave(frame))
    });
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("index.html"), "mine").unwrap();
    let refused = report(run.root(), &out, None);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("holds other things than a report (index.html"),
        "{}",
        errors(&refused)
    );
    assert_eq!(fs::read(out.join("index.html")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    // A report is written over a report, and what lies in it besides stays.
    let out = folder.path().join("again");
    for _ in 0..2 {
        assert!(report(run.root(), &out, None).status.success());
        fs::write(out.join("note.txt"), "mine").unwrap();
    }
    assert_eq!(fs::read(out.join("note.txt")).unwrap(), b"mine");
}

#[test]
fn a_broken_table_costs_its_own_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = made_up::write(
        &folder.path().join("run"),
        &videos(&["whole", "broken"]),
        |_, frame| row(frame, wave(frame)),
    );
    fs::write(run.root().join("frames/broken.parquet"), "no table").unwrap();
    let out = folder.path().join("out");
    let done = report(run.root(), &out, None);
    assert_eq!(done.status.code(), Some(3));
    assert!(errors(&done).contains("broken.parquet"), "{}", errors(&done));
    let index = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(
        index.contains("broken.parquet: not a table of this program"),
        "{index}"
    );
    assert!(out.join("videos/whole.html").exists() && !out.join("videos/broken.html").exists());
}
