//! Who is who on clips composed of real faces.

use std::collections::BTreeSet;
use std::path::Path;

use abaw::table::Row;

use crate::support::workspace::Workspace;
use crate::support::{expect_exit, sample, table};

const FRAMES: u32 = 100;
/// The astronaut's face stays above this row of the picture, the man's in the car below it.
const BETWEEN_THEM: f32 = 155.0;

/// Two real faces over a grey ground, four seconds at 25 frames a second, and a grey door before them.
/// The left edge of each in pixels is an ffmpeg expression of the time `t`. Where they meet, the man lies
/// over the astronaut.
fn two_faces(workspace: &Workspace, astronaut_x: &str, man_x: &str, door_x: &str) -> Vec<Row> {
    let graph = format!(
        "color=gray:size=640x360:rate=25[ground];color=gray:size=200x170:rate=25[door];\
         [0]trim=end_frame=1,crop=230:260:150:0,scale=138:156,loop=-1:1,setpts=N/25/TB[astronaut];\
         [1]crop=120:120:30:5,scale=192:192,setpts=N/25/TB[man];\
         [ground][astronaut]overlay=x='{astronaut_x}':y=30:eval=frame[one];\
         [one][man]overlay=x='{man_x}':y=110:eval=frame[two];\
         [two][door]overlay=x='{door_x}':y=140:eval=frame"
    );
    let inputs = format!(
        "-i {} -i {} -filter_complex",
        sample("astronaut.mp4").display(),
        sample("carphone.mp4").display()
    );
    let clip = workspace.ffmpeg(&format!("{inputs} {graph}"), FRAMES, Path::new("two.mkv"));
    workspace.pipeline("[detector]\nlong_side = 640\n");
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    table(&run, "two").0
}

/// The persons seen on one side of [`BETWEEN_THEM`], and in how many frames.
fn seen(rows: &[Row], above: bool) -> (BTreeSet<u16>, usize) {
    let faces = rows.iter().filter_map(|row| {
        let (face, _) = row.sighting.location()?;
        ((face.centre().y < BETWEEN_THEM) == above).then_some(row.person?.0)
    });
    let numbers: Vec<u16> = faces.collect();
    (numbers.iter().copied().collect(), numbers.len())
}

#[test]
fn two_who_cross_keep_their_numbers() {
    let workspace = Workspace::new();
    let rows = two_faces(&workspace, "10+120*t", "440-107*t", "640");
    let (astronaut, of_astronaut) = seen(&rows, true);
    let (man, of_man) = seen(&rows, false);
    println!("astronaut {astronaut:?} in {of_astronaut} frames, man {man:?} in {of_man}");
    assert_eq!((astronaut.len(), man.len()), (1, 1), "{astronaut:?} {man:?}");
    assert_ne!(astronaut, man);
    assert!(of_astronaut > 60 && of_man > 90);
}

#[test]
fn who_is_hidden_for_less_than_a_second_comes_back_under_his_number() {
    let workspace = Workspace::new();
    let rows = two_faces(&workspace, "10", "440", "640-250*t");
    let (man, of_man) = seen(&rows, false);
    println!("man {man:?} in {of_man} frames");
    assert_eq!(man.len(), 1, "{man:?}");
    assert!((70..95).contains(&of_man));
    let filled = rows
        .iter()
        .filter(|row| row.person.map(|person| person.0) == man.first().copied());
    assert_eq!(
        filled.count(),
        FRAMES as usize,
        "a row for each frame, hidden or not"
    );
}

/// Where the left edge of the door is, which hides the man for two seconds.
const TWO_SECONDS_HIDDEN: &str = "if(lt(t,0.8),640-250*t,if(lt(t,2.8),440,440-250*(t-2.8)))";

