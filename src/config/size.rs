//! Sizes such as `1MiB`: a number of bytes, as people write it.

/// Units, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `65536`, `64KiB` or `1 MiB`; `None` for anything else, and beyond 64 bits.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim_start();
    let factor = match unit {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The shortest text that reads back as this size.
pub(super) fn text(bytes: u64) -> String {
    let whole = UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        let check = |text: &str, bytes: u64| assert_eq!(parse(text), Some(bytes), "{text}");

        check("0", 0);
        check("1024", 1024);
        check("512B", 512);
        check("32KiB", 32 << 10);
        check(" 1 mib ", 1 << 20);
        check("1GiB", 1 << 30);
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "KiB", "1MB", "1.5MiB", "-1", "1MiBs", "99999999999GiB", "1 2", "١KiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_size_reads_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse(&text(bytes)), Some(bytes));
        }
    }
}
