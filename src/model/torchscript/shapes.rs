//! How many numbers a network returns.

use std::fmt;

/// What a network returns for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputShapes {
    /// The side of the crops that it was tried with.
    pub size: u32,
    /// The columns of each tensor.
    pub columns: Vec<usize>,
}

impl fmt::Display for OutputShapes {
    /// `10 columns: 0 to 9 (at 224x224 pixels)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.columns.iter().sum();
        write!(f, "{all} columns: ")?;
        let mut first = 0;
        for (nth, &columns) in self.columns.iter().enumerate() {
            if nth > 0 {
                f.write_str(", ")?;
            }
            match columns {
                0 => f.write_str("none")?,
                1 => write!(f, "{first}")?,
                _ => write!(f, "{first} to {}", first + columns - 1)?,
            }
            first += columns;
        }
        write!(f, " (at {0}x{0} pixels)", self.size)
    }
}
