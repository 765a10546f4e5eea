//! Prints where the shots of videos begin: a line a video, its path, a tab, the first frames of all shots but the first.
//! `cargo run --release --example cuts -- VIDEO...`

use std::error::Error;
use std::path::PathBuf;

use abaw::face::shot::{ShotDetector, ShotSettings, Signature};
use abaw::video::{VideoReader, VideoSettings};

fn main() -> Result<(), Box<dyn Error>> {
    abaw::video::silence_libav();
    for video in std::env::args_os().skip(1).map(PathBuf::from) {
        let mut reader = VideoReader::open(&video, &VideoSettings::default())?;
        let mut shots = ShotDetector::new(ShotSettings::default());
        let mut cuts = Vec::new();
        while let Some(frame) = reader.next_frame()? {
            if shots.is_cut(&Signature::of(&frame.picture)) {
                cuts.push(frame.index.to_string());
            }
        }
        println!("{}\t{}", video.display(), cuts.join(" "));
    }
    Ok(())
}
