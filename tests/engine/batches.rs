//! Batches are filled across videos, and no table depends on it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::workspace::{Workspace, columns};
use crate::support::{expect_exit, sample, stderr_of, table};

const FRAME_BATCH: u64 = 4;
const FACE_BATCH: u64 = 16;

/// Runs `abaw annotate` and gives its last line for machines.
fn annotate(workspace: &Workspace, threads: &str, inputs: &[&Path], run: &Path) -> Value {
    let options = ["--log-format=json", "--threads", threads];
    let output = expect_exit(0, &mut workspace.annotate_with(&options, inputs, run));
    let output = stderr_of(&output);
    serde_json::from_str(output.lines().last().unwrap()).unwrap()
}

/// The astronaut at two sizes that the detector sees at one, two other faces, and none; 3 to 6 frames.
fn short_clips(workspace: &Workspace) -> Vec<PathBuf> {
    let face =
        |file: &str, filter: &str| format!("-stream_loop -1 -i {} -vf {filter}", sample(file).display());
    let kinds = [
        face("astronaut.mp4", "scale=192:144"),
        face("astronaut.mp4", "scale=384:288"),
        face("carphone.mp4", "hue=h=0"),
        "-f lavfi -i testsrc2=size=96x64:rate=25".to_owned(),
    ];
    let clips = (0..16).map(|clip| {
        let name = format!("videos/{clip:02}.mkv");
        workspace.ffmpeg(&kinds[clip % 4], 3 + clip as u32 % 5, name.as_ref())
    });
    clips.collect()
}

/// The astronaut with a hole in the file.
fn damaged_clip(workspace: &Workspace) -> PathBuf {
    let clip = workspace.ffmpeg(
        &format!("-i {} -vf scale=192:144 -g 5", sample("astronaut.mp4").display()),
        20,
        "videos/damaged.mkv".as_ref(),
    );
    let mut bytes = std::fs::read(&clip).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 600].fill(0);
    std::fs::write(&clip, bytes).unwrap();
    clip
}

/// A video that becomes wider midway, as raw H.264 does.
fn changing_clip(workspace: &Workspace) -> PathBuf {
    let path = workspace.path("videos/changing.h264");
    let mut bytes = Vec::new();
    for size in ["192:144", "320:144"] {
        let part = workspace.path("part.h264");
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-nostdin", "-i"])
            .arg(sample("astronaut.mp4"))
            .args(["-vf", &format!("scale={size},setsar=1"), "-frames:v", "5"])
            .args("-an -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 0".split(' '))
            .arg(&part)
            .status();
        assert!(made.unwrap().success());
        bytes.extend(std::fs::read(part).unwrap());
    }
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn tables_do_not_depend_on_batching() {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 160\nwhole_every = 1\nbatch = 4\n");
    let mut clips = short_clips(&workspace);
    clips.extend([changing_clip(&workspace), damaged_clip(&workspace)]);
    let together = workspace.path("together");
    let news = annotate(&workspace, "2", &[&workspace.path("videos")], &together);

    let mut alone = Vec::new();
    let (mut with_face, mut passes_alone) = (0, [0, 0]);
    for clip in &clips {
        let id = clip.file_stem().unwrap().to_str().unwrap();
        let run = workspace.path(format!("alone{id}"));
        let news = annotate(&workspace, "1", &[clip], &run);
        alone.extend(columns(&run));
        assert!(table(&run, id) == table(&together, id), "{id}");
        with_face += u64::from(table(&run, id).1.counts.frames_with_face > 0);
        for (sum, of) in passes_alone.iter_mut().zip(["detector_passes", "network_passes"]) {
            *sum += news[of].as_u64().unwrap();
        }
    }
    assert!(columns(&together) == alone, "bytes differ");
    assert_eq!(with_face, 14);
    assert_eq!(table(&together, "changing").1.counts.frames, 10);
    let damage = &table(&together, "damaged").1.stream["damage"];
    assert!(
        damage["corrupt_packets"].as_u64() > Some(0) || damage["concealed_frames"].as_u64() > Some(0),
        "{damage}"
    );

    // The detector sees four sizes: 160x120, 160x131, 160x107 and 160x72.
    let frames = news["frames"].as_u64().unwrap();
    let passes = ["detector_passes", "network_passes"].map(|of| news[of].as_u64().unwrap());
    println!("{frames} frames: together {passes:?} passes, alone {passes_alone:?}");
    let most = [frames.div_ceil(FRAME_BATCH), frames.div_ceil(FACE_BATCH)];
    for ((passes, most), alone) in passes.into_iter().zip(most).zip(passes_alone) {
        // The last frames of each size, and those that did not wait.
        let most = most + most / 4 + 1;
        assert!(passes <= most, "{passes} passes where {most} would do");
        assert!(passes < alone, "{passes} passes, {alone} alone");
    }
}
