//! File names as people and cameras make them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::workspace::{Workspace, assert_tidy, files};
use abaw::table::read_footer;

use crate::support::{errors, expect_exit, stderr_of, summary, table};

#[test]
fn odd_names_give_tables_of_their_name() {
    let workspace = Workspace::new();
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
    let clip = workspace.clip("clip.mkv", 2);
    std::fs::create_dir(workspace.path("videos")).unwrap();
    for name in names {
        std::fs::copy(&clip, workspace.path(format!("videos/{name}.mkv"))).unwrap();
    }
    let latin1 = OsStr::from_bytes(b"videos/Andr\xe9.mkv");
    std::fs::copy(&clip, workspace.path(latin1)).unwrap();
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[workspace.path("videos")], &run));
    for name in names.into_iter().chain(["Andr\u{fffd}"]) {
        assert_eq!(table(&run, name).1.counts.frames, 2, "{name}");
    }
    assert_eq!(summary(&run)["totals"]["videos"], names.len() as u64 + 1);
}

#[test]
fn odd_names_can_be_given_as_they_are() {
    let workspace = Workspace::new();
    let clip = workspace.clip("clip.mkv", 2);
    for name in ["-dash.mkv", "file:x.mkv", "%03d.mkv"] {
        std::fs::copy(&clip, workspace.path(name)).unwrap();
        let run = workspace.path(format!("run of {name}"));
        let mut command = workspace.annotate(&[name], &run);
        expect_exit(0, command.current_dir(clip.parent().unwrap()));
        assert_eq!(summary(&run)["totals"]["frames"], 2, "{name}");
    }
}

#[test]
fn the_longest_names_have_tables_and_records_too() {
    let workspace = Workspace::new();
    let clip = workspace.clip("clip.mkv", 2);
    std::fs::create_dir(workspace.path("videos")).unwrap();
    let name = |length: usize, last: &str| format!("{}{last}", "x".repeat(length - last.len()));
    let ids = [name(251, "a"), name(251, "b"), name(250, ""), name(247, "")];
    for id in &ids {
        std::fs::copy(&clip, workspace.path(format!("videos/{id}.mkv"))).unwrap();
    }
    let broken = name(251, "broken");
    std::fs::write(workspace.path(format!("videos/{broken}.mkv")), "no video").unwrap();
    let latin1 = [&[0xe9; 250], &b".mkv"[..]].concat();
    std::fs::copy(&clip, workspace.path("videos").join(OsStr::from_bytes(&latin1))).unwrap();

    let run = workspace.path("run");
    let output = expect_exit(3, &mut workspace.annotate(&[workspace.path("videos")], &run));
    assert_eq!(errors(&output).len(), 1, "{}", stderr_of(&output));
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
    expect_exit(3, &mut workspace.annotate(&[workspace.path("videos")], &run));
    assert_eq!(written(), before);
    for path in files(&run.join("frames")) {
        assert_eq!(read_footer(&path).unwrap().0.counts.frames, 2);
    }
}

#[test]
fn names_that_are_alike_as_text_are_told_apart_by_their_bytes() {
    let workspace = Workspace::new();
    let clip = workspace.clip("clip.mkv", 2);
    std::fs::create_dir(workspace.path("videos")).unwrap();
    for name in [&b"\xe8.mkv"[..], b"\xe9.mkv"] {
        std::fs::copy(&clip, workspace.path("videos").join(OsStr::from_bytes(name))).unwrap();
    }
    let run = workspace.path("run");
    let output = expect_exit(0, &mut workspace.annotate(&[workspace.path("videos")], &run));
    for id in ["%E8.mkv", "%E9.mkv"] {
        assert_eq!(table(&run, id).1.counts.frames, 2, "{id}");
        let stderr = stderr_of(&output);
        let told = stderr
            .lines()
            .filter(|line| line.starts_with("warning: ") && line.contains(id));
        assert_eq!(told.count(), 1, "{stderr}");
    }
}
