//! The fuzz targets on what they found before, and on samples of each format damaged at random.

use std::fs;
use std::path::PathBuf;

#[path = "../../fuzz/src/lib.rs"]
mod parsers;

use parsers::TARGETS;

use crate::support::root;

/// The files at any depth below some folders.
fn files(folders: &[&str]) -> Vec<PathBuf> {
    let below = |folder: &&str| walkdir::WalkDir::new(root().join(folder)).sort_by_file_name();
    let entries = folders.iter().flat_map(below).map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// Good files for a target to begin with.
fn samples(target: &str) -> Vec<Vec<u8>> {
    let folders: &[&str] = match target {
        "labels" | "frame_list" | "video_list" => {
            &["tests/golden/annotation_formats", "sample_data/aff-wild2"]
        }
        "pipeline" | "calibration" => &["pipelines"],
        "weights" => &["tests/golden/checkpoints"],
        "program" | "network_card" => &["tests/golden/networks"],
        _ => &[],
    };
    let read = |path: PathBuf| fs::read(path).unwrap();
    files(folders)
        .into_iter()
        .map(read)
        .filter(|bytes| bytes.len() < 100_000)
        .collect()
}

#[test]
fn what_was_found_before_stays_mended() {
    for (name, target) in TARGETS {
        let cases = files(&[&format!("fuzz/cases/{name}")]);
        assert!(!cases.is_empty(), "no cases of {name}");
        for case in cases {
            println!("{}", case.display());
            target(&fs::read(&case).unwrap());
        }
    }
}

#[test]
fn damaged_samples_break_no_rule() {
    let mut random = fastrand::Rng::with_seed(1);
    for (name, target) in TARGETS {
        let mut samples = samples(name);
        samples.extend(
            files(&[&format!("fuzz/cases/{name}")])
                .into_iter()
                .map(|case| fs::read(case).unwrap()),
        );
        for _ in 0..200 {
            let mut bytes = samples[random.usize(..samples.len())].clone();
            for _ in 0..random.usize(..4) {
                let at = random.usize(..=bytes.len());
                match random.u8(..4) {
                    0 => bytes.insert(at, random.u8(..)),
                    1 if at < bytes.len() => bytes[at] = random.u8(..),
                    2 if at < bytes.len() => drop(bytes.remove(at)),
                    3 => bytes.truncate(at),
                    _ => bytes.extend_from_within(..at),
                }
            }
            target(&bytes);
        }
    }
}

#[test]
fn every_target_can_be_run() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"")),
            "{name}"
        );
        let wrapper = fs::read_to_string(root().join(format!("fuzz/targets/{name}.rs"))).unwrap();
        assert!(wrapper.contains(&format!("abaw_fuzz::{name}(bytes)")), "{name}");
    }
    assert_eq!(
        fs::read_dir(root().join("fuzz/targets")).unwrap().count(),
        TARGETS.len()
    );
}
