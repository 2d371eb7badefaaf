//! When a certificate runs out: `notAfter` of RFC 5280, read from its DER.

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// The last second in which a certificate is valid, in seconds since the Unix epoch; `None` where that can't be read, or lies
/// before it.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = sequence(certificate)?;
    let (signed, _) = sequence(certificate)?;
    // Version (if any), serial number, signature, issuer.
    let fields = if signed.first() == Some(&VERSION) { 4 } else { 3 };
    let rest = (0..fields).try_fold(signed, |rest, _| Some(element(rest)?.2))?;
    let (validity, _) = sequence(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    match tag {
        // Of two digits, those from 50 on are of the last century.
        UTC_TIME if time.starts_with(['5', '6', '7', '8', '9']) => seconds(&format!("19{time}")),
        UTC_TIME => seconds(&format!("20{time}")),
        GENERALIZED_TIME => seconds(time),
        _ => None,
    }
}

fn sequence(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, contents, rest) = element(input)?;
    (tag == SEQUENCE).then_some((contents, rest))
}

/// The first element: its tag, its contents, and what follows it.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// `YYYYMMDDHHMMSS` in UTC, as seconds since the Unix epoch.
fn seconds(time: &str) -> Option<u64> {
    if time.len() != 14 || !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let fits = (1970..).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years begin in March here, so that the day that comes and goes is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let days_before_month = (153 * ((month + 9) % 12) + 2) / 5;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + days_before_month + day - 1;
    // From the first of March of year 0 to the epoch.
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_seconds_since_the_epoch() {
        // As `date -u -d … +%s` tells them.
        for (time, expected) in [
            ("19700101000000", Some(0)),
            ("20000229235959", Some(951_868_799)),
            ("20261129021735", Some(1_795_918_655)),
            ("21000301000000", Some(4_107_542_400)),
            ("99991231235959", Some(253_402_300_799)),
            ("19691231235959", None),
            ("20261329000000", None),
            ("2026112902173", None),
            ("2026112902173x", None),
        ] {
            assert_eq!(seconds(time), expected, "{time}");
        }
    }

    fn element_of(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], contents].concat()
    }

    /// A certificate with this in the place of `notAfter`, and nothing that makes sense elsewhere.
    fn certificate(version: bool, tag: u8, time: &str) -> Vec<u8> {
        let validity =
            [element_of(UTC_TIME, b"260101000000Z"), element_of(tag, time.as_bytes())].concat();
        let mut signed = if version { element_of(VERSION, b"\x02\x01\x02") } else { Vec::new() };
        for tag in [0x02, SEQUENCE, SEQUENCE] {
            signed.extend(element_of(tag, &[7; 200]));
        }
        signed.extend(element_of(SEQUENCE, &validity));
        element_of(SEQUENCE, &element_of(SEQUENCE, &signed))
    }

    #[test]
    fn both_forms_of_time_are_read_with_and_without_a_version() {
        for version in [true, false] {
            let read = |tag, time| not_after(&certificate(version, tag, time));

            assert_eq!(read(UTC_TIME, "261129021735Z"), Some(1_795_918_655));
            assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
            assert_eq!(read(GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400));
            assert_eq!(read(GENERALIZED_TIME, "21000301000000"), None);
            assert_eq!(read(0x04, "261129021735Z"), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..900,
            (place, byte) in (0usize..900, any::<u8>()),
        ) {
            not_after(&noise);
            let mut certificate = certificate(true, UTC_TIME, "261129021735Z");
            if let Some(at) = certificate.get_mut(place) {
                *at = byte;
            }
            not_after(certificate.get(..cut).unwrap_or(&certificate));
        }
    }
}
