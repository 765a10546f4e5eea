//! Memory depends on the size of pictures, not on their number.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::workspace::{Workspace, tables};
use crate::support::{abaw, expect_exit, sample, summary};

const MIB: u64 = 1 << 20;

/// Bytes that a process holds (`VmRSS`) or held at most (`VmHWM`); `None` once it has ended.
fn memory(process: &Child, key: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Runs a command and gives the most memory it held.
fn peak(command: &mut Command) -> u64 {
    let mut process = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut most = 0;
    while process.try_wait().unwrap().is_none() {
        most = memory(&process, "VmHWM").unwrap_or(most);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(process.wait().unwrap().success());
    most
}

#[test]
fn a_video_four_times_as_long_takes_no_more_memory() {
    let workspace = Workspace::new();
    let peak_of = |frames: u32| {
        let clip = workspace.ffmpeg(
            "-f lavfi -i testsrc=size=320x180:rate=25",
            frames,
            "clip.mkv".as_ref(),
        );
        let run = workspace.path(format!("run{frames}"));
        let peak = peak(&mut workspace.annotate_with(&["--threads=2"], &[clip], &run));
        assert_eq!(summary(&run)["totals"]["frames"], frames);
        peak
    };
    let (short, long) = (peak_of(20 * 25), peak_of(80 * 25));
    println!("20 seconds: {} MiB, 80 seconds: {} MiB", short / MIB, long / MIB);
    // The pixels of the other 1,500 frames would be 247 MiB.
    assert!(long < short + 64 * MIB);
}

#[test]
fn a_clip_of_720p_takes_less_than_half_a_gibibyte() {
    let workspace = Workspace::new();
    workspace.pipeline("");
    let astronaut = format!(
        "-stream_loop -1 -i {} -vf scale=960:720",
        sample("astronaut.mp4").display()
    );
    let clip = workspace.ffmpeg(&astronaut, 60, "clip.mkv".as_ref());
    let run = workspace.path("run");
    let peak = peak(&mut workspace.annotate_with(&["--threads=2"], &[clip], &run));
    println!("{} MiB", peak / MIB);
    assert_eq!(summary(&run)["totals"]["frames_with_face"], 60);
    assert!(peak < 512 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn three_hundred_short_videos_have_all_their_rows_in_flat_memory() {
    let workspace = Workspace::new();
    // Small batches of faces, so that each worker has had some after a third.
    workspace.pipeline("[detector]\nlong_side = 96\n[model]\nbatch = 4\n");
    let clips = [
        workspace.clip("none.mkv", 2),
        workspace.face_clip("face.mkv", 1),
        workspace.clip("one.mkv", 1),
    ];
    std::fs::create_dir(workspace.path("videos")).unwrap();
    for video in 0..300 {
        std::fs::copy(
            &clips[video % 3],
            workspace.path(format!("videos/{video:03}.mkv")),
        )
        .unwrap();
    }
    let run = workspace.path("run");
    let mut command = workspace.annotate(&[workspace.path("videos")], &run);
    let mut process = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut after_a_third, mut at_the_end) = (0, 0);
    while process.try_wait().unwrap().is_none() {
        if let Some(now) = memory(&process, "VmRSS") {
            let published = count(&run.join("frames"));
            if published <= 100 {
                after_a_third = now.max(after_a_third);
            }
            at_the_end = now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(process.wait().unwrap().success());
    println!(
        "after 100 videos: {} MiB, at the end: {} MiB",
        after_a_third / MIB,
        at_the_end / MIB
    );
    assert!(after_a_third > 0 && at_the_end < after_a_third + 32 * MIB);

    let tables = tables(&run);
    assert_eq!(tables.len(), 300);
    for (video, (path, (rows, footer))) in tables.iter().enumerate() {
        assert_eq!(path, Path::new(&format!("{video:03}.parquet")));
        let frames = [2, 1, 1][video % 3];
        assert_eq!(
            (rows.len(), footer.counts.frames),
            (frames, frames as u64),
            "{video}"
        );
        assert_eq!(
            footer.counts.frames_with_face,
            u64::from(video % 3 == 1),
            "{video}"
        );
    }
    expect_exit(0, abaw().arg("merge").arg(&run));
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
