//! The detector on every third frame, and the tracker in between.

use std::collections::BTreeMap;

use abaw::face::BoundingBox;
use abaw::table::Row;

use crate::support::workspace::Workspace;
use crate::support::{abaw, expect_exit, sample, table};

/// The first 150 frames of the astronaut: seen to frame 120, away to 145, back from 146.
const FRAMES: &str = "--limit-frames=150";
const CUTS: [u32; 2] = [121, 146];

fn rows(workspace: &Workspace, every: u32, threads: &str) -> Vec<Row> {
    workspace.pipeline(&format!("[detector]\nlong_side = 160\nevery = {every}\n"));
    let run = workspace.path(format!("run{every}{threads}"));
    let mut command = abaw();
    command.args([
        "annotate",
        "--device",
        "cpu",
        FRAMES,
        "--threads",
        threads,
        "--pipeline",
    ]);
    command
        .arg(workspace.path("pipeline.toml"))
        .arg(sample("astronaut.mp4"))
        .arg("--out")
        .arg(&run);
    expect_exit(0, &mut command);
    let (rows, footer) = table(&run, "astronaut");
    assert_eq!(footer.cuts, CUTS);
    rows
}

fn boxes(rows: &[Row]) -> BTreeMap<u32, BoundingBox> {
    let places = rows
        .iter()
        .filter_map(|row| Some((row.frame.number(), row.sighting.location()?.0)));
    places.collect()
}

#[test]
fn carried_faces_follow_those_that_are_found_and_end_at_cuts() {
    let workspace = Workspace::new();
    let carried = rows(&workspace, 3, "2");
    for row in carried.iter().filter(|row| row.sighting.is_face()) {
        let frame = row.frame.number();
        let looked_at = frame % 3 == 1 || CUTS.contains(&frame);
        assert_eq!(row.sighting.score().is_some(), looked_at, "frame {frame}");
        assert!(row.raw.expression.is_some(), "frame {frame}");
    }
    let found = boxes(&rows(&workspace, 1, "2"));
    let carried_boxes = boxes(&carried);
    let frames = |boxes: &BTreeMap<u32, BoundingBox>| boxes.keys().copied().collect::<Vec<_>>();
    assert_eq!(frames(&carried_boxes), frames(&found));
    let overlaps: Vec<f32> = found
        .iter()
        .map(|(frame, face)| face.overlap(&carried_boxes[frame]))
        .collect();
    let (least, mean) = (
        overlaps.iter().copied().fold(1.0, f32::min),
        overlaps.iter().sum::<f32>() / overlaps.len() as f32,
    );
    println!("overlap of carried with found faces: mean {mean:.3}, least {least:.3}");
    assert!(mean > 0.95 && least > 0.7, "mean {mean}, least {least}");

    assert!(rows(&workspace, 3, "1") == carried, "threads change the numbers");
}
