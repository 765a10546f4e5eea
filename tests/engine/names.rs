//! File names as people and cameras make them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::workplace::{Workplace, assert_tidy, ends_with, errors, files, said, summary, table};
use abaw::table::read_footer;

#[test]
fn odd_names_give_tables_of_their_name() {
    let workplace = Workplace::new();
    let names = [
        "with space",
        "-dash",
        "co:lon",
        "%03d",
        "é ü 漢字",
        "a'b\"c",
        "new\nline",
        "*?[x]",
    ];
    let clip = workplace.clip("clip.mkv", 2);
    std::fs::create_dir(workplace.path("videos")).unwrap();
    for name in names {
        std::fs::copy(&clip, workplace.path(format!("videos/{name}.mkv"))).unwrap();
    }
    let latin1 = OsStr::from_bytes(b"videos/Andr\xe9.mkv");
    std::fs::copy(&clip, workplace.path(latin1)).unwrap();
    let run = workplace.path("run");
    ends_with(0, &mut workplace.annotate(&[workplace.path("videos")], &run));
    for name in names.into_iter().chain(["Andr\u{fffd}"]) {
        assert_eq!(table(&run, name).1.counts.frames, 2, "{name}");
    }
    assert_eq!(summary(&run)["totals"]["videos"], names.len() as u64 + 1);
}

#[test]
fn odd_names_can_be_given_as_they_are() {
    let workplace = Workplace::new();
    let clip = workplace.clip("clip.mkv", 2);
    for name in ["-dash.mkv", "file:x.mkv", "%03d.mkv"] {
        std::fs::copy(&clip, workplace.path(name)).unwrap();
        let run = workplace.path(format!("run of {name}"));
        let mut command = workplace.annotate(&[name], &run);
        ends_with(0, command.current_dir(clip.parent().unwrap()));
        assert_eq!(summary(&run)["totals"]["frames"], 2, "{name}");
    }
}

#[test]
fn the_longest_names_have_tables_and_records_too() {
    let workplace = Workplace::new();
    let clip = workplace.clip("clip.mkv", 2);
    std::fs::create_dir(workplace.path("videos")).unwrap();
    let name = |length: usize, last: &str| format!("{}{last}", "x".repeat(length - last.len()));
    let ids = [name(251, "a"), name(251, "b"), name(250, ""), name(247, "")];
    for id in &ids {
        std::fs::copy(&clip, workplace.path(format!("videos/{id}.mkv"))).unwrap();
    }
    let broken = name(251, "broken");
    std::fs::write(workplace.path(format!("videos/{broken}.mkv")), "no video").unwrap();
    let latin1 = [&[0xe9; 250], &b".mkv"[..]].concat();
    std::fs::copy(&clip, workplace.path("videos").join(OsStr::from_bytes(&latin1))).unwrap();

    let run = workplace.path("run");
    let output = ends_with(3, &mut workplace.annotate(&[workplace.path("videos")], &run));
    assert_eq!(errors(&output).len(), 1, "{}", said(&output));
    assert_eq!(summary(&run)["totals"]["done"], 5);
    assert_eq!(summary(&run)["totals"]["failed"], 1);
    assert_tidy(&run);
    assert_eq!(files(&run.join("frames")).len(), 5);
    assert!(
        run.join(format!("frames/{}.parquet", ids[3])).exists(),
        "short enough as it is"
    );

    // Nothing is done twice.
    let written = || -> Vec<_> {
        let tables = files(&run.join("frames")).into_iter();
        tables
            .map(|path| path.metadata().unwrap().modified().unwrap())
            .collect()
    };
    let before = written();
    ends_with(3, &mut workplace.annotate(&[workplace.path("videos")], &run));
    assert_eq!(written(), before);
    for path in files(&run.join("frames")) {
        assert_eq!(read_footer(&path).unwrap().0.counts.frames, 2);
    }
}

#[test]
fn names_that_are_alike_as_text_are_refused_with_their_bytes() {
    let workplace = Workplace::new();
    let clip = workplace.clip("clip.mkv", 2);
    std::fs::create_dir(workplace.path("videos")).unwrap();
    for name in [&b"\xe8.mkv"[..], b"\xe9.mkv"] {
        std::fs::copy(&clip, workplace.path("videos").join(OsStr::from_bytes(name))).unwrap();
    }
    let run: PathBuf = workplace.path("run");
    let output = ends_with(2, &mut workplace.annotate(&[workplace.path("videos")], &run));
    let line = &errors(&output)[0];
    assert!(line.contains("\\xE8.mkv") && line.contains("\\xE9.mkv"), "{line}");
    assert!(!run.exists());
}
