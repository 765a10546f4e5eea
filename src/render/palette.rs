//! Colours of people, told apart by the colour-blind too (Okabe and Ito, 2008).

use super::canvas::Colour;
use crate::face::PersonId;

const PEOPLE: [[u8; 3]; 7] = [
    [86, 180, 233],
    [230, 159, 0],
    [0, 158, 115],
    [240, 228, 66],
    [204, 121, 167],
    [213, 94, 0],
    [0, 114, 178],
];

/// The colour of a person; the eighth has the first one's again.
pub fn person_colour(person: PersonId) -> Colour {
    let [red, green, blue] = PEOPLE[usize::from(person.0) % PEOPLE.len()];
    Colour([red, green, blue, 255])
}
