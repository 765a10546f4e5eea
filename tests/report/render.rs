//! `abaw render`: films probed with ffprobe, and their pixels beside the originals'.

use std::path::{Path, PathBuf};
use std::process::Command;

use abaw::face::BoundingBox;
use abaw::frame::Picture;
use abaw::table::Row;
use abaw::video::{Frame, VideoReader, VideoSettings, silence_libav};
use serde_json::Value;

use crate::annotated_run::RUN;
use crate::support::{abaw_with, expect_exit, stderr_of};

/// Renders into a folder of its own.
fn render(video: &str, options: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/film.mp4");
    let mut command = abaw_with(&[&"render", &RUN.root(), &video, &"--out", &out]);
    expect_exit(0, command.args(options));
    let files: Vec<_> = std::fs::read_dir(out.parent().unwrap()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing but the film is left");
    (folder, out)
}

fn probe(path: &Path) -> Value {
    let mut command = Command::new("ffprobe");
    command.args("-v error -count_packets -show_streams -show_packets -show_format -of json".split(' '));
    let output = expect_exit(0, command.arg(path));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stream<'a>(probed: &'a Value, kind: &str) -> Option<&'a Value> {
    let streams = probed["streams"].as_array().unwrap();
    streams.iter().find(|stream| stream["codec_type"] == kind)
}

fn times(probed: &Value, kind: &str) -> Vec<f64> {
    let packets = probed["packets"].as_array().unwrap().iter();
    let of_kind = packets.filter(|packet| packet["codec_type"] == kind);
    let mut times: Vec<f64> = of_kind
        .map(|packet| packet["pts_time"].as_str().unwrap().parse().unwrap())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn frames(path: &Path) -> Vec<Frame> {
    silence_libav();
    let mut reader = VideoReader::open(path, &VideoSettings::default()).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
}

fn place(row: &Row) -> BoundingBox {
    row.sighting.location().unwrap().0
}

/// How far apart pixels are, on average over the channels.
fn apart(a: [u8; 3], b: [u8; 3]) -> u32 {
    (0..3)
        .map(|channel| u32::from(a[channel].abs_diff(b[channel])))
        .sum::<u32>()
        / 3
}

/// Mean difference of horizontal neighbours in a box, a measure of detail.
fn detail(picture: &Picture, place: BoundingBox) -> f64 {
    let (mut sum, mut count) = (0, 0);
    for y in place.y1.max(0.0) as u32..(place.y2 as u32).min(picture.height()) {
        for x in place.x1.max(0.0) as u32..(place.x2 as u32).min(picture.width() - 1) {
            sum += apart(picture.pixel(x, y), picture.pixel(x + 1, y));
            count += 1;
        }
    }
    f64::from(sum) / f64::from(count)
}

#[test]
fn a_film_has_the_frames_times_and_sound_of_its_video() {
    let (_folder, film) = render("two", &[]);
    let (film, original) = (probe(&film), probe(&RUN.path("videos/two.mp4")));
    let video = stream(&film, "video").unwrap();
    assert_eq!(
        (video["codec_name"].as_str(), video["pix_fmt"].as_str()),
        (Some("h264"), Some("yuv420p"))
    );
    assert_eq!(
        (video["width"].as_u64(), video["height"].as_u64()),
        (Some(640), Some(360))
    );
    assert_eq!(video["nb_read_packets"], "60");
    for (ours, theirs) in times(&film, "video").iter().zip(times(&original, "video")) {
        assert!((ours - theirs).abs() < 0.001, "{ours} {theirs}");
    }
    let duration: f64 = film["format"]["duration"].as_str().unwrap().parse().unwrap();
    assert!((duration - 2.4).abs() < 0.05, "{duration}");

    // The packets of the sound as they were.
    let sizes = |probed: &Value| -> Vec<Value> {
        let packets = probed["packets"].as_array().unwrap().iter();
        packets
            .filter(|packet| packet["codec_type"] == "audio")
            .map(|packet| packet["size"].clone())
            .collect()
    };
    assert_eq!(stream(&film, "audio").unwrap()["codec_name"], "aac");
    assert_eq!(sizes(&film), sizes(&original));
}

#[test]
fn a_film_begins_with_its_index() {
    let (_folder, film) = render("small", &[]);
    let bytes = std::fs::read(film).unwrap();
    let box_at = |name: &[u8]| bytes.windows(4).position(|four| four == name).unwrap();
    assert!(box_at(b"moov") < box_at(b"mdat"));
}

/// No frame after a key frame is shown before it: such frames need what came earlier, and a browser that
/// goes to a moment of the film gives up at them.
#[test]
fn every_key_frame_is_a_fresh_start() {
    let (_folder, film) = render("two", &[]);
    let probed = probe(&film);
    let packets = probed["packets"].as_array().unwrap().iter();
    let time = |packet: &Value| packet["pts_time"].as_str().unwrap().parse::<f64>().unwrap();
    let (mut key_frames, mut start) = (0, 0.0);
    for packet in packets.filter(|packet| packet["codec_type"] == "video") {
        if packet["flags"].as_str().unwrap().starts_with('K') {
            (key_frames, start) = (key_frames + 1, time(packet));
        }
        assert!(
            time(packet) >= start,
            "{} after the key frame at {start}",
            time(packet)
        );
    }
    assert!(key_frames > 1, "{key_frames}");
}

#[test]
fn small_odd_videos_of_uneven_rate_are_enlarged_and_keep_their_times_and_sound() {
    let (_folder, film) = render("batch1/small", &[]);
    let (film, original) = (probe(&film), probe(&RUN.path("videos/batch1/small.mkv")));
    let video = stream(&film, "video").unwrap();
    // 175x144 pixels of 128:117, which are 191x144 square ones; three times as large, even.
    assert_eq!(
        (video["width"].as_u64(), video["height"].as_u64()),
        (Some(574), Some(432))
    );
    let (ours, theirs) = (times(&film, "video"), times(&original, "video"));
    assert_eq!(ours.len(), theirs.len());
    let steps: Vec<f64> = theirs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().any(|step| *step > 0.07) && steps.iter().any(|step| *step < 0.05));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            (ours - (theirs - original_start(&original))).abs() < 0.002,
            "{ours} {theirs}"
        );
    }
    let sound = stream(&film, "audio").unwrap();
    assert_eq!(
        (sound["codec_name"].as_str(), sound["sample_rate"].as_str()),
        (Some("aac"), Some("8000"))
    );
    let (heard, meant) = (times(&film, "audio"), times(&original, "audio"));
    assert!((heard.last().unwrap() - meant.last().unwrap()).abs() < 0.3);
}

