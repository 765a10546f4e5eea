//! What the networks see is the picture that a player shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use abaw::table::Row;

use crate::support::workspace::Workspace;
use crate::support::{Contents, abaw_with, expect_exit, sample, stderr_of, table};

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

/// Runs the ffmpeg tool in the workspace; arguments are split at spaces.
fn ffmpeg(workspace: &Workspace, arguments: &str) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-y", "-nostdin"])
        .current_dir(workspace.path(""));
    expect_exit(0, command.args(arguments.split_whitespace()));
}

/// The times of a film's packets of one kind, ascending.
fn packet_times(film: &Path, kind: &str) -> Vec<f64> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        kind,
        "-show_entries",
        "packet=pts_time",
        "-of",
        "csv=p=0",
    ]);
    let output = expect_exit(0, command.arg(film));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut times: Vec<f64> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.trim_end_matches(',').parse().unwrap())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Annotates a video and renders it: its rows and footer, and the film.
fn annotated_and_rendered(workspace: &Workspace, video: &str) -> (Contents, PathBuf, String) {
    let run = workspace.path("run");
    let annotated = expect_exit(0, &mut workspace.annotate(&[workspace.path(video)], &run));
    let id = Path::new(video).file_stem().unwrap().to_str().unwrap();
    let film = workspace.path(format!("{id}_film.mp4"));
    expect_exit(0, &mut abaw_with(&[&"render", &run, &id, &"--out", &film]));
    (table(&run, id), film, stderr_of(&annotated))
}

/// Camera segments joined by `cat`, and a clock that leaps 25 hours: `joined_ts`, `ts_time_jump`.
#[test]
fn a_clock_that_jumps_gives_one_sequence_of_times_in_table_film_and_sound() {
    let workspace = Workspace::new();
    for (start_s, name) in [(0, "a.ts"), (0, "b.ts"), (90_000, "c.ts")] {
        let encoded = "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -c:a aac";
        let inputs = format!(
            "-i {} -f lavfi -i sine=duration=0.8",
            sample("astronaut.mp4").display()
        );
        ffmpeg(
            &workspace,
            &format!(
                "{inputs} -map 0:v -map 1:a -vf scale=128:96 -r 25 -t 0.8 {encoded} -output_ts_offset {start_s} {name}"
            ),
        );
    }
    let part = |name: &str| std::fs::read(workspace.path(name)).unwrap();
    for (parts, name) in [(["a.ts", "b.ts"], "again.ts"), (["a.ts", "c.ts"], "leap.ts")] {
        let bytes: Vec<u8> = parts.into_iter().flat_map(part).collect();
        std::fs::write(workspace.path(name), bytes).unwrap();
        let ((rows, footer), film, stderr) = annotated_and_rendered(&workspace, name);
        let times: Vec<f64> = rows
            .iter()
            .filter(|row| row.subject)
            .map(|row| row.time_s.unwrap())
            .collect();
        assert_eq!(times.len(), 40, "{name}");
        for pair in times.windows(2) {
            assert!((pair[1] - pair[0] - 0.04).abs() < 1e-3, "{name}: {pair:?}");
        }
        assert_eq!(footer.stream["damage"]["clock_jumps"], 1, "{name}");
        assert_eq!(footer.stream["damage"]["first_clock_jump"]["frame"], 21, "{name}");
        assert!(
            stderr.contains("1 clock jumps (the first at frame 21, from "),
            "{stderr}"
        );
        let start_s = footer.stream["start_s"].as_f64().unwrap();
        let shown = packet_times(&film, "v");
        assert_eq!(shown.len(), 40, "{name}");
        for (shown, time_s) in shown.iter().zip(&times) {
            assert!(
                (shown - (time_s - start_s)).abs() < 1e-3,
                "{name}: {shown} {time_s}"
            );
        }
        // The sound of both parts, each with its pictures.
        let heard = packet_times(&film, "a");
        assert!((1.4..1.8).contains(heard.last().unwrap()), "{name}: {heard:?}");
        assert!(
            heard.windows(2).all(|pair| pair[1] - pair[0] < 0.2),
            "{name}: {heard:?}"
        );
        std::fs::remove_dir_all(workspace.path("run")).unwrap();
    }
}

/// As in the original, where sound is heard before the first picture: `delayed_video`.
#[test]
fn a_video_that_begins_after_its_sound_does_so_in_the_film() {
    let workspace = Workspace::new();
    let astronaut = sample("astronaut.mp4");
    ffmpeg(
        &workspace,
        &format!(
            "-itsoffset 0.5 -i {} -f lavfi -i sine=duration=1.5 -map 0:v -map 1:a -vf scale=128:96 -vsync passthrough \
             -frames:v 20 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac delayed.mp4",
            astronaut.display()
        ),
    );
    let ((rows, footer), film, _) = annotated_and_rendered(&workspace, "delayed.mp4");
    assert_eq!(footer.stream["start_s"], 0.0);
    let first_s = rows[0].time_s.unwrap();
    assert!((first_s - 0.5).abs() < 0.05, "{first_s}");
    let shown = packet_times(&film, "v");
    assert_eq!(shown.len(), 20);
    assert!((shown[0] - first_s).abs() < 1e-3, "{shown:?}");
    assert!(packet_times(&film, "a")[0] < 0.1);
}

/// A stream that changes its size: boxes are in pixels of each frame, and the footer lists the sizes.
#[test]
fn boxes_are_right_in_pictures_of_every_size() {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 320\n");
    std::fs::create_dir(workspace.path("videos")).unwrap();
    for (size, name) in [("320:240", "small"), ("640:480", "large")] {
        ffmpeg(
            &workspace,
            &format!(
                "-i {} -vf scale={size} -frames:v 6 -an -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 0 \
                 videos/{name}.h264",
                sample("astronaut.mp4").display()
            ),
        );
    }
    let part = |name: &str| std::fs::read(workspace.path(format!("videos/{name}.h264"))).unwrap();
    let bytes = [part("small"), part("large"), part("small")].concat();
    std::fs::write(workspace.path("videos/both.h264"), bytes).unwrap();
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[workspace.path("videos")], &run));
    let (both, footer) = table(&run, "both");
    let (small, large) = (table(&run, "small").0, table(&run, "large").0);
    for (range, alone) in [(0..6, &small), (6..12, &large), (12..18, &small)] {
        let off = box_distance(&both[range], alone);
        assert!(off < 1.0, "boxes are up to {off} pixels off");
    }
    let sizes = footer.stream["sizes"].as_array().unwrap();
    let known: Vec<[u64; 4]> = sizes
        .iter()
        .map(|size| ["width", "height", "first_frame", "frames"].map(|key| size[key].as_u64().unwrap()))
        .collect();
    assert_eq!(known, [[320, 240, 1, 12], [640, 480, 7, 6]]);
}
