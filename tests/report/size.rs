//! Large runs: all pages are drawn, and no peak is lost.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use abaw::labels::ValenceArousal;
use serde_json::json;

use crate::browser::{Job, look};
use crate::made_up::{self, RATE, Video, row, wave};
use crate::pages::ink_is_there;
use crate::report;
use crate::support::{sample, stderr_of, stdout_of};

/// Ten minutes.
const LONG: u32 = 600 * RATE;
const VIDEOS: usize = 600;
/// How much slower than on a quiet machine a page may be drawn in a test.
const NOISE: f64 = 4.0;
/// Videos of which pictures are taken, in the measurement.
const FILMED: usize = 20;
/// The only frame that leaves the wave.
const PEAK: u32 = 12_345;
const PEAK_VALENCE: f32 = 0.93;

/// The first `long` videos are of ten minutes, the others short; the first `filmed` have a file.
fn videos(long: usize, filmed: usize, film: &Path) -> Vec<Video> {
    let video = |number: usize| {
        let frames = if number < long { LONG } else { 40 };
        let mut video = Video::lost(&format!("batch{}/video-{number:03}", number % 4), frames);
        if number < filmed {
            video.path = film.to_owned();
        }
        video
    };
    (0..VIDEOS).map(video).collect()
}

fn write(folder: &Path, videos: &[Video]) {
    made_up::write(folder, videos, |_, frame| match frame {
        PEAK => row(
            frame,
            ValenceArousal {
                valence: PEAK_VALENCE,
                arousal: 0.0,
            },
        ),
        _ => row(frame, wave(frame)),
    });
}

#[test]
fn six_hundred_videos_are_drawn_and_no_peak_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write(&run, &videos(1, 0, Path::new("")));
    let done = report(&run, &out, None);
    assert!(done.status.success(), "{}", stderr_of(&done));
    let [overview, page] = look_at_pages(&out, 1, 600.0);
    println!("drawn after: overview {overview:.0} ms, video {page:.0} ms");
    assert!(overview < NOISE * 1000.0, "{overview} ms");
}

#[test]
fn two_hours_of_four_people_are_drawn_soon() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    let video = Video {
        persons: 4,
        ..Video::lost("batch0/video-000", 2 * 3600 * RATE)
    };
    write(&run, &[video]);
    let done = report(&run, &out, None);
    assert!(done.status.success(), "{}", stderr_of(&done));
    let [_, page] = look_at_pages(&out, 1, 7200.0);
    println!("drawn after {page:.0} ms");
    assert!(page < NOISE * 2000.0, "{page} ms");
}

/// Opens the overview, and the page of the first video, which lasts `length_s` seconds, in two widths, each `times` over. Returns the least milliseconds
/// until the overview and a page were drawn, since other work on the machine is none of theirs.
fn look_at_pages(out: &Path, times: usize, length_s: f64) -> [f64; 2] {
    let page = std::fs::read_dir(out.join("videos"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("batch0-video-000") && name.ends_with(".html")
        })
        .unwrap();
    let mut jobs: Vec<Job> = (0..times)
        .map(|_| Job::new(&out.join("index.html"), 1280))
        .collect();
    let seconds = f64::from(PEAK - 1) / f64::from(RATE);
    for width in [1280, 400].repeat(times) {
        jobs.push(
            Job::new(&page, width)
                .then("ink", &[])
                .then("peak", &[json!(seconds)])
                .then("peak", &[json!(seconds + length_s / 30.0)]),
        );
    }
    let seen = look(jobs);
    let (overviews, pages) = seen.split_at(times);
    for page in pages {
        ink_is_there(&page["did"][0]);
        let peak = page["did"][1].as_f64().unwrap();
        assert!(
            (peak - f64::from(PEAK_VALENCE)).abs() < 0.05,
            "the peak is drawn at {peak}"
        );
        let beside = page["did"][2].as_f64().unwrap();
        assert!(beside < 0.6, "beside the peak the curve is at {beside}");
    }
    [overviews, pages].map(|seen| {
        let drawn = seen.iter().map(|page| page["drawn_ms"].as_f64().unwrap());
        drawn.fold(f64::INFINITY, f64::min)
    })
}

/// `cargo test --release --test report -- --ignored --nocapture` measures it: 10,800,000 rows.
#[test]
#[ignore = "a measurement of some minutes, 4 GB on the disk"]
fn seconds_and_memory_of_six_hundred_long_videos() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    write(&run, &videos(VIDEOS, 0, Path::new("")));
    let out = folder.path().join("out");
    measure("600 videos of 10 minutes, no film", &run, &out);
    let [overview, page] = look_at_pages(&out, 3, 600.0);
    println!("drawn after: overview {overview:.0} ms, video {page:.0} ms");

    let film = folder.path().join("film.mp4");
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-stream_loop", "-1", "-i"])
        .arg(sample("two_people.mp4"))
        .args([
            "-t", "600", "-r", "30", "-s", "1280x720", "-preset", "veryfast", "-g", "250",
        ])
        .arg(&film)
        .status()
        .unwrap();
    assert!(made.success());
    for filmed in [0, FILMED] {
        let mut some = videos(FILMED, filmed, &film);
        some.truncate(FILMED);
        let run = folder.path().join(format!("run{filmed}"));
        write(&run, &some);
        measure(
            &format!("{FILMED} videos of 10 minutes, {filmed} with a film in 1280x720"),
            &run,
            &folder.path().join(format!("out{filmed}")),
        );
    }
}

fn measure(what: &str, run: &Path, out: &Path) {
    const PEAK: &str = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); \
        used = resource.getrusage(resource.RUSAGE_CHILDREN); \
        print(f'{used.ru_utime + used.ru_stime:.1f} s of work, {used.ru_maxrss // 1024} MB', file=sys.stderr); \
        sys.exit(code)";
    let start = Instant::now();
    let done = Command::new("python3")
        .args(["-c", PEAK, env!("CARGO_BIN_EXE_abaw"), "report"])
        .arg(run)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr_of(&done));
    let bytes: u64 = walkdir::WalkDir::new(out)
        .into_iter()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "{what}: {:.1} s on the clock, {} at most, {} MB on the disk\n{}",
        start.elapsed().as_secs_f64(),
        stderr_of(&done).lines().last().unwrap_or("?"),
        bytes / 1_000_000,
        stdout_of(&done)
    );
}
