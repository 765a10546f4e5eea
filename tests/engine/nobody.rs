//! A person who is seen for a moment of a long video, and everyone who reads its table.

use std::path::Path;

use abaw::labels::FinalAffect;
use serde_json::Value;

use crate::support::workspace::Workspace;
use crate::support::{abaw_with, expect_exit, sample, stderr_of, stdout_of, table};

const SEEN: u32 = 20;
const FRAMES: u32 = 150;

#[test]
fn nobody_there_means_no_numbers_for_all_readers() {
    let workspace = Workspace::new();
    let graph = format!(
        "[0]trim=end_frame=1,scale=160:120,loop={}:1,setpts=N/25/TB[face];\
         mandelbrot=size=160x120:rate=25,trim=end_frame={},setpts=N/25/TB[nobody];[face][nobody]concat,settb=1/25,setpts=N",
        SEEN - 1,
        FRAMES - SEEN
    );
    let inputs = format!("-i {} -filter_complex {graph}", sample("astronaut.mp4").display());
    let clip = workspace.ffmpeg(&inputs, FRAMES, Path::new("v.mkv"));
    workspace.pipeline("[detector]\nlong_side = 160\n[postprocess]\nstop_at_cuts = true\n");
    let run = workspace.path("run");
    let annotated = expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    let said = stdout_of(&annotated);
    assert!(said.contains("seen in 20 of 150 frames"), "{said}");
    let (rows, _) = table(&run, "v");
    assert_eq!(rows.len(), FRAMES as usize);
    for row in &rows {
        let is_seen = row.frame.number() <= SEEN;
        assert_eq!(row.sighting.is_face(), is_seen, "{}", row.frame);
        assert_eq!(
            row.postprocessed != FinalAffect::default(),
            is_seen,
            "{}",
            row.frame
        );
    }

    // A submission has a line for every frame, and counts those without anybody, whoever has filled them.
    let list = workspace.path("list.txt");
    let lines = (1..=FRAMES).map(|frame| format!("v/{frame:05}.jpg,\n"));
    let header = abaw::affwild2::Challenge::Mtl.submission_header();
    std::fs::write(&list, format!("{header}\n{}", lines.collect::<String>())).unwrap();
    let out = workspace.path("mtl.txt");
    let submit = || {
        let submit = &mut abaw_with(&[
            &"submit",
            &run,
            &"--challenge",
            &"mtl",
            &"--template",
            &list,
            &"--out",
            &out,
        ]);
        stdout_of(&expect_exit(0, submit))
    };
    assert!(
        submit().contains("150 lines, 1 videos, 130 lines filled"),
        "{}",
        submit()
    );

    // Its lines as labels: the same answers, so the score is perfect.
    let evaluate = || {
        let output = expect_exit(
            0,
            &mut abaw_with(&[&"evaluate", &run, &"--labels", &out, &"--json"]),
        );
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let scores = evaluate();
    assert_eq!(scores["per_task"]["frames"]["va"], FRAMES);
    assert!(
        scores["per_task"]["ccc_valence"].as_f64().unwrap() > 0.9999,
        "{scores}"
    );
    let table_of_scores = expect_exit(0, &mut abaw_with(&[&"evaluate", &run, &"--labels", &out]));
    assert!(stdout_of(&table_of_scores).contains("130 of them filled"));

    for format in ["label-studio", "cvat", "elan", "py-feat", "openface"] {
        let folder = workspace.path(format);
        expect_exit(
            0,
            &mut abaw_with(&[&"export", &run, &"--format", &format, &"--out", &folder]),
        );
    }
    let report = workspace.path("report");
    expect_exit(
        0,
        &mut abaw_with(&[&"report", &run, &"--out", &report, &"--labels", &out]),
    );
    let film = workspace.path("film.mp4");
    let rendered = expect_exit(0, &mut abaw_with(&[&"render", &run, &"v", &"--out", &film]));
    assert!(film.exists(), "{}", stderr_of(&rendered));

    let everything = workspace.path("all.toml");
    std::fs::write(
        &everything,
        "[postprocess]\nstop_at_cuts = true\nfill_gap_s = \"all\"\n",
    )
    .unwrap();
    expect_exit(
        0,
        &mut abaw_with(&[&"postprocess", &run, &"--pipeline", &everything]),
    );
    let (rows, footer) = table(&run, "v");
    assert!(rows.iter().all(|row| row.postprocessed != FinalAffect::default()));
    assert_eq!(footer.postprocess["fill_gap_s"], "all");
    assert!(submit().contains("130 lines filled"), "{}", submit());
    assert_eq!(evaluate(), scores);
}