#[test]
fn who_is_away_for_two_seconds_gets_his_number_back() {
    let workspace = Workspace::new();
    let rows = two_faces(&workspace, "10", "440", TWO_SECONDS_HIDDEN);
    let (astronaut, _) = seen(&rows, true);
    let (man, of_man) = seen(&rows, false);
    println!("astronaut {astronaut:?}, man {man:?} in {of_man} frames");
    assert_eq!((astronaut.len(), man.len()), (1, 1), "{astronaut:?} {man:?}");
    assert_ne!(astronaut, man);
    let of_man_or_filled = rows
        .iter()
        .filter(|row| row.person.map(|person| person.0) == man.first().copied());
    let count = of_man_or_filled.count();
    assert!(
        count < FRAMES as usize - 30,
        "{count} rows: none where he is away"
    );
}

#[test]
fn who_comes_in_place_of_another_is_somebody_else() {
    let workspace = Workspace::new();
    // First the astronaut alone, then the man, at the same place; then the astronaut again.
    let graph = "[0]trim=end_frame=30,crop=230:260:150:0,scale=192:216,pad=640:360:200:60:gray,setsar=1,setpts=N/25/TB,split[a][c];\
                 [1]trim=end_frame=40,crop=120:120:30:5,scale=216:216,pad=640:360:200:60:gray,setsar=1,setpts=N/25/TB[b];\
                 [a][b][c]concat=n=3";
    let inputs = format!(
        "-i {} -i {} -filter_complex",
        sample("astronaut.mp4").display(),
        sample("carphone.mp4").display()
    );
    let clip = workspace.ffmpeg(&format!("{inputs} {graph}"), 100, Path::new("turns.mkv"));
    workspace.pipeline("[detector]\nlong_side = 640\n");
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    let persons_in = |frames: std::ops::RangeInclusive<u32>| {
        let rows = table(&run, "turns").0;
        let seen = rows
            .iter()
            .filter(|row| row.sighting.is_face() && frames.contains(&row.frame.number()));
        seen.filter_map(|row| Some(row.person?.0))
            .collect::<BTreeSet<u16>>()
    };
    let (first, second, third) = (persons_in(1..=30), persons_in(31..=70), persons_in(71..=100));
    println!("{first:?}, {second:?}, {third:?}");
    assert_eq!((first.len(), second.len()), (1, 1), "{first:?} {second:?}");
    assert_ne!(first, second);
    assert_eq!(first, third);

    // Switched off, everyone who comes has a number of their own.
    workspace.pipeline("[detector]\nlong_side = 640\n[tracker.identity]\nsame_person = 2.0\n");
    let run = workspace.path("not_joined");
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    let rows = table(&run, "turns").0;
    let persons: BTreeSet<u16> = rows.iter().filter_map(|row| Some(row.person?.0)).collect();
    assert_eq!(persons.len(), 3, "{persons:?}");
}

#[test]
fn a_face_larger_than_the_frame_is_one_person() {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 640\n");
    // The side of the part that is shown, as wide as the face or narrower, and its middle.
    let clips = [
        ("astronaut.mp4", 140, "305:150"),
        ("carphone.mp4", 40, "82:58"),
        ("carphone.mp4", 46, "82:58"),
    ]
    .map(|(source, width, middle)| {
        let (x, y) = middle.split_once(':').unwrap();
        let height = width * 3 / 4;
        let shown =
            format!("crop={width}:{height}:{x}-{width}/2:{y}-{height}/2:exact=1,scale=640:480,setsar=1");
        let name = format!("{width}_{source}.mkv");
        let arguments = format!("-ss 1 -i {} -vf {shown}", sample(source).display());
        workspace.ffmpeg(&arguments, 60, Path::new(&name))
    });
    let run = workspace.path("run");
    expect_exit(
        0,
        &mut workspace.annotate(&clips.each_ref().map(|clip| clip.as_path()), &run),
    );
    for clip in &clips {
        let rows = table(&run, clip.file_stem().unwrap().to_str().unwrap()).0;
        let seen = rows.iter().filter(|row| row.sighting.is_face());
        let persons: Vec<u16> = seen.filter_map(|row| Some(row.person?.0)).collect();
        let numbers: BTreeSet<u16> = persons.iter().copied().collect();
        println!("{}: {} faces, {numbers:?}", clip.display(), persons.len());
        assert_eq!(numbers.len(), 1, "{}: {numbers:?}", clip.display());
        assert!(persons.len() > 40, "{}: {}", clip.display(), persons.len());
    }
}
