//! One annotated run that all tests here look at: two people side by side with sound, a small video in a folder, and
//! one that a phone held upright might have written.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use abaw::table::{self, Footer, Row};

use crate::support::{abaw, expect_exit, root, save_untrained};

/// The run. Its videos: `two`, `turned` and `batch1/small`.
pub static RUN: LazyLock<Run> = LazyLock::new(Run::make);

pub struct Run {
    folder: tempfile::TempDir,
}

impl Run {
    fn make() -> Self {
        let run = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir_all(run.path("videos/batch1")).unwrap();
        // Only the first second of sound: it is shorter than the video.
        run.ffmpeg(
            "-i two_people.mp4 -f lavfi -i sine=frequency=440:duration=1 -frames:v 60 -map 0:v -map 1:a -c:v libx264 \
             -preset ultrafast -crf 18 -pix_fmt yuv420p -c:a aac",
            "videos/two.mp4",
        );
        // An odd width, frames of uneven length, sound that MP4 cannot hold.
        run.ffmpeg(
            "-i carphone.mp4 -f lavfi -i sine=frequency=440:duration=2:sample_rate=8000 -frames:v 40 -vf \
             format=yuv444p,setpts='(N+floor(N/7))/25/TB',crop=175:144:0:0 -vsync vfr -map 0:v -map 1:a -c:v libx264 \
             -preset ultrafast -crf 18 -c:a pcm_s16le -shortest",
            "videos/batch1/small.mkv",
        );
        // Lies on its side, and says by how much it has to be turned; without sound.
        run.ffmpeg(
            "-i two_people.mp4 -frames:v 12 -an -vf crop=420:360:0:0,transpose=cclock -c:v libx264 -preset ultrafast \
             -crf 18 -pix_fmt yuv420p",
            "lying.mp4",
        );
        let mut bytes = std::fs::read(run.path("lying.mp4")).unwrap();
        // The display matrix of the track, a quarter turn clockwise: no option of ffmpeg's sets it in all versions.
        let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
        const ONE: i32 = 1 << 16;
        for (number, value) in [0, ONE, 0, -ONE, 0].into_iter().enumerate() {
            bytes[header + 44 + 4 * number..][..4].copy_from_slice(&value.to_be_bytes());
        }
        std::fs::write(run.path("videos/turned.mp4"), bytes).unwrap();
        // Without smoothing, so that intervals are many and short.
        std::fs::write(run.path("pipeline.toml"), "[detector]\nlong_side = 320\n").unwrap();
        save_untrained(&run.path("seeded.safetensors"));
        let mut annotate = abaw();
        annotate.arg("annotate").arg(run.path("videos"));
        annotate.arg("--weights").arg(run.path("seeded.safetensors"));
        annotate.arg("--pipeline").arg(run.path("pipeline.toml"));
        annotate.args(["--device", "cpu", "--out"]).arg(run.root());
        expect_exit(0, &mut annotate);
        run
    }

    /// A path in the folder that holds the run and its videos.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The run's folder.
    pub fn root(&self) -> PathBuf {
        self.path("run")
    }

    pub fn table(&self, id: &str) -> (Vec<Row>, Footer) {
        table::read(&self.root().join(format!("frames/{id}.parquet"))).unwrap()
    }

    fn ffmpeg(&self, arguments: &str, name: &str) {
        let samples = root().join("sample_data");
        let mut command = Command::new("ffmpeg");
        command
            .args(["-v", "error", "-y", "-nostdin"])
            .current_dir(samples);
        command.args(arguments.split_whitespace()).arg(self.path(name));
        expect_exit(0, &mut command);
    }
}
