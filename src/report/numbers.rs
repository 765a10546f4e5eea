//! Formats numbers for people.

/// Formats a count with a comma every three digits: `10,800,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats seconds as `9.6 s`, `4:05` or `2:10:00`.
pub fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// Formats a share of a whole in percent: `97 %`; `-` if the whole is 0. 100 % is only all, and 0 % only nothing.
pub fn percent(part: u64, whole: u64) -> String {
    let share = 100.0 * part as f64 / whole as f64;
    match share {
        _ if whole == 0 => "-".to_owned(),
        _ if part > 0 && share < 0.5 => "< 1 %".to_owned(),
        _ if part < whole && share > 99.5 => "> 99 %".to_owned(),
        _ => format!("{share:.0} %"),
    }
}

/// Formats a number with a sign and two decimals: `+0.31`.
pub fn signed(number: f64) -> String {
    format!("{number:+.2}").replace('-', "\u{2212}")
}

/// Formats a score with three decimals, `-` without one.
pub fn score(score: Option<f64>) -> String {
    score.map_or_else(
        || "-".to_owned(),
        |score| format!("{score:.3}").replace('-', "\u{2212}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!(
            [count(7), count(1234), count(10_800_000)],
            ["7", "1,234", "10,800,000"]
        );
        assert_eq!(
            [duration(9.64), duration(245.0), duration(7800.2)],
            ["9.6 s", "4:05", "2:10:00"]
        );
        assert_eq!(
            [percent(0, 0), percent(1, 1000), percent(999, 1000)],
            ["-", "< 1 %", "> 99 %"]
        );
        assert_eq!(
            [percent(1, 1), percent(0, 9), percent(1, 3)],
            ["100 %", "0 %", "33 %"]
        );
        assert_eq!(signed(-0.126), "\u{2212}0.13");
    }
}
