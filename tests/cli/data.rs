//! A run in numbers: `abaw summary`, and `abaw export` as CSV and Parquet, beside what pandas and DuckDB say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::support::workspace::Workspace;
use crate::support::{abaw, errors, expect_exit, output_of, root, sample, stdout_of, succeeded};

/// A run over two people, one person, nobody, and a file that is no video.
static RUN: LazyLock<Workspace> = LazyLock::new(|| {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 320\n");
    let two = format!("-i {} -vf scale=320:180", sample("two_people.mp4").display());
    workspace.ffmpeg(&two, 30, Path::new("videos/day 1/two.mkv"));
    workspace.face_clip("videos/one.mkv", 40);
    workspace.clip("videos/nobody.mkv", 5);
    std::fs::write(workspace.path("videos/broken.mkv"), "no video").unwrap();
    expect_exit(
        3,
        &mut workspace.annotate(&[workspace.path("videos")], &workspace.path("run")),
    );
    workspace
});

fn run() -> PathBuf {
    RUN.path("run")
}

/// Runs Python with the test packages; the script gets the arguments, and its output must be JSON.
fn python(script: &str, arguments: &[&Path]) -> Value {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", root().join(".deps/python"));
    let output = expect_exit(0, python.arg("-c").arg(script).args(arguments));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn export(exit: i32, format: &str, out: &Path, options: &[&str]) -> String {
    let mut export = abaw();
    export
        .arg("export")
        .arg(run())
        .args(["--format", format, "--out"])
        .arg(out)
        .args(options);
    let output = expect_exit(exit, &mut export);
    format!("{}{}", stdout_of(&output), errors(&output).join("\n"))
}

#[test]
fn the_summary_is_that_of_pandas() {
    let mut command = abaw();
    let output = expect_exit(3, command.arg("summary").arg(run()).arg("--json"));
    assert!(errors(&output)[0].starts_with("error: broken: "));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["video"].as_str().unwrap()).collect();
    assert_eq!(names, ["day 1/two", "day 1/two", "nobody", "one"]);
    let expected = python(
        "import sys, json, glob, pandas as pd\n\
         t = pd.concat(pd.read_parquet(p) for p in sorted(glob.glob(sys.argv[1] + '/frames/**/*.parquet', recursive=True)))\n\
         out = []\n\
         t['video'] = t.video.astype(str)\n\
         t['expression'] = t.expression.astype(object)\n\
         for (video, person), g in t.dropna(subset=['person']).groupby(['video', 'person']):\n  \
             row = dict(video=video, person=int(person), frames=len(g), seen=int(g.detected.sum()))\n  \
             for name in ['valence', 'arousal']:\n    \
                 v = g[name].astype('float64')\n    \
                 row[name + '_mean'], row[name + '_sd'] = v.mean(), v.std()\n  \
             shares = g.expression.value_counts(normalize=True)\n  \
             for name in 'Neutral Anger Disgust Fear Happiness Sadness Surprise Other'.split():\n    \
                 row['expr_' + name.lower()] = float(shares.get(name, 0.0))\n  \
             for unit in [1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26]:\n    \
                 row[f'au{unit}'] = float(g[f'au{unit}'].dropna().astype(float).mean())\n  \
             e = g.expression.where(g.expression != 'Neutral')\n  \
             runs = (e != e.shift()).cumsum()[e.notna()]\n  \
             row['longest_bout_frames'] = int(runs.value_counts().max()) if len(runs) else None\n  \
             out.append(row)\n\
         print(json.dumps(out))",
        &[&run()],
    );
    let expected = expected.as_array().unwrap();
    let persons: Vec<&Value> = rows.iter().filter(|row| !row["person"].is_null()).collect();
    assert_eq!(persons.len(), expected.len());
    for (row, expected) in persons.iter().zip(expected) {
        for (name, wanted) in expected.as_object().unwrap() {
            match (row[name].as_f64(), wanted.as_f64()) {
                (Some(found), Some(wanted)) => {
                    assert!((found - wanted).abs() < 1e-9, "{name}: {found} {wanted}")
                }
                _ => assert_eq!(&row[name], wanted, "{name}"),
            }
        }
        let seconds = row["longest_bout_s"].as_f64();
        assert_eq!(
            seconds.is_some(),
            row["longest_bout_frames"].as_u64().is_some(),
            "{row}"
        );
        if let Some(seconds) = seconds {
            assert!(
                (seconds * 25.0 - row["longest_bout_frames"].as_f64().unwrap()).abs() < 0.1,
                "{row}"
            );
        }
    }
    let nobody = &rows[2];
    assert_eq!(
        (&nobody["person"], &nobody["frames"], &nobody["seen"]),
        (&Value::Null, &5.into(), &0.into())
    );

    let csv = python(
        "import sys, json, pandas as pd\n\
         t = pd.read_csv(sys.argv[1] + '/summary.csv')\n\
         print(json.dumps([list(t.columns), t.frames.tolist(), t.video.tolist()]))",
        &[&run()],
    );
    let columns = rows[0].as_object().unwrap().len();
    assert_eq!(csv[0].as_array().unwrap().len(), columns);
    assert_eq!(
        csv[1],
        rows.iter().map(|row| row["frames"].clone()).collect::<Value>()
    );
    let mut command = abaw();
    let shown = stdout_of(&expect_exit(3, command.arg("summary").arg(run())));
    assert_eq!(shown.lines().count(), 1 + rows.len() + 1, "{shown}");
}

