//! The pipeline files that the program has inside: recipes for common work, by name.

use std::path::Path;

use crate::config::{ConfigError, Pipeline};

/// The recipe that is used where none is named.
pub const EVERYDAY: &str = "annotate";

/// A pipeline file that the program has inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Its name, that of its file without the extension.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

/// All recipes.
pub const RECIPES: [Recipe; 5] = [
    Recipe {
        name: EVERYDAY,
        text: include_str!("../pipelines/annotate.toml"),
    },
    Recipe {
        name: "prelabel",
        text: include_str!("../pipelines/prelabel.toml"),
    },
    Recipe {
        name: "calibrated",
        text: include_str!("../pipelines/calibrated.toml"),
    },
    Recipe {
        name: "abaw6-video",
        text: include_str!("../pipelines/abaw6-video.toml"),
    },
    Recipe {
        name: "abaw7-mtl",
        text: include_str!("../pipelines/abaw7-mtl.toml"),
    },
];

/// A pipeline file with every key, its value in the everyday recipe, its unit and its meaning.
pub const EVERY_KEY: &str = include_str!("../pipelines/new.toml");

impl Recipe {
    /// The recipe with a name.
    pub fn named(name: &str) -> Option<Self> {
        RECIPES.into_iter().find(|recipe| recipe.name == name)
    }

    /// What it is for: the comment at its beginning, up to the first full stop.
    pub fn purpose(&self) -> String {
        let comments = self.text.lines().map_while(|line| line.strip_prefix('#'));
        let comment: Vec<&str> = comments.map(str::trim).collect();
        let comment = comment.join(" ");
        comment
            .split_once(". ")
            .map_or(comment.clone(), |(first, _)| format!("{first}."))
    }
}

/// Reads the settings that a user asks for: `pipeline` is the name of a recipe or a file (without one, the everyday
/// recipe), `changes` are keys with values that replace those of the file, such as `detector.every` and `3`.
///
/// # Errors
/// [`ConfigError`]: a name that is neither a recipe nor a file, a file that cannot be read, a key or value that is not
/// valid.
pub fn read(pipeline: Option<&Path>, changes: &[(String, toml::Value)]) -> Result<Pipeline, ConfigError> {
    let path = pipeline.unwrap_or(Path::new(EVERYDAY));
    let recipe = path.to_str().and_then(Recipe::named).filter(|_| !path.is_file());
    let (text, folder) = match recipe {
        Some(recipe) => (recipe.text.to_owned(), Path::new("")),
        None if !path.exists() => {
            return Err(ConfigError::Unknown {
                path: path.to_owned(),
                recipes: RECIPES.map(|recipe| recipe.name).join(", "),
            });
        }
        None => {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
            (text, path.parent().unwrap_or(Path::new("")))
        }
    };
    Pipeline::parse_with(&text, folder, changes).map_err(|reason| ConfigError::Invalid {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pipelines() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")
    }

    #[test]
    fn every_recipe_is_inside() {
        let files = std::fs::read_dir(pipelines())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let stems: BTreeSet<String> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            // Those for training are recipes of another kind.
            .filter(|stem| !stem.starts_with("train-") && stem != "new")
            .collect();
        assert_eq!(stems, RECIPES.map(|recipe| recipe.name.to_owned()).into());
        for recipe in RECIPES {
            let purpose = recipe.purpose();
            assert!(purpose.ends_with('.') && purpose.len() > 20, "{purpose}");
        }
    }

    #[test]
    fn the_file_with_every_key_is_the_everyday_recipe() {
        let new = Pipeline::parse(EVERY_KEY, Path::new("")).unwrap();
        assert_eq!(new, read(None, &[]).unwrap());
    }

    /// The keys of a section, as the refusal of an unknown one names them.
    fn keys(section: &str) -> Vec<String> {
        let key = format!("{section}.no_such_key");
        let change = [(key.trim_start_matches('.').to_owned(), toml::Value::Integer(1))];
        let refused = Pipeline::parse_with("", Path::new(""), &change).unwrap_err();
        let expected = refused
            .split("expected")
            .nth(1)
            .unwrap_or_else(|| panic!("{refused}"));
        expected
            .split('`')
            .skip(1)
            .step_by(2)
            // Written by the program.
            .filter(|key| *key != "content")
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_file_with_every_key_has_every_key_with_a_meaning() {
        let mut sections = keys("");
        sections.extend(
            [
                "tracker.motion",
                "tracker.landmarks",
                "tracker.identity",
                "postprocess.blend",
                "postprocess.temporal",
            ]
            .map(str::to_owned),
        );
        let mut seen = 0;
        for section in &sections {
            for key in keys(section) {
                let named = |line: &str| {
                    let line = line.trim_start_matches("# ");
                    line.starts_with(&format!("{key} =")) || line.starts_with(&format!("{key}."))
                };
                let of_section = EVERY_KEY
                    .split(&format!("\n[{section}]\n"))
                    .nth(1)
                    .unwrap_or_else(|| panic!("{section}"));
                let of_section = of_section.split("\n[").next().unwrap();
                let is_table = EVERY_KEY.contains(&format!("[{section}.{key}"))
                    || EVERY_KEY.contains(&format!("# [[{section}.{key}"));
                let line = of_section.lines().find(|line| named(line));
                assert!(
                    is_table || line.is_some(),
                    "pipelines/new.toml lacks {section}.{key}"
                );
                if let Some(line) = line {
                    assert!(
                        line.trim_start_matches("# ").contains(" # "),
                        "{section}.{key} lacks its meaning: {line}"
                    );
                }
                seen += 1;
            }
        }
        assert!(seen > 30, "{seen}");
    }
}
