//! The trace that a call belongs to, as W3C Trace Context has it.

use std::fmt;

/// The length of a `traceparent` of version 00, in bytes: 2, 32, 16 and 2 digits with dashes between.
const LENGTH: usize = 55;

/// The bit of a `traceparent`'s flags that says "recorded".
const SAMPLED: u128 = 1;

/// The version that is reserved for "invalid".
const INVALID_VERSION: u128 = 0xff;

/// A place in a trace: the span that is the parent of what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// 0 stands for none.
    pub trace_id: u128,
    /// 0 stands for none.
    pub span_id: u64,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// No trace.
    pub const NONE: Self = Self { trace_id: 0, span_id: 0, sampled: false };

    /// Whether there is no trace.
    pub const fn is_none(self) -> bool {
        self.trace_id == 0
    }

    /// Another place in the same trace, recorded where this one is.
    #[must_use]
    pub const fn at(self, span_id: u64) -> Self {
        Self { span_id, ..self }
    }

    /// The trace's id in hexadecimal: 32 characters.
    pub fn trace_hex(self) -> Hex<32> {
        Hex::of(self.trace_id)
    }

    /// The span's id in hexadecimal: 16 characters.
    pub fn span_hex(self) -> Hex<16> {
        Hex::of(u128::from(self.span_id))
    }

    /// The `traceparent` that leads here, of version 00.
    pub fn traceparent(self) -> Hex<LENGTH> {
        let mut text = [b'-'; LENGTH];
        write(text.get_mut(..2), 0);
        write(text.get_mut(3..35), self.trace_id);
        write(text.get_mut(36..52), u128::from(self.span_id));
        write(text.get_mut(53..), u128::from(self.sampled));
        Hex { text }
    }

    /// Reads a `traceparent`; `None` for what is none, which then counts as not there. A later version is read by what it
    /// shares with version 00, and may go on after a dash. Of the flags only "sampled" is known.
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let (version, rest) = number(traceparent, 2)?;
        let (trace_id, rest) = number(rest.strip_prefix(b"-")?, 32)?;
        let (span_id, rest) = number(rest.strip_prefix(b"-")?, 16)?;
        let (flags, rest) = number(rest.strip_prefix(b"-")?, 2)?;
        let ends_well = match version {
            0 => rest.is_empty(),
            INVALID_VERSION => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let span_id = u64::try_from(span_id).ok()?;
        let is_valid = ends_well && trace_id != 0 && span_id != 0;
        is_valid.then_some(Self { trace_id, span_id, sampled: flags & SAMPLED != 0 })
    }
}

/// A number in so many hexadecimal digits, of which the letters are small ones, and what comes after it.
fn number(text: &[u8], digits: usize) -> Option<(u128, &[u8])> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let mut number = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(value);
    }
    Some((number, rest))
}

/// Fills a place with the last digits of a number.
fn write(place: Option<&mut [u8]>, mut number: u128) {
    for digit in place.unwrap_or_default().iter_mut().rev() {
        *digit = match u8::try_from(number & 0xf).unwrap_or_default() {
            value @ 0..=9 => b'0' + value,
            value => b'a' + value - 10,
        };
        number >>= 4;
    }
}

/// Ids in hexadecimal, with small letters and at their full length. Made without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize> {
    text: [u8; N],
}

impl<const N: usize> Hex<N> {
    fn of(number: u128) -> Self {
        let mut text = [b'0'; N];
        write(Some(&mut text), number);
        Self { text }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Digits and dashes are always text.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parsed(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text.as_bytes())
    }

    /// The example with another text at a place.
    fn with(at: usize, text: &str) -> String {
        format!("{}{text}{}", &EXAMPLE[..at], &EXAMPLE[at + text.len()..])
    }

    #[test]
    fn the_example_of_the_recommendation_reads_as_it_says() {
        let context = parsed(EXAMPLE).unwrap();

        assert_eq!(context.trace_hex().as_str(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_hex().to_string(), "b7ad6b7169203331");
        assert!(context.sampled);
    }

    #[test]
    fn only_the_sampled_flag_is_known() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("03", true)] {
            assert_eq!(parsed(&with(53, flags)).unwrap().sampled, sampled, "{flags}");
        }
        assert!(parsed(&with(53, "ff")).unwrap().sampled);
    }

    #[test]
    fn a_later_version_is_read_by_what_it_shares_with_this_one() {
        let later = with(0, "01");
        for text in [later.clone(), with(0, "cc"), format!("{later}-"), format!("{later}-what?")] {
            assert_eq!(parsed(&text), parsed(EXAMPLE), "{text}");
        }

        for text in [with(0, "ff"), format!("{later}x"), format!("{later}0-1"), later[..54].into()]
        {
            assert_eq!(parsed(&text), None, "{text}");
        }
    }

    #[test]
    fn ids_of_zeroes_are_none() {
        assert_eq!(parsed(&with(3, &"0".repeat(32))), None);
        assert_eq!(parsed(&with(36, &"0".repeat(16))), None);
    }

    #[test]
    fn what_is_malformed_is_none() {
        let longer = format!("{EXAMPLE}-");
        let shorter = &EXAMPLE[1..];
        let capitals = EXAMPLE.to_uppercase();
        for text in ["", "00", shorter, &longer, &capitals, &with(2, "_"), &with(35, "_")] {
            assert_eq!(parsed(text), None, "{text}");
        }
        for digit in [0, 1, 3, 20, 34, 36, 51, 53, 54] {
            for letter in ["g", "A", " ", "+", "\0"] {
                assert_eq!(parsed(&with(digit, letter)), None, "{letter:?} at {digit}");
            }
        }
    }

    #[test]
    fn a_small_number_is_written_at_its_full_length() {
        let context = TraceContext { trace_id: 0xab, span_id: 1, sampled: false };

        let expected = format!("00-{:032x}-{:016x}-00", 0xab, 1);
        assert_eq!(context.traceparent().as_str(), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(trace_id in 1u128.., span_id in 1u64.., sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };

            prop_assert_eq!(parsed(context.traceparent().as_str()), Some(context));
            prop_assert_eq!(context.trace_hex().to_string(), format!("{trace_id:032x}"));
            prop_assert_eq!(context.span_hex().to_string(), format!("{span_id:016x}"));
        }

        #[test]
        fn nothing_that_a_caller_sends_is_read_as_something_it_does_not_say(
            text in prop_oneof![
                "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?",
                "\\PC*",
            ],
        ) {
            if let Some(context) = parsed(&text) {
                prop_assert!(context.trace_id != 0 && context.span_id != 0);
                let written = context.traceparent();
                prop_assert_eq!(&text[3..52], &written.as_str()[3..52]);
            }
        }

        #[test]
        fn no_bytes_are_a_fault(bytes: Vec<u8>) {
            TraceContext::parse(&bytes);
        }
    }
}
