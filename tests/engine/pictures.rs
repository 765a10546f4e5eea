//! What the networks see is the picture that a player shows.

use std::path::Path;

use abaw::table::Row;

use crate::support::workspace::Workspace;
use crate::support::{expect_exit, sample, summary, table};

/// The astronaut as ffmpeg's filters and options make the clip.
fn astronaut(workspace: &Workspace, filters: &str, frames: u32, name: &str) {
    let arguments = format!("-i {} -vf {filters}", sample("astronaut.mp4").display());
    workspace.ffmpeg(&arguments, frames, Path::new(name));
}

/// The largest distance between the sides of the boxes of two tables, in pixels, and whether all rows of both have one.
fn box_distance(ours: &[Row], theirs: &[Row]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let sides = |row: &Row| {
        let (face, _) = row.sighting.location().unwrap();
        [face.x1, face.y1, face.x2, face.y2]
    };
    let pairs = ours.iter().zip(theirs);
    pairs
        .flat_map(|(a, b)| sides(a).into_iter().zip(sides(b)))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// 42 % of the expressions were others where pixels were taken for square ones.
#[test]
fn pixels_that_are_not_square_change_no_face() {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 320\n");
    astronaut(&workspace, "scale=320:240,setsar=1", 12, "videos/square.mp4");
    astronaut(
        &workspace,
        "scale=240:240,setsar=4/3",
        12,
        "videos/wide_pixels.mp4",
    );
    astronaut(
        &workspace,
        "scale=400:240,setsar=4/5",
        12,
        "videos/narrow_pixels.mp4",
    );
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[workspace.path("videos")], &run));
    let (square, footer) = table(&run, "square");
    assert_eq!(footer.stream["stored_width"], 320);
    for (name, stored) in [("wide_pixels", 240), ("narrow_pixels", 400)] {
        let (rows, footer) = table(&run, name);
        let stream = &footer.stream;
        assert_eq!((&stream["width"], &stream["height"]), (&320.into(), &240.into()));
        assert_eq!(
            (&stream["stored_width"], &stream["stored_height"]),
            (&stored.into(), &240.into())
        );
        assert_eq!(stream["sizes"][0]["frames"], 12);
        let off = box_distance(&rows, &square);
        assert!(off < 3.0, "{name}: boxes are up to {off} pixels off");
        let same = rows
            .iter()
            .zip(&square)
            .filter(|(a, b)| a.postprocessed.expression == b.postprocessed.expression);
        assert!(same.count() >= 11, "{name}: other expressions");
    }
}
