//! Numbers and sets of numbers.

use super::{Parsed, committed, run, stop};
use crate::imap::command::SequenceSet;
use crate::limits::SEQUENCE_RANGES_MAX;

fn digits<'a>(expected: &'static str, max: u64, input: &'a [u8]) -> Parsed<'a, u64> {
    let (rest, digits) = run(|b| b.is_ascii_digit(), expected, input)?;
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    match value {
        Some(value) if value <= max => Ok((rest, value)),
        _ => stop(input, expected),
    }
}

/// ```abnf
/// number          = 1*DIGIT          ; RFC 3501: unsigned 32-bit integer (0 <= n < 4,294,967,296)
/// ```
pub(super) fn number(input: &[u8]) -> Parsed<'_, u32> {
    let (rest, value) = digits("a number of 32 bits", u32::MAX.into(), input)?;
    Ok((rest, u32::try_from(value).unwrap_or(u32::MAX)))
}

/// ```abnf
/// number64        = 1*DIGIT          ; RFC 9051: unsigned 63-bit integer
/// ```
pub(super) fn number64(input: &[u8]) -> Parsed<'_, u64> {
    digits("a number of 63 bits", i64::MAX as u64, input)
}

/// ```abnf
/// nz-number       = digit-nz *DIGIT  ; RFC 3501: 0 < n < 4,294,967,296
/// ```
pub(super) fn nz_number(input: &[u8]) -> Parsed<'_, u32> {
    match input.first() {
        Some(b'1'..=b'9') => number(input),
        _ => stop(input, "a number that does not begin with 0"),
    }
}

/// ```abnf
/// seq-number      = nz-number / "*"                                       ; RFC 3501
/// ```
fn seq_number(input: &[u8]) -> Parsed<'_, Option<u32>> {
    match input {
        [b'*', rest @ ..] => Ok((rest, None)),
        [b'1'..=b'9', ..] => nz_number(input).map(|(rest, number)| (rest, Some(number))),
        _ => stop(input, "a message number or *"),
    }
}

/// ```abnf
/// sequence-set    = (seq-number / seq-range) *("," sequence-set)          ; RFC 3501
/// seq-range       = seq-number ":" seq-number
/// ```
pub(super) fn sequence_set(input: &[u8]) -> Parsed<'_, SequenceSet> {
    let mut ranges = Vec::new();
    let mut input = input;
    loop {
        if ranges.len() >= SEQUENCE_RANGES_MAX {
            return committed(stop(input, "fewer ranges"));
        }
        let (mut rest, first) = seq_number(input)?;
        let mut last = first;
        if let Some(after) = rest.strip_prefix(b":") {
            (rest, last) = seq_number(after)?;
        }
        ranges.push((first, last));
        match rest.strip_prefix(b",") {
            Some(after) => input = after,
            None => return Ok((rest, SequenceSet(ranges))),
        }
    }
}
