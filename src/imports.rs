//! The order of modules, held as a test: a module imports only from those before it, and no files import each other in
//! a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules from the ground up. Each may use those before it, and those of its own line.
const ORDER: &[&[&str]] = &[
    &[
        "error_chain",
        "labels",
        "frame",
        "hash",
        "escape",
        "path_error",
        "auto_number",
        "allocator",
        "cuda",
        "loaded_library",
        "time_limit",
        "bilinear",
    ],
    &["publish", "device", "blend", "stop"],
    &["video", "face"],
    &["model", "crops", "photograph"],
    &["table"],
    &["postprocess", "affwild2", "metrics"],
    &["tuning", "temporal"],
    &["config", "pipelines"],
    &["run"],
    &["finalise"],
    &["engine", "report", "render", "export", "training"],
    &["cli"],
];

/// The source of a file without its test modules.
fn source(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A file's place in the tree of modules: `src/model/layers/conv.rs` is `model::layers::conv`.
fn module_of(path: &Path, root: &Path) -> Vec<String> {
    let below = path.strip_prefix(root).unwrap().with_extension("");
    let mut parts: Vec<String> = below
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    parts.pop_if(|last| last == "mod" || last == "lib");
    parts
}

/// The paths that a file takes from this crate, each by its parts, with `crate`, `abaw` and `super` resolved.
fn paths(text: &str, module: &[String], is_folder: bool) -> Vec<Vec<String>> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let head = code[..at]
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        let before = code[..at].trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
        if before.ends_with("::") {
            continue;
        }
        let mut base: Vec<String> = match head {
            Some("crate" | "abaw") => Vec::new(),
            Some("super") => {
                let own = module.len() - usize::from(!is_folder || !module.is_empty());
                module[..own].to_vec()
            }
            _ => continue,
        };
        for tree in expand(&code[at + 2..]) {
            let mut path = base.clone();
            for part in tree {
                match part.as_str() {
                    "super" => drop(path.pop()),
                    "self" => {}
                    _ => path.push(part),
                }
            }
            found.push(path);
        }
        base.clear();
    }
    found
}

/// The paths that begin a text: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn expand(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        let (mut depth, mut start, mut found) = (0, 0, Vec::new());
        for (at, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    found.extend(expand(&inside[start..at]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.extend(expand(&inside[start..at]));
                    start = at + 1;
                }
                _ => {}
            }
        }
        return found;
    }
    let name: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    if name.is_empty() {
        return Vec::new();
    }
    match text[name.len()..].strip_prefix("::") {
        None => vec![vec![name]],
        Some(rest) => expand(rest)
            .into_iter()
            .map(|rest| std::iter::once(name.clone()).chain(rest).collect())
            .collect(),
    }
}

/// Which files each file imports from. A path ends in the file that defines it, as far as files tell; what a folder's
/// `mod.rs` hands on is followed to the file it is from.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    let is_folder = |path: &Path| path.file_name().is_some_and(|name| name == "mod.rs");
    let modules: BTreeMap<String, PathBuf> = all
        .iter()
        .filter(|path| {
            !["lib.rs", "main.rs", "tests.rs", "imports.rs"]
                .iter()
                .any(|name| path.ends_with(name))
        })
        .map(|path| (module_of(path, &root).join("::"), path.clone()))
        .collect();
    let handed_on: BTreeMap<String, Vec<Vec<String>>> = modules
        .iter()
        .filter(|(_, path)| is_folder(path))
        .map(|(module, path)| {
            let text = source(path);
            let uses = text
                .split("pub use ")
                .skip(1)
                .flat_map(|text| expand(text.trim_start_matches("self::")));
            (module.clone(), uses.collect())
        })
        .collect();
    let file_of = |path: &[String]| -> Option<String> {
        let mut path = path.to_vec();
        // What a mod.rs hands on.
        for _ in 0..4 {
            let end = (1..=path.len())
                .rev()
                .find(|&end| modules.contains_key(&path[..end].join("::")))?;
            let module = path[..end].join("::");
            let item = path.get(end);
            let from = handed_on.get(&module).and_then(|uses| {
                uses.iter()
                    .find(|of| of.len() > 1 && of.last() == item && item.is_some())
            });
            match from {
                Some(of) => path = path[..end].iter().chain(of).cloned().collect(),
                None => return Some(module),
            }
        }
        None
    };
    modules
        .iter()
        .map(|(module, path)| {
            let parts = module_of(path, &root);
            let taken = paths(&source(path), &parts, is_folder(path));
            let files = taken
                .iter()
                .filter_map(|path| file_of(path))
                .filter(|file| file != module);
            (module.clone(), files.collect())
        })
        .collect()
}

fn first_part(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

#[test]
fn modules_import_only_from_those_before_them() {
    let place = |module: &str| ORDER.iter().position(|line| line.contains(&first_part(module)));
    let mut wrong = Vec::new();
    for (module, imports) in imports() {
        let own = place(&module).unwrap_or_else(|| panic!("{module} has no place in the order"));
        for import in imports {
            let other = place(&import).unwrap_or_else(|| panic!("{import} has no place in the order"));
            if other > own {
                wrong.push(format!("{module} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut left = imports();
    assert!(left.len() > 150, "the files are found");
    // A folder's mod.rs knows its files; that they use it is no circle unless a file's own import closes one.
    loop {
        let done: BTreeSet<String> = left
            .iter()
            .filter(|(_, imports)| imports.iter().all(|import| !left.contains_key(import)))
            .map(|(module, _)| module.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module, _| !done.contains(module));
    }
    // What is left is in a circle or imports one: the circles are those that also are imported.
    loop {
        let needed: BTreeSet<String> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|module, _| needed.contains(module));
        if left.len() == before {
            break;
        }
    }
    let left: BTreeMap<&String, Vec<&String>> = left
        .iter()
        .map(|(module, imports)| {
            (
                module,
                imports
                    .iter()
                    .filter(|import| left.contains_key(*import))
                    .collect(),
            )
        })
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}
