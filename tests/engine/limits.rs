//! What is refused as a video, and the pipeline file that accepts it.

use crate::support::workspace::Workspace;
use crate::support::{abaw, errors, expect_exit, stderr_of, summary, table};

#[test]
fn a_damaged_video_is_kept_and_counted_or_refused_if_asked() {
    let workspace = Workspace::new();
    let whole = workspace.ffmpeg(
        "-f lavfi -i testsrc2=size=96x64:rate=25 -g 5",
        40,
        "whole.mkv".as_ref(),
    );
    let mut bytes = std::fs::read(&whole).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 800].fill(0);
    let damaged = workspace.path("damaged.mkv");
    std::fs::write(&damaged, bytes).unwrap();

    let kept = workspace.path("kept");
    let output = expect_exit(0, &mut workspace.annotate(&[&damaged, &whole], &kept));
    assert!(
        stderr_of(&output).contains("warning: damaged: damaged: "),
        "{}",
        stderr_of(&output)
    );
    let damage = summary(&kept)["videos"][0]["damage"].clone();
    let counted: u64 = ["corrupt_packets", "concealed_frames"]
        .iter()
        .filter_map(|key| damage[key].as_u64())
        .sum();
    assert!(counted > 0 || damage["early_end"] == true, "{damage}");
    assert_eq!(table(&kept, "damaged").1.stream["damage"], damage);

    let strict = workspace.path("strict");
    let mut command = abaw();
    command
        .args(["annotate", "--strict-video", "--device", "cpu"])
        .args([&damaged, &whole]);
    let output = expect_exit(3, command.arg("--out").arg(&strict));
    assert_eq!(errors(&output).len(), 1, "{}", stderr_of(&output));
    assert!(
        errors(&output)[0].starts_with("error: damaged: "),
        "{}",
        stderr_of(&output)
    );
    assert_eq!(summary(&strict)["totals"]["done"], 1);
}

#[test]
fn too_long_and_too_large_are_refused_until_the_pipeline_file_says_otherwise() {
    let workspace = Workspace::new();
    let videos = [workspace.clip("long.mkv", 30), workspace.clip("short.mkv", 4)];
    let limits = |frames: u32, pixels: u32| {
        workspace.pipeline(&format!(
            "[detector]\nlong_side = 96\n[video]\nmax_frames = {frames}\nmax_pixels = {pixels}\n"
        ));
        let run = workspace.path(format!("run-{frames}-{pixels}"));
        let output = workspace.annotate(&videos, &run).output().unwrap();
        let failed: Vec<_> = errors(&output).iter().map(|line| line[7..].to_owned()).collect();
        (output.status.code(), failed)
    };
    let (code, failed) = limits(10, 96 * 64);
    assert_eq!(code, Some(3));
    assert!(
        failed.len() == 1 && failed[0].starts_with("long: ") && failed[0].contains("max_frames"),
        "{failed:?}"
    );
    let (code, failed) = limits(30, 96 * 64 - 1);
    assert_eq!(code, Some(3));
    assert!(
        failed.len() == 2 && failed.iter().all(|line| line.contains("max_pixels")),
        "{failed:?}"
    );
    assert_eq!(limits(30, 96 * 64), (Some(0), Vec::new()));
}

#[test]
fn what_never_ends_is_no_video() {
    let workspace = Workspace::new();
    let pipe = workspace.path("pipe.mp4");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for endless in [std::path::Path::new("/dev/zero"), &pipe] {
        let output = expect_exit(3, &mut workspace.annotate(&[endless], &workspace.path("run")));
        assert!(
            errors(&output)[0].contains("regular file"),
            "{}",
            stderr_of(&output)
        );
        std::fs::remove_dir_all(workspace.path("run")).unwrap();
    }
}
