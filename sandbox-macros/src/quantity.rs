//! Durations and sizes in literals: a number and a unit.

use sandboxed_config::nearest;

const DURATIONS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

const SIZES: &[(&str, u128)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// `"1.5s"` in nanoseconds, or what is wrong with it.
pub fn nanoseconds(text: &str) -> Result<u64, String> {
    parse(text, DURATIONS, "s", "584 years")
}

/// `"256MiB"` in bytes, or what is wrong with it.
pub fn bytes(text: &str) -> Result<u64, String> {
    parse(text, SIZES, "MiB", "16777215TiB")
}

fn parse(text: &str, units: &[(&str, u128)], usual: &str, most: &str) -> Result<u64, String> {
    let known = || units.iter().map(|(unit, _)| *unit);
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let Some((whole, fraction)) = decimal(number) else {
        return Err(format!(
            "`{text}` does not begin with a number; write a number and a unit, such as `2{usual}`"
        ));
    };
    if unit.is_empty() {
        let all = known().collect::<Vec<_>>().join(", ");
        return Err(format!("`{text}` has no unit; write `{number}{usual}` (units: {all})"));
    }
    let Some(&(_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        let all = known().collect::<Vec<_>>().join(", ");
        // `MB` and `M` are nearer to `B` than to what was meant.
        let same_start = known().find(|name| name.chars().next() == unit.chars().next());
        let meant = same_start
            .or_else(|| nearest(unit, known()))
            .map_or(format!("the units are {all}"), |unit| format!("did you mean `{unit}`?"));
        return Err(format!("unknown unit `{unit}` in `{text}`; {meant}"));
    };
    let total = whole
        .checked_mul(scale)
        .map(|total| total + fraction.0 * scale / fraction.1)
        .and_then(|total| u64::try_from(total).ok())
        .ok_or_else(|| format!("`{text}` is too much; the most is {most}"))?;
    if total == 0 { Err(format!("`{text}` is nothing; it must be more than zero")) } else { Ok(total) }
}

/// The digits before the point, and those behind it as a fraction.
fn decimal(number: &str) -> Option<(u128, (u128, u128))> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // More than 30 digits overflow every unit, and 18 behind the point are below a nanosecond of an hour.
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 18 || fraction.contains('.') {
        return None;
    }
    let whole = whole.parse().unwrap_or(u128::MAX);
    Some((whole, (fraction.parse().ok()?, 10u128.pow(fraction.len() as u32))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(nanoseconds("2s"), Ok(2_000_000_000));
        assert_eq!(nanoseconds("1.5 ms"), Ok(1_500_000));
        assert_eq!(nanoseconds("2min"), Ok(120_000_000_000));
        assert_eq!(bytes("256MiB"), Ok(256 << 20));
        assert_eq!(bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(bytes("16777215TiB"), Ok(16777215 << 40));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, message) in [
            ("2", "`2` has no unit; write `2s` (units: ns, us, ms, s, min, h)"),
            ("2sec", "unknown unit `sec` in `2sec`; did you mean `s`?"),
            ("2days", "unknown unit `days` in `2days`; the units are ns, us, ms, s, min, h"),
            ("2 S", "unknown unit `S` in `2 S`; did you mean `s`?"),
            ("s", "`s` does not begin with a number; write a number and a unit, such as `2s`"),
            ("", "`` does not begin with a number; write a number and a unit, such as `2s`"),
            ("1..5s", "`1..5s` does not begin with a number; write a number and a unit, such as `2s`"),
            ("-1s", "`-1s` does not begin with a number; write a number and a unit, such as `2s`"),
            ("0ms", "`0ms` is nothing; it must be more than zero"),
            ("0.1ns", "`0.1ns` is nothing; it must be more than zero"),
            ("99999999999h", "`99999999999h` is too much; the most is 584 years"),
        ] {
            assert_eq!(nanoseconds(text), Err(message.to_owned()));
        }
        assert_eq!(bytes("256MB"), Err("unknown unit `MB` in `256MB`; did you mean `MiB`?".to_owned()));
        let digits = "9".repeat(60);
        assert_eq!(
            bytes(&format!("{digits}B")),
            Err(format!("`{digits}B` is too much; the most is 16777215TiB"))
        );
    }
}
