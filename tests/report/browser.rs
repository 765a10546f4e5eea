//! Drives Chromium through `tests/python/look_at_report.py`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{root, stderr_of};

/// What to open and to do there.
pub struct Job {
    job: Value,
}

impl Job {
    /// A page at a width in pixels.
    pub fn new(page: &Path, width: u32) -> Self {
        Self {
            job: json!({ "page": page, "width": width, "do": [] }),
        }
    }

    /// Then an action of the script, with its arguments.
    pub fn then(mut self, action: &str, arguments: &[Value]) -> Self {
        let mut words = vec![json!(action)];
        words.extend_from_slice(arguments);
        if let Some(list) = self.job["do"].as_array_mut() {
            list.push(Value::Array(words));
        }
        self
    }
}

/// Opens one page after the other; what was seen of each. A page that writes anything to the console, asks for anything
/// but files, or is wider than the window is a failure.
pub fn look(jobs: Vec<Job>) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let pictures = std::env::var_os("ABAW_REPORT_PICTURES");
    let list: Vec<Value> = jobs
        .into_iter()
        .enumerate()
        .map(|(at, mut one)| {
            if let Some(pictures) = &pictures {
                let page = Path::new(one.job["page"].as_str().unwrap());
                let name = page.file_stem().unwrap().to_string_lossy().into_owned();
                let picture = format!("{name}-{}-{at}.png", one.job["width"]);
                one.job["picture"] = json!(Path::new(pictures).join(picture));
            }
            one.job
        })
        .collect();
    let plan = folder.path().join("plan.json");
    std::fs::write(&plan, Value::Array(list.clone()).to_string()).unwrap();
    let root = root();
    let output = Command::new("python3")
        .arg(root.join("tests/python/look_at_report.py"))
        .arg(&plan)
        .env("PYTHONPATH", root.join(".deps/selenium"))
        .output()
        .unwrap();
    let errors = stderr_of(&output);
    assert!(output.status.success(), "`make browser` sets this up\n{errors}");
    let seen: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (job, page) in list.iter().zip(&seen) {
        assert_eq!(page["console"], json!([]), "{job}");
        assert_eq!(page["overflows"], json!(false), "{job}");
        let asked = page["requests"].as_array().unwrap();
        assert!(asked.len() > 1, "{job}");
        for address in asked {
            let address = address.as_str().unwrap();
            let is_local = address.starts_with("file://") || address.starts_with("data:");
            assert!(is_local, "{address} asked for by {job}");
        }
    }
    seen
}