fn original_start(probed: &Value) -> f64 {
    times(probed, "video")[0]
}

#[test]
fn a_video_that_lies_on_its_side_is_rendered_upright() {
    let (_folder, film) = render("turned", &[]);
    let probed = probe(&film);
    let video = stream(&probed, "video").unwrap();
    assert_eq!(
        (video["width"].as_u64(), video["height"].as_u64()),
        (Some(420), Some(360))
    );
    assert!(stream(&probed, "audio").is_none());
    assert_eq!(
        video["side_data_list"],
        Value::Null,
        "the film itself needs no turn"
    );
    // She is upright too: the landmarks' white is where the table says.
    let (rows, footer) = RUN.table("turned");
    assert_eq!(
        (footer.stream["width"].as_u64(), footer.stream["height"].as_u64()),
        (Some(420), Some(360))
    );
    let (drawn, row) = (
        frames(&film),
        rows.iter().find(|row| row.sighting.is_face()).unwrap(),
    );
    let nose = row.sighting.location().unwrap().1.0[2];
    let (x, y) = ((nose.x + 0.5) as u32, (nose.y + 0.5) as u32);
    let picture = &drawn[row.frame.number() as usize - 1].picture;
    assert!(
        apart(picture.pixel(x, y), [255; 3]) < 60,
        "{:?}",
        picture.pixel(x, y)
    );
}

#[test]
fn boxes_are_where_the_table_says_and_the_rest_is_as_it_was() {
    let (_folder, film) = render("two", &[]);
    let (rows, _) = RUN.table("two");
    let (drawn, original) = (frames(&film), frames(&RUN.path("videos/two.mp4")));
    // Sky blue and orange.
    let colours = [[86, 180, 233], [230, 159, 0]];
    for at in [0, 17, 59] {
        let here: Vec<&Row> = rows
            .iter()
            .filter(|row| row.frame.number() as usize == at + 1)
            .collect();
        assert_eq!(here.len(), 2);
        for row in &here {
            let BoundingBox { x1, y1, x2, y2 } = place(row);
            let middle = ((y1 + y2) / 2.0).round() as u32;
            let wanted = colours[usize::from(row.person.unwrap().0)];
            for x in [x1, x2] {
                let x = (x + 0.5).round() as u32;
                // A film has a colour for every other column, so a line two pixels wide may share its own
                // with what is beside it. The other person's colour is 133 away.
                let nearest = (x - 1..=x + 1)
                    .map(|x| apart(drawn[at].picture.pixel(x, middle), wanted))
                    .min();
                assert!(
                    nearest.unwrap() < 60,
                    "frame {}: {nearest:?} at {x}, {middle}",
                    at + 1
                );
            }
        }
        // Away from boxes, cards and the words at the top.
        let mut differences = Vec::new();
        for y in (30..240).step_by(3) {
            for x in (0..640).step_by(3) {
                let near = |row: &&&Row| {
                    let BoundingBox { x1, y1, x2, y2 } = place(row);
                    let (x, y) = (x as f32, y as f32);
                    x > x1 - 6.0 && x < x2 + 60.0 && y > y1 - 30.0 && y < y2 + 6.0
                };
                let clock = x > 500 && y < 60;
                if clock || here.iter().any(|row| near(&row)) {
                    continue;
                }
                let (ours, theirs) = (drawn[at].picture.pixel(x, y), original[at].picture.pixel(x, y));
                differences.push(apart(ours, theirs));
            }
        }
        assert!(differences.len() > 3000, "{}", differences.len());
        let mean = f64::from(differences.iter().sum::<u32>()) / differences.len() as f64;
        assert!(mean < 4.0, "frame {}: {mean}", at + 1);
    }
    // Untrained weights: the words stand on dark red.
    assert!(apart(drawn[5].picture.pixel(4, 4), [176, 0, 32]) < 30);
}

