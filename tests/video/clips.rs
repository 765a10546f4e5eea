//! Clips for the tests: made with the ffmpeg tool, read by ffprobe and by us.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use abaw::video::{
    Damage, Frame, FrameRecord, StreamFacts, VideoError, VideoReader, VideoSettings, silence_libav,
};

/// 30 frames of a moving test picture, 96x64.
pub const MOVING: &str = "-f lavfi -i testsrc2=size=96x64:rate=25:duration=1.2";

/// Makes `folder/name` with the ffmpeg tool, run in `folder`. Arguments are split at spaces.
pub fn make(folder: &Path, arguments: &str, name: &str) -> PathBuf {
    silence_libav();
    run(
        "ffmpeg",
        &format!("-v error -y -nostdin {arguments}"),
        folder,
        OsStr::new(name),
    );
    folder.join(name)
}

/// Reads a video to its end.
pub fn read(path: &Path, settings: &VideoSettings) -> Result<Read, VideoError> {
    let mut reader = VideoReader::open(path, settings)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    assert!(reader.next_frame()?.is_none());
    Ok(Read {
        frames,
        facts: reader.facts().clone(),
        record: reader.record(),
        damage: reader.damage(),
    })
}

/// As [`read`], with the default settings, for a video that can be read.
pub fn read_well(path: &Path) -> Read {
    read(path, &VideoSettings::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A video as we read it.
pub struct Read {
    pub frames: Vec<Frame>,
    pub facts: StreamFacts,
    pub record: FrameRecord,
    pub damage: Damage,
}

/// Presentation times and sizes of the frames that ffprobe decodes.
pub fn ffprobe(path: &Path) -> Vec<(Option<f64>, (u32, u32))> {
    let arguments = "-v quiet -select_streams V:0 -count_frames -show_entries \
                     stream=nb_read_frames:frame=best_effort_timestamp_time,width,height -of json";
    let output = run("ffprobe", arguments, Path::new("/"), path.as_os_str());
    let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let frames = json["frames"].as_array().cloned().unwrap_or_default();
    assert_eq!(
        json["streams"][0]["nb_read_frames"].as_str(),
        Some(frames.len().to_string().as_str())
    );
    let number = |value: &serde_json::Value| value.as_u64().unwrap() as u32;
    let time = |value: &serde_json::Value| value.as_str().map(|text| text.parse().unwrap());
    frames
        .iter()
        .map(|frame| {
            (
                time(&frame["best_effort_timestamp_time"]),
                (number(&frame["width"]), number(&frame["height"])),
            )
        })
        .collect()
}

/// All frames as the ffmpeg tool shows them after a filter: turned upright, RGB, one after the other.
pub fn ffmpeg_frames(path: &Path, filter: &str) -> Vec<u8> {
    let arguments = format!(
        "-v error -nostdin -i {} -vsync passthrough -vf {filter} -f rawvideo -pix_fmt rgb24",
        path.display()
    );
    run("ffmpeg", &arguments, Path::new("/"), OsStr::new("-"))
}

/// The first frame as the ffmpeg tool shows it: turned upright, RGB.
pub fn ffmpeg_first_frame(path: &Path) -> Vec<u8> {
    let arguments = format!(
        "-v error -nostdin -i {} -frames:v 1 -f rawvideo -pix_fmt rgb24",
        path.display()
    );
    run("ffmpeg", &arguments, Path::new("/"), OsStr::new("-"))
}

/// Writes a copy of a file, changed, next to it.
pub fn changed(path: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    let copy = path.with_file_name(name);
    fs::write(&copy, bytes).unwrap();
    copy
}

fn run(program: &str, arguments: &str, folder: &Path, last: &OsStr) -> Vec<u8> {
    let mut command = Command::new(program);
    command
        .args(arguments.split_whitespace())
        .arg(last)
        .current_dir(folder);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments} {}: {errors}",
        last.display()
    );
    output.stdout
}
