//! A number that may be left to the device.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number, such as a size of batches, or `"auto"`: one that suits the device. A plan holds numbers, since outputs differ by
/// rounding between sizes.
///
/// ```
/// use abaw::auto_number::AutoNumber;
///
/// assert_eq!(AutoNumber::Auto.or(16), 16);
/// assert_eq!(AutoNumber::of(4).unwrap().or(16), 4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoNumber {
    /// By the device and its memory.
    #[default]
    Auto,
    /// So many.
    Of(NonZeroUsize),
}

impl AutoNumber {
    /// So many; `None` for 0.
    pub fn of(items: usize) -> Option<Self> {
        NonZeroUsize::new(items).map(Self::Of)
    }

    /// The number of items, where the device suggests `auto`.
    pub fn or(self, auto: usize) -> usize {
        match self {
            Self::Auto => auto.max(1),
            Self::Of(items) => items.get(),
        }
    }
}

impl Serialize for AutoNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Of(items) => items.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AutoNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = AutoNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\" or a number of at least 1")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<AutoNumber, E> {
        match text {
            "auto" => Ok(AutoNumber::Auto),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, items: u64) -> Result<AutoNumber, E> {
        let size = usize::try_from(items).ok().and_then(AutoNumber::of);
        size.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(items), &self))
    }

    fn visit_i64<E: de::Error>(self, items: i64) -> Result<AutoNumber, E> {
        match u64::try_from(items) {
            Ok(items) => self.visit_u64(items),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(items), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_auto_or_a_number_of_at_least_one() {
        let read = |text: &str| serde_json::from_str::<AutoNumber>(text);
        assert_eq!(read("\"auto\"").unwrap(), AutoNumber::Auto);
        assert_eq!(read("16").unwrap(), AutoNumber::of(16).unwrap());
        for text in ["0", "-1", "\"many\"", "1.5", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
        for size in [AutoNumber::Auto, AutoNumber::of(3).unwrap()] {
            assert_eq!(read(&serde_json::to_string(&size).unwrap()).unwrap(), size);
        }
    }
}
