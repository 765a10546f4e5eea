//! What a run takes as input: whatever a folder of a laboratory contains.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use abaw::run::Plan;

use crate::support::workspace::Workspace;
use crate::support::{abaw, errors, expect_exit, golden, root, stderr_of, stdout_of, summary, table};

fn ids(run: &Path) -> Vec<String> {
    let plan = Plan::read(&run.join("plan.json")).unwrap();
    plan.inputs.into_iter().map(|input| input.id.into()).collect()
}

/// The lines of stderr that are warnings about a name.
fn warnings_about(name: &str, output: &Output) -> usize {
    let stderr = stderr_of(output);
    stderr
        .lines()
        .filter(|line| line.starts_with("warning: ") && line.contains(name))
        .count()
}

#[test]
fn what_cannot_be_read_in_a_folder_costs_itself_alone() {
    let workspace = Workspace::new();
    workspace.clip("videos/good.mp4", 2);
    let name = |name: &str| workspace.path("videos").join(name);
    symlink("nowhere.mp4", name("missing.mp4")).unwrap();
    symlink("nowhere.txt", name("note.txt")).unwrap();
    symlink(".", name("loop")).unwrap();
    symlink("around.mp4", name("around.mp4")).unwrap();
    let _socket = UnixListener::bind(name("camera.mp4")).unwrap();
    let fifo = Command::new("mkfifo").arg(name("pipe.mp4")).status().unwrap();
    assert!(fifo.success());
    let run = workspace.path("run");
    let output = expect_exit(3, &mut workspace.annotate(&[workspace.path("videos")], &run));
    assert_eq!(table(&run, "good").1.counts.frames, 2);
    for failed in ["missing", "around", "camera", "pipe"] {
        assert!(run.join(format!("failures/{failed}.json")).exists(), "{failed}");
        let told = errors(&output)
            .iter()
            .filter(|line| line.starts_with(&format!("error: {failed}: ")))
            .count();
        assert_eq!(told, 1, "{failed}: {}", stderr_of(&output));
    }
    for warned in ["note.txt", "loop"] {
        assert_eq!(
            warnings_about(warned, &output),
            1,
            "{warned}: {}",
            stderr_of(&output)
        );
    }
    assert_eq!(summary(&run)["totals"]["done"], 1);
    assert_eq!(summary(&run)["totals"]["failed"], 4);
}

/// A file system that never answers; it goes with this.
struct DeadMount {
    at: PathBuf,
    _silent: std::fs::File,
}

impl DeadMount {
    /// `None`, with a printed reason, where nothing may be mounted.
    fn mount(at: PathBuf) -> Option<Self> {
        use std::os::fd::AsRawFd;
        std::fs::create_dir(&at).unwrap();
        let silent = match std::fs::File::options().read(true).write(true).open("/dev/fuse") {
            Ok(silent) => silent,
            Err(error) => {
                println!("skipped: /dev/fuse: {error}");
                return None;
            }
        };
        let text = |text: String| std::ffi::CString::new(text).unwrap();
        let target = text(at.display().to_string());
        let options = text(format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            silent.as_raw_fd()
        ));
        // SAFETY: all pointers are to strings that outlive the call.
        let mounted = unsafe {
            libc::mount(
                c"none".as_ptr(),
                target.as_ptr(),
                c"fuse".as_ptr(),
                0,
                options.as_ptr().cast(),
            )
        };
        if mounted != 0 {
            println!("skipped: cannot mount: {}", std::io::Error::last_os_error());
            return None;
        }
        Some(Self { at, _silent: silent })
    }
}

impl Drop for DeadMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[test]
fn a_dead_mount_stalls_its_own_inputs_only() {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 96\n[video]\nstall_seconds = 1\n");
    let clip = workspace.clip("good.mkv", 2);
    let Some(dead) = DeadMount::mount(workspace.path("dead")) else {
        return;
    };
    let run = workspace.path("run");
    let inputs = [dead.at.join("a.mp4"), clip, dead.at.clone()];
    let start = Instant::now();
    let mut annotate = workspace.annotate(&inputs, &run);
    let child = annotate
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
    assert_eq!(table(&run, "good").1.counts.frames, 2);
    assert_eq!(errors(&output).len(), 2, "{}", stderr_of(&output));
    assert!(errors(&output)[0].contains("no answer"), "{}", stderr_of(&output));
}

