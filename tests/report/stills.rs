//! Single frames by their times are the frames of a video read from its start.

use std::collections::BTreeMap;

use abaw::video::{Stills, VideoReader, VideoSettings};

use crate::support::sample;

#[test]
fn a_frame_by_its_time_is_the_one_that_decoding_comes_to() {
    for clip in ["carphone.mp4", "astronaut.mp4"] {
        let (path, settings) = (sample(clip), VideoSettings::default());
        let mut reader = VideoReader::open(&path, &settings).unwrap();
        let mut frames = BTreeMap::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            frames.insert(frame.index.number(), (frame.time_s.unwrap(), frame.picture));
        }
        let mut stills = Stills::open(&path, &settings).unwrap();
        for number in [7, 8, 30, 119, 120, 3, 1, 64] {
            let (time_s, picture) = &frames[&number];
            let still = stills.at(*time_s).unwrap();
            assert!(still.as_ref() == Some(picture), "{clip}, frame {number}");
        }
        assert!(stills.at(1e3).unwrap().is_none());
        let between = (frames[&10].0 + frames[&11].0) / 2.0;
        assert!(stills.at(between).unwrap().is_none());
        assert!(stills.at(frames[&20].0).unwrap().as_ref() == Some(&frames[&20].1));
    }
}