#[test]
fn blurred_faces_have_no_detail() {
    let (_folder, film) = render("two", &["--blur"]);
    let (rows, _) = RUN.table("two");
    let (blurred, original) = (frames(&film), frames(&RUN.path("videos/two.mp4")));
    for row in rows.iter().filter(|row| row.frame.number() % 20 == 0) {
        let at = row.frame.number() as usize - 1;
        let BoundingBox { x1, y1, x2, y2 } = place(row);
        // Between the eyes and the mouth, where no landmark is drawn.
        let (width, height) = (x2 - x1, y2 - y1);
        let forehead = BoundingBox {
            x1: x1 + 0.1 * width,
            x2: x2 - 0.1 * width,
            y1: y1.max(30.0) + 0.12 * height,
            y2: y1.max(30.0) + 0.25 * height,
        };
        let (ours, theirs) = (
            detail(&blurred[at].picture, forehead),
            detail(&original[at].picture, forehead),
        );
        assert!(
            ours < 0.45 * theirs && ours < 2.0,
            "frame {}: {ours} of {theirs}",
            at + 1
        );
    }
}

#[test]
fn the_aligned_face_has_its_landmarks_near_the_template() {
    let (_folder, film) = render("two", &["--crop"]);
    let drawn = frames(&film);
    assert_eq!(drawn.len(), 60);
    let picture = &drawn[3].picture;
    assert_eq!((picture.width(), picture.height()), (672, 720));
    // The template's circles are yellow: there are some of that colour, and more than a few pixels.
    let yellow = (0..672 * 672)
        .filter(|at| apart(picture.pixel(at % 672, at / 672), [240, 228, 66]) < 40)
        .count();
    assert!(yellow > 200, "{yellow}");
}

#[test]
fn what_cannot_be_rendered_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("film.mp4");
    let root = RUN.root();
    let render = |run: &Path, video: &str| {
        let output = expect_exit(2, &mut abaw_with(&[&"render", &run, &video, &"--out", &out]));
        assert!(!out.exists());
        stderr_of(&output)
    };
    let unknown = render(&root, "batch1/smal");
    assert!(
        unknown.contains("no video `batch1/smal`; did you mean `batch1/small`?"),
        "{unknown}"
    );

    let own = RUN.path("videos/two.mp4");
    let output = expect_exit(2, &mut abaw_with(&[&"render", &root, &"two", &"--out", &own]));
    assert!(stderr_of(&output).contains("is the video itself; give another --out"));

    // A copy of the run, whose video is gone, then another.
    let copy = folder.path().join("run");
    std::fs::create_dir_all(copy.join("frames")).unwrap();
    std::fs::copy(root.join("frames/two.parquet"), copy.join("frames/two.parquet")).unwrap();
    let plan = std::fs::read_to_string(root.join("plan.json")).unwrap();
    let moved = folder.path().join("gone.mp4");
    let plan = plan.replace(
        RUN.path("videos/two.mp4").to_str().unwrap(),
        moved.to_str().unwrap(),
    );
    std::fs::write(copy.join("plan.json"), plan).unwrap();
    let gone = render(&copy, "two");
    assert!(
        gone.contains("two: ") && gone.contains("gone.mp4") && gone.contains("put the video back"),
        "{gone}"
    );
    std::fs::write(&moved, b"another video").unwrap();
    let other = render(&copy, "two");
    assert!(
        other.contains("has changed since it was annotated (13 bytes, then "),
        "{other}"
    );
    let plan = std::fs::read_to_string(copy.join("plan.json")).unwrap();
    std::fs::write(
        copy.join("plan.json"),
        plan.replace("\"kind\": \"video\"", "\"kind\": \"crops\""),
    )
    .unwrap();
    let crops = render(&copy, "two");
    assert!(
        crops.contains("two: made from aligned crops, so there is no video to render"),
        "{crops}"
    );
    std::fs::write(copy.join("plan.json"), plan).unwrap();
    let absent = render(&copy, "small");
    assert!(
        absent.contains("no table of it; run `abaw annotate` again"),
        "{absent}"
    );
}