#[test]
fn csv_and_parquet_hold_what_the_tables_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (one, each, merged) = (
        folder.path().join("all.csv"),
        folder.path().join("each"),
        folder.path().join("all.parquet"),
    );
    let told = export(3, "csv", &one, &[]);
    assert!(
        told.contains("1 files, 3 videos") && told.contains("error: broken: "),
        "{told}"
    );
    assert!(export(3, "csv", &each, &[]).contains("3 files, 3 videos"));
    export(3, "parquet", &merged, &[]);
    assert!(each.join("day 1/two.csv").exists());
    let same = python(
        "import sys, json, glob, pandas as pd, pyarrow.parquet as pq, pyarrow as pa\n\
         run, one, each, merged = sys.argv[1:]\n\
         paths = sorted(glob.glob(run + '/frames/**/*.parquet', recursive=True))\n\
         paths = [p for name in ['day 1/two', 'nobody', 'one'] for p in paths if p.endswith('/frames/' + name + '.parquet')]\n\
         def plain(t):\n  \
             t = t.copy()\n  \
             for c in ['video', 'expression']: t[c] = t[c].astype(object)\n  \
             return t.reset_index(drop=True)\n\
         def flat(t):\n  \
             t = plain(t)\n  \
             at = list(t.columns).index('landmarks')\n  \
             marks = pd.DataFrame(t.landmarks.tolist(), columns=[f'landmarks_{n}' for n in range(10)]).astype('float64')\n  \
             return pd.concat([t.iloc[:, :at], marks, t.iloc[:, at + 1:]], axis=1)\n\
         tables = [pd.read_parquet(p) for p in paths]\n\
         whole = pd.concat([plain(t) for t in tables], ignore_index=True)\n\
         m = plain(pq.read_table(merged).to_pandas())\n\
         assert list(m.columns) == list(whole.columns)\n\
         assert m.drop(columns='landmarks').equals(whole.drop(columns='landmarks')[m.drop(columns='landmarks').columns].astype(m.drop(columns='landmarks').dtypes)), 'parquet'\n\
         assert pq.read_schema(merged).remove_metadata().equals(pq.read_schema(paths[0]).remove_metadata()), 'schema'\n\
         assert b'abaw' in pq.read_metadata(merged).metadata\n\
         def check(csv, tables):\n  \
             got = pd.read_csv(csv)\n  \
             want = pd.concat([flat(t) for t in tables], ignore_index=True)\n  \
             assert list(got.columns) == list(want.columns), got.columns\n  \
             for c in want.columns:\n    \
                 a, b = got[c], want[c]\n    \
                 assert (a.isna() == b.isna()).all(), c\n    \
                 a, b = a[a.notna()], b[b.notna()]\n    \
                 if b.map(lambda x: isinstance(x, (bool, str))).all(): assert (a.astype(str) == b.astype(str)).all(), c\n    \
                 else: assert (a.astype('float32') == b.astype('float32')).all(), c\n\
         check(one, tables)\n\
         check(each + '/day 1/two.csv', tables[:1])\n\
         print(json.dumps(len(whole)))",
        &[&run(), &one, &each, &merged],
    );
    assert!(same.as_u64().unwrap() > 100);
    let few = folder.path().join("few.csv");
    export(3, "csv", &few, &["--columns", "video,frame,person,expression"]);
    let text = std::fs::read_to_string(&few).unwrap();
    assert!(
        text.starts_with("video,frame,person,expression\nday 1/two,1,0,"),
        "{}",
        &text[..80]
    );
    assert!(
        export(2, "csv", &few, &["--columns", "vidoe"])
            .contains("no column `vidoe`; the tables have video, frame")
    );
    assert!(export(2, "elan", &few, &["--columns", "video"]).contains("--columns is for"));
    assert!(succeeded(&output_of(["export", "--help"])).contains("parquet"));
}