#[test]
fn what_the_program_wrote_is_no_input() {
    let workspace = Workspace::new();
    workspace.face_clip("videos/a.mkv", 3);
    let videos = workspace.path("videos");
    let run = videos.join("run");
    expect_exit(0, &mut workspace.annotate(&[&videos], &run));
    for film in ["run/overlay/a.mp4", "film of a.mp4", "clips/again.mp4"] {
        std::fs::create_dir_all(videos.join(film).parent().unwrap()).unwrap();
        expect_exit(
            0,
            abaw()
                .arg("render")
                .arg(&run)
                .arg("a")
                .arg("--out")
                .arg(videos.join(film)),
        );
    }
    expect_exit(
        0,
        abaw()
            .arg("report")
            .arg(&run)
            .arg("--out")
            .arg(videos.join("report")),
    );
    let again = workspace.path("again");
    for out in [&run, &again] {
        let output = expect_exit(0, &mut workspace.annotate(&[&videos], out));
        assert_eq!(ids(out), ["a"]);
        assert!(
            stderr_of(&output).contains("films of abaw"),
            "{}",
            stderr_of(&output)
        );
    }
    let output = expect_exit(
        2,
        &mut workspace.annotate(&[videos.join("film of a.mp4")], &workspace.path("no")),
    );
    assert!(
        stderr_of(&output).contains("a film that `abaw render` made"),
        "{}",
        stderr_of(&output)
    );

    // A run in the folder of its videos goes on.
    let inside = workspace.path("videos/clips");
    workspace.clip("videos/clips/b.mkv", 2);
    for _ in 0..2 {
        expect_exit(0, &mut workspace.annotate(&[&inside], &inside));
        assert_eq!(ids(&inside), ["b"]);
    }
}

#[test]
fn a_run_grows_and_forgets_nothing_unless_told_to() {
    let workspace = Workspace::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| workspace.clip(format!("{name}.mkv"), 2));
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&a, &b], &run));
    let output = expect_exit(0, &mut workspace.annotate(&[&c, &b, &b], &run));
    assert_eq!(ids(&run), ["a", "b", "c"]);
    let told = stderr_of(&output);
    let told: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("not asked for any more"))
        .collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("1 inputs") && told[0].contains("first: a"),
        "{told:?}"
    );
    assert_eq!(summary(&run)["totals"]["done"], 3);
    expect_exit(
        0,
        &mut workspace.annotate_with(&["--replace-inputs"], &[&c], &run),
    );
    assert_eq!(ids(&run), ["c"]);
    assert_eq!(summary(&run)["totals"]["videos"], 1);
}

#[test]
fn containers_of_one_stem_stay_apart_and_published_ids_stay() {
    let workspace = Workspace::new();
    workspace.clip("videos/a.mp4", 2);
    let videos = workspace.path("videos");
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&videos], &run));
    let published = std::fs::read(run.join("frames/a.parquet")).unwrap();
    workspace.clip("videos/a.mkv", 3);
    workspace.clip("videos/A.mov.mkv", 4);
    workspace.clip("videos/A.avi", 5);
    let output = expect_exit(0, &mut workspace.annotate(&[&videos], &run));
    assert_eq!(ids(&run), ["a", "A.avi", "A.mov", "a.mkv"]);
    assert!(std::fs::read(run.join("frames/a.parquet")).unwrap() == published);
    for (id, frames) in [("a.mkv", 3), ("A.avi", 5)] {
        assert_eq!(table(&run, id).1.counts.frames, frames, "{id}");
    }
    assert_eq!(warnings_about("the extension is part of the name", &output), 1);
    let other = workspace.path("other");
    expect_exit(0, &mut workspace.annotate(&[&videos], &other));
    assert_eq!(ids(&other), ["A.avi", "A.mov", "a.mkv", "a.mp4"]);
}

