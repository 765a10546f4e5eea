//! Runs and folders that are not as they should be.

use std::fs;

use abaw::frame::FrameIndex;
use abaw::labels::FinalAffect;
use abaw::run::{Failure, InputKind, Stage, VideoId, merge};
use abaw::table::{Row, Sighting};
use serde_json::json;

use crate::browser::{Job, look};
use crate::made_up::{self, Video, row, wave};
use crate::pages::{ink_is_there, strings};
use crate::report;
use crate::support::{abaw_with, sample, stderr_of};

fn videos(ids: &[&str]) -> Vec<Video> {
    ids.iter().map(|id| Video::lost(id, 60)).collect()
}

#[test]
fn strange_ids_are_names_and_nothing_else() {
    let ids = [
        "a<script>document.title=1</script>",
        "batch 1/ü\"quoted\" & 'so'",
        "..hidden",
        "日本/映像",
        "plain",
        "a.js",
        "a",
    ];
    let folder = tempfile::tempdir().unwrap();
    let run = made_up::write(&folder.path().join("run"), &videos(&ids), |_, frame| {
        row(frame, wave(frame))
    });
    let out = folder.path().join("out");
    let done = report(run.root(), &out, None);
    assert!(done.status.success(), "{}", stderr_of(&done));
    // The video is not there: the pages are, and say so.
    assert!(
        stderr_of(&done).contains("videos lack pictures of faces"),
        "{}",
        stderr_of(&done)
    );
    assert!(
        stderr_of(&done).contains("no such file; check the name"),
        "{}",
        stderr_of(&done)
    );

    let mut jobs = vec![Job::new(&out.join("index.html"), 1280).then("text", &[json!("#table tbody th")])];
    for id in ids {
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
    let planned = abaw_with(&[&"plan", &"--shards", &"2", &"--out"])
        .arg(&run)
        .arg(sample("astronaut.mp4"))
        .output()
        .unwrap();
    assert!(planned.status.success(), "{}", stderr_of(&planned));
    let refused = report(&run, &out, None);
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr_of(&refused);
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
        stderr_of(&refused).contains("contains other files than a report (index.html"),
        "{}",
        stderr_of(&refused)
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
fn a_broken_table_and_a_failed_video_cost_their_own_pages() {
    let folder = tempfile::tempdir().unwrap();
    let run = made_up::write(
        &folder.path().join("run"),
        &videos(&["whole", "broken", "failed"]),
        |_, frame| row(frame, wave(frame)),
    );
    fs::remove_file(run.root().join("frames/failed.parquet")).unwrap();
    let failure = Failure {
        input: "/nowhere/film.mp4".to_owned(),
        stage: Stage::Decode,
        error: "not a video <b>at all</b>".to_owned(),
        when: jiff::Timestamp::now(),
    };
    let id = VideoId::try_from("failed".to_owned()).unwrap();
    run.record_failure(&id, &failure).unwrap();
    merge(&run, None).unwrap();
    fs::write(run.root().join("frames/broken.parquet"), "no table").unwrap();
    let out = folder.path().join("out");
    let done = report(run.root(), &out, None);
    assert_eq!(done.status.code(), Some(3));
    assert!(
        stderr_of(&done).contains("broken.parquet"),
        "{}",
        stderr_of(&done)
    );
    let pages = ["whole", "broken", "failed"].map(|id| out.join(format!("videos/{id}.html")).exists());
    assert_eq!(pages, [true, false, false]);
    let seen = look(vec![
        Job::new(&out.join("index.html"), 400).then("text", &[json!("#table .note")]),
    ]);
    let notes = strings(&seen[0]["did"][0]);
    // The worst first.
    assert!(notes[2].contains("damaged 2 corrupt packets"), "{notes:?}");
    assert!(
        notes[1].contains("broken.parquet: not a table written by abaw"),
        "{notes:?}"
    );
    assert!(
        notes[0].contains("failed decode: not a video <b>at all</b>"),
        "{notes:?}"
    );
}

/// Crops have numbers with gaps and no times; a video may have one frame, or nobody in it.
#[test]
fn odd_videos_have_pages() {
    let folder = tempfile::tempdir().unwrap();
    let crops = folder.path().join("crops");
    fs::create_dir(&crops).unwrap();
    let number = |frame: u32| 100 + 3 * frame;
    for frame in 1..=40 {
        let shade = (frame * 5) as u8;
        image::RgbImage::from_pixel(112, 112, image::Rgb([shade, 90, 200]))
            .save(crops.join(format!("{:05}.png", number(frame))))
            .unwrap();
    }
    let mut videos = vec![
        Video::lost("crops", 40),
        Video::lost("one", 1),
        Video::lost("nobody", 50),
    ];
    (videos[0].kind, videos[0].path) = (InputKind::Crops, crops);
    let run = made_up::write(&folder.path().join("run"), &videos, |video, frame| {
        let own = row(frame, wave(frame * 10));
        match video.id.as_str() {
            "crops" => Row {
                frame: FrameIndex::new(number(frame)).unwrap(),
                time_s: None,
                sighting: Sighting::Crop,
                ..own
            },
            "nobody" => Row {
                person: None,
                sighting: Sighting::Missing,
                postprocessed: FinalAffect::default(),
                ..own
            },
            _ => own,
        }
    });
    let out = folder.path().join("out");
    let done = report(run.root(), &out, None);
    assert!(done.status.success(), "{}", stderr_of(&done));
    let page = |id: &str| Job::new(&out.join(format!("videos/{id}.html")), 1280);
    let seen = look(vec![
        page("crops")
            .then("ink", &[])
            .then("click", &[json!(0), json!(0.5)])
            .then("pictures", &[]),
        page("one")
            .then("keys", &[json!("+")])
            .then("click", &[json!(0), json!(0.5)]),
        page("nobody")
            .then("click", &[json!(1), json!(0.5)])
            .then("text", &[json!("#moments")]),
    ]);
    ink_is_there(&seen[0]["did"][0]);
    let frame: u32 = seen[0]["did"][1]["frame"].as_str().unwrap().parse().unwrap();
    assert!(
        frame.abs_diff(number(20)) <= 6 && (frame - 100).is_multiple_of(3),
        "{frame}"
    );
    assert!(seen[0]["did"][1]["when"].as_str().unwrap().starts_with("frame "));
    let pictures = json!([
        [128, "Most negative, most aroused"],
        [128, "Neutral, most positive, calmest"]
    ]);
    assert_eq!(seen[0]["did"][2], pictures);
    assert_eq!(seen[1]["did"][1]["chosen"], 0);
    assert!(seen[2]["did"][0]["words"].as_str().unwrap().contains("nobody"));
    assert_eq!(seen[2]["did"][1], json!(["No pictures of this person."]));
}
