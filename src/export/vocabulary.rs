//! The names of persons, expressions and action units in the files of tools.

use crate::face::PersonId;
use crate::labels::{ActionUnit, Expression};

/// Returns a name such as `person 3`.
pub fn person_name(person: PersonId) -> String {
    format!("person {}", person.0)
}

/// Parses a name that begins like `person 3`: the person, and the rest of the name.
pub fn person_in(name: &str) -> Option<(PersonId, &str)> {
    let (word, rest) = name.trim().split_once(' ')?;
    if !word.eq_ignore_ascii_case("person") {
        return None;
    }
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((PersonId(number.parse().ok()?), rest))
}

/// Returns the expression with a name, in upper or lower case.
pub fn expression_in(name: &str) -> Option<Expression> {
    let name = name.trim();
    Expression::ALL
        .into_iter()
        .find(|expression| expression.name().eq_ignore_ascii_case(name))
}

/// Returns the action unit with a name such as `AU4` or `AU04`, in upper or lower case.
pub fn action_unit_in(name: &str) -> Option<ActionUnit> {
    let name = name.trim();
    let (letters, digits) = (name.get(..2)?, name.get(2..)?);
    let number: u8 = digits.parse().ok()?;
    let found = ActionUnit::ALL.into_iter().find(|unit| unit.number() == number);
    found.filter(|_| letters.eq_ignore_ascii_case("au"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_back() {
        assert_eq!(person_in(&person_name(PersonId(7))), Some((PersonId(7), "")));
        assert_eq!(person_in("Person 12 AU4"), Some((PersonId(12), "AU4")));
        assert_eq!(person_in("someone 1"), None);
        for expression in Expression::ALL {
            assert_eq!(expression_in(&expression.name().to_uppercase()), Some(expression));
        }
        for unit in ActionUnit::ALL {
            assert_eq!(action_unit_in(&unit.name()), Some(unit));
            assert_eq!(action_unit_in(&format!("au{:02}", unit.number())), Some(unit));
        }
        for name in ["AU3", "AU", "A", "", "4", "ÄU4", "AU-4"] {
            assert_eq!(action_unit_in(name), None, "{name}");
        }
    }
}