/// As `touch`, so that a change in the same tick of the clock is one.
fn touch_later(path: &Path) {
    let later = SystemTime::now() + Duration::from_secs(2);
    std::fs::File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(later)
        .unwrap();
}

#[test]
fn a_file_replaced_after_its_shard_is_named_by_merge_and_done_again() {
    let workspace = Workspace::new();
    let video = workspace.clip("videos/up.mkv", 2);
    workspace.clip("videos/other.mkv", 2);
    let run = workspace.path("run");
    let mut plan = abaw();
    plan.args(["plan", "--device", "cpu", "--shards", "1", "--pipeline"])
        .arg(workspace.path("pipeline.toml"));
    expect_exit(0, plan.arg(workspace.path("videos")).arg("--out").arg(&run));
    let shard = || {
        let mut shard = abaw();
        shard
            .arg("annotate")
            .arg("--plan")
            .arg(run.join("plan.json"))
            .args(["--shard", "0"]);
        shard
    };
    let merge = || {
        let mut merge = abaw();
        merge.arg("merge").arg(&run);
        merge
    };
    // Replaced between plan and shard: the table is of the file that was read.
    workspace.clip("videos/up.mkv", 3);
    expect_exit(0, &mut shard());
    expect_exit(0, &mut merge());
    assert_eq!(table(&run, "up").1.counts.frames, 3);
    // Replaced after its shard, by a file of other and of equal size.
    for frames in [5, 5] {
        workspace.clip("videos/up.mkv", frames);
        touch_later(&video);
        let output = expect_exit(2, &mut merge());
        let [error] = errors(&output).try_into().unwrap();
        assert!(
            error.contains("1 of 2 inputs")
                && error.contains("replaced after they were annotated, first: up"),
            "{error}"
        );
        let output = expect_exit(0, &mut shard());
        assert!(
            stdout_of(&output).contains("1 done, 1 done before"),
            "{}",
            stdout_of(&output)
        );
        expect_exit(0, &mut merge());
        assert_eq!(table(&run, "up").1.counts.frames, 5);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_plan_is_refused_for_what_does_not_exist() {
    let workspace = Workspace::new();
    let clip = workspace.clip("a.mkv", 2);
    let run = workspace.path("run");
    let mut plan = abaw();
    plan.args(["plan", "--device", "cpu", "--shards", "2", "--out"])
        .arg(&run);
    let output = expect_exit(2, plan.arg(&clip).arg(workspace.path("missing.mkv")));
    let [error] = errors(&output).try_into().unwrap();
    assert!(error.contains("missing.mkv: no such file or folder"), "{error}");
    assert!(!run.exists());
}

#[test]
fn damaged_inputs_are_marked_in_summaries() {
    let workspace = Workspace::new();
    let whole = workspace.ffmpeg(
        "-f lavfi -i testsrc2=size=96x64:rate=25",
        60,
        Path::new("whole.mkv"),
    );
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(workspace.path("cut.mkv"), &bytes[..bytes.len() / 2]).unwrap();
    let run = workspace.path("run");
    let output = expect_exit(
        0,
        &mut workspace.annotate(&[workspace.path("cut.mkv"), whole], &run),
    );
    let stdout = stdout_of(&output);
    let line = |name: &str| stdout.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(
        line("cut ").contains("DAMAGED") && !line("whole ").contains("DAMAGED"),
        "{stdout}"
    );
    let merged = expect_exit(0, abaw().arg("merge").arg(&run));
    assert!(
        stdout_of(&merged).contains("1 videos are damaged"),
        "{}",
        stdout_of(&merged)
    );
}

/// Makes files with Pillow, which the test packages have.
fn pillow(script: &str, arguments: &[&Path]) {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", root().join(".deps/python"));
    expect_exit(0, python.arg("-c").arg(script).args(arguments));
}

/// The box of the only face of a table with one row.
fn only_box(run: &Path, id: &str) -> [f32; 4] {
    let (rows, _) = table(run, id);
    assert_eq!(rows.len(), 1, "{id}");
    let place = rows[0]
        .sighting
        .location()
        .unwrap_or_else(|| panic!("{id}: no face"))
        .0;
    [place.x1, place.y1, place.x2, place.y2]
}

#[test]
fn photographs_are_read_upright_one_table_each() {
    let workspace = Workspace::new();
    let photographs = workspace.path("photographs");
    std::fs::create_dir_all(photographs.join("more")).unwrap();
    // The second lies on its side and says so, the third is a mirror image that says so.
    pillow(
        "import sys; from PIL import Image\n\
         im = Image.open(sys.argv[1]).convert('RGB'); out = sys.argv[2]\n\
         exif = Image.Exif()\n\
         im.save(out + '/upright.png')\n\
         exif[0x112] = 6; im.rotate(90, expand=True).save(out + '/lying.jpg', quality=98, exif=exif)\n\
         exif[0x112] = 2; im.transpose(Image.FLIP_LEFT_RIGHT).save(out + '/more/mirrored.jpg', quality=98, exif=exif)\n\
         im.save(out + '/more/a.webp', quality=98); im.save(out + '/b.bmp'); im.save(out + '/c.tif')\n\
         open(out + '/notes.txt', 'w').write('none')",
        &[&golden("face/images/portrait_odd_size.png"), &photographs],
    );
    let run = workspace.path("run");
    let output = expect_exit(
        0,
        &mut workspace.annotate_with(&["--images"], &[&photographs], &run),
    );
    assert_eq!(
        ids(&run),
        ["b", "c", "lying", "more/a", "more/mirrored", "upright"]
    );
    assert!(stderr_of(&output).contains("1 .txt"), "{}", stderr_of(&output));
    let upright = only_box(&run, "upright");
    for id in ["b", "c", "lying", "more/a", "more/mirrored"] {
        let found = only_box(&run, id);
        let apart = found
            .iter()
            .zip(upright)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(apart < 4.0, "{id}: {found:?} {upright:?}");
    }
    // Single photographs need no flag; beside videos in a folder they are not meant.
    let single = workspace.path("single");
    expect_exit(
        0,
        &mut workspace.annotate(
            &[photographs.join("lying.jpg"), photographs.join("b.bmp")],
            &single,
        ),
    );
    assert_eq!(ids(&single), ["lying", "b"]);
    workspace.clip("photographs/film.mkv", 2);
    let mixed = workspace.path("mixed");
    let output = expect_exit(0, &mut workspace.annotate(&[&photographs], &mixed));
    assert_eq!(ids(&mixed), ["film"]);
    assert!(
        stderr_of(&output).contains("2 .jpg") && stderr_of(&output).contains("1 .webp"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn pictures_that_move_are_videos() {
    let workspace = Workspace::new();
    let clip = workspace.face_clip("clip.mkv", 6);
    std::fs::create_dir(workspace.path("moving")).unwrap();
    let mut gif = Command::new("ffmpeg");
    gif.args(["-v", "error", "-nostdin", "-i"]).arg(&clip);
    expect_exit(0, gif.arg(workspace.path("moving/a.gif")));
    pillow(
        "import sys; from PIL import Image, ImageSequence\n\
         frames = [f.convert('RGB') for f in ImageSequence.Iterator(Image.open(sys.argv[1]))]\n\
         assert len(frames) == 6\n\
         frames[0].save(sys.argv[2], save_all=True, append_images=frames[1:], duration=[40, 40, 80, 40, 40, 40], lossless=True)\n\
         frames[0].save(sys.argv[3])",
        &[
            &workspace.path("moving/a.gif"),
            &workspace.path("moving/b.webp"),
            &workspace.path("moving/still.webp"),
        ],
    );
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[workspace.path("moving")], &run));
    assert_eq!(ids(&run), ["a", "b"]);
    assert_eq!(table(&run, "a").1.counts.frames, 6);
    let (rows, footer) = table(&run, "b");
    assert_eq!(footer.counts.frames, 6);
    let mut times: Vec<f64> = rows.iter().filter_map(|row| row.time_s).collect();
    times.dedup();
    let milliseconds: Vec<i64> = times
        .iter()
        .map(|time_s| (time_s * 1000.0).round() as i64)
        .collect();
    assert_eq!(milliseconds, [0, 40, 80, 160, 200, 240]);
}

#[test]
fn patterns_that_no_shell_expanded_are_expanded() {
    let workspace = Workspace::new();
    for name in [
        "clips/b.mkv",
        "clips/a.mkv",
        "clips/.hidden.mkv",
        "clips/deep/c.mkv",
        "clips/[d].mkv",
    ] {
        workspace.clip(name, 2);
    }
    let planned = |inputs: &[&str], run: &Path| {
        let mut annotate = workspace.annotate(inputs, run);
        expect_exit(0, annotate.current_dir(workspace.path("")));
        ids(run)
    };
    let run = |name: &str| workspace.path(name);
    assert_eq!(planned(&["clips/[ab].mkv"], &run("1")), ["a", "b"]);
    assert_eq!(
        planned(&["clips/**/c.*", "clips/?.mkv"], &run("2")),
        ["c", "a", "b"]
    );
    // What exists is no pattern, whatever its name.
    assert_eq!(planned(&["clips/[d].mkv"], &run("3")), ["[d]"]);
    let output = expect_exit(2, &mut workspace.annotate(&["clips/*.avi"], &run("4")));
    assert!(
        errors(&output)[0].contains("clips/*.avi: no such file or folder"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn what_the_user_may_not_read_costs_itself_alone() {
    let workspace = Workspace::new();
    for name in ["videos/good.mkv", "videos/closed.mkv", "videos/closed/inside.mkv"] {
        workspace.clip(name, 2);
    }
    let name = |name: &str| workspace.path("videos").join(name);
    let close = |path: PathBuf| std::fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    close(name("closed.mkv"));
    close(name("closed"));
    let run = workspace.path("run");
    let annotate = workspace.annotate(&[workspace.path("videos")], &run);
    // Root may read everything until it gives up what lets it.
    let mut restricted = Command::new("setpriv");
    let overriding = "-dac_override,-dac_read_search";
    restricted.args(["--inh-caps", overriding, "--bounding-set", overriding]);
    restricted.arg(annotate.get_program()).args(annotate.get_args());
    let is_root = std::fs::read_dir(name("closed")).is_ok();
    let mut annotate = if is_root { restricted } else { annotate };
    let output = expect_exit(3, &mut annotate);
    std::fs::set_permissions(name("closed"), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(table(&run, "good").1.counts.frames, 2);
    assert!(run.join("failures/closed.json").exists());
    assert!(
        errors(&output)[0].contains("ermission denied"),
        "{}",
        stderr_of(&output)
    );
    assert_eq!(
        warnings_about("videos/closed: left out: Permission denied", &output),
        1,
        "{}",
        stderr_of(&output)
    );
    assert_eq!(summary(&run)["totals"]["failed"], 1);
}

#[test]
fn inputs_can_be_listed_in_a_file() {
    let workspace = Workspace::new();
    for name in ["a", "b c", "d"] {
        workspace.clip(format!("{name}.mkv"), 2);
    }
    std::fs::write(workspace.path("list.txt"), "a.mkv\r\n\nb c.mkv\n").unwrap();
    let listed = |options: &[&str], inputs: &[&str], run: &Path| {
        let mut annotate = workspace.annotate_with(options, inputs, run);
        annotate
            .current_dir(workspace.path(""))
            .stdin(std::fs::File::open(workspace.path("list.txt")).unwrap());
        expect_exit(0, &mut annotate);
        ids(run)
    };
    let run = |name: &str| workspace.path(name);
    assert_eq!(listed(&[], &["@list.txt"], &run("1")), ["a", "b c"]);
    assert_eq!(
        listed(&["--inputs-from", "list.txt"], &["d.mkv"], &run("2")),
        ["d", "a", "b c"]
    );
    assert_eq!(listed(&["--inputs-from", "-"], &[], &run("3")), ["a", "b c"]);
    let output = expect_exit(2, &mut workspace.annotate(&["@nowhere.txt"], &run("4")));
    assert!(
        errors(&output)[0].contains("nowhere.txt"),
        "{}",
        stderr_of(&output)
    );
}
