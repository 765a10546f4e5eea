//! Names of inputs: ids, and the endings by which challenges call them.

use std::collections::HashMap;

use super::plan::PlannedInput;

/// The names that lead to the inputs of a run. A look-up takes the same time in a run of any size.
pub struct InputNames(HashMap<String, NameTarget>);

/// What a name leads to.
enum NameTarget {
    /// Index in the plan's inputs.
    Input(usize),
    /// Several ids have this ending.
    Ambiguous,
}

impl InputNames {
    /// Collects the ids and, for each slash in an id, what follows it. Where an id equals the ending of another one, the
    /// name leads to the id.
    pub fn of(inputs: &[PlannedInput]) -> Self {
        let mut names = HashMap::with_capacity(2 * inputs.len());
        for (at, input) in inputs.iter().enumerate() {
            for ending in endings(input.id.as_str()) {
                names
                    .entry(ending.to_owned())
                    .and_modify(|target| *target = NameTarget::Ambiguous)
                    .or_insert(NameTarget::Input(at));
            }
        }
        for (at, input) in inputs.iter().enumerate() {
            names.insert(input.id.as_str().to_owned(), NameTarget::Input(at));
        }
        Self(names)
    }

    /// The names that lead to the input with an id: the id itself, then its endings that no other id has, the longest
    /// first.
    pub fn of_id<'id>(&self, id: &'id str) -> impl Iterator<Item = &'id str> {
        let is_unique = move |name: &&str| self.input(name) == self.input(id);
        std::iter::once(id).chain(endings(id).filter(is_unique))
    }

    /// The index of the input that a name leads to; `None` if there is none, or several.
    pub fn input(&self, name: &str) -> Option<usize> {
        match self.0.get(name)? {
            NameTarget::Input(at) => Some(*at),
            NameTarget::Ambiguous => None,
        }
    }
}

/// The parts of an id that follow a slash, the longest first: `b/c` and `c` for `a/b/c`.
fn endings(id: &str) -> impl Iterator<Item = &str> {
    id.match_indices('/').map(|(slash, _)| &id[slash + 1..])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::run::{InputKind, VideoId};

    fn input(id: &str) -> PlannedInput {
        PlannedInput {
            id: VideoId::try_from(id.to_owned()).unwrap(),
            path: PathBuf::from("/videos"),
            kind: InputKind::Video,
            bytes: 1,
            modified: None,
            shard: 0,
        }
    }

    proptest! {
        #[test]
        fn a_name_leads_to_its_id_or_to_the_only_id_that_ends_in_it(
            ids in proptest::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,2}", 1..12),
            name in "[ab]{1,2}(/[ab]{1,2}){0,2}",
        ) {
            let inputs: Vec<PlannedInput> = ids.iter().map(|id| input(id)).collect();
            let ending = format!("/{name}");
            let ends: Vec<usize> = (0..inputs.len())
                .filter(|&at| inputs[at].id.as_str().ends_with(&ending))
                .collect();
            let whole = inputs.iter().position(|input| input.id.as_str() == name);
            let only = match ends[..] {
                [at] => Some(at),
                _ => None,
            };
            prop_assert_eq!(InputNames::of(&inputs).input(&name), whole.or(only));
        }
    }
}
