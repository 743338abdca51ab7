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
        _ => stop(input, "a message number, * or $"),
    }
}

/// ```abnf
/// sequence-set    = (seq-number / seq-range) *("," sequence-set)          ; RFC 3501
/// sequence-set    =/ seq-last-command                                     ; RFC 5182
/// seq-range       = seq-number ":" seq-number
/// seq-last-command = "$"
/// ```
pub(super) fn sequence_set(input: &[u8]) -> Parsed<'_, SequenceSet> {
    if let Some(rest) = input.strip_prefix(b"$") {
        return Ok((rest, SequenceSet::Saved));
    }
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
            None => return Ok((rest, SequenceSet::Ranges(ranges))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;

    #[test]
    fn numbers_have_their_ranges() {
        known(
            number,
            &[
                (b"0", Ok(0)),
                (b"00000000000000000000007", Ok(7)),
                (b"4294967295", Ok(u32::MAX)),
                (b"4294967296", Err(0)),
                (b"99999999999999999999999", Err(0)),
                (b"", Err(0)),
                (b"-1", Err(0)),
                (b"1x", Err(1)),
            ],
        );
        known(
            nz_number,
            &[
                (b"1", Ok(1)),
                (b"4294967295", Ok(u32::MAX)),
                (b"4294967296", Err(0)),
                (b"0", Err(0)),
                (b"01", Err(0)),
            ],
        );
        known(
            number64,
            &[
                (b"0", Ok(0)),
                (b"9223372036854775807", Ok(i64::MAX as u64)),
                (b"9223372036854775808", Err(0)),
                (b"18446744073709551616", Err(0)),
            ],
        );
    }

    #[test]
    fn a_sequence_set_is_kept_as_it_is_written() {
        let set = |ranges: &[(u32, u32)]| {
            let end = |n| (n != 0).then_some(n);
            SequenceSet::Ranges(ranges.iter().map(|&(a, b)| (end(a), end(b))).collect())
        };
        known(
            sequence_set,
            &[
                (b"1", Ok(set(&[(1, 1)]))),
                (b"*", Ok(set(&[(0, 0)]))),
                (b"5:3", Ok(set(&[(5, 3)]))),
                (b"*:4,5:*,7", Ok(set(&[(0, 4), (5, 0), (7, 7)]))),
                (b"4294967295", Ok(set(&[(u32::MAX, u32::MAX)]))),
                (b"", Err(0)),
                (b"0", Err(0)),
                (b"1:0", Err(2)),
                (b"1,", Err(2)),
                (b"1:", Err(2)),
                (b"1,,2", Err(2)),
                (b"1:2:3", Err(3)),
                (b"4294967296", Err(0)),
                (b"$", Ok(SequenceSet::Saved)),
                (b"$,1", Err(1)),
                (b"1,$", Err(2)),
                (b"$:*", Err(1)),
                (b"1 ,2", Err(1)),
            ],
        );
    }

    #[test]
    fn a_sequence_set_has_at_most_so_many_ranges() {
        let many = |count: usize| vec!["1"; count].join(",").into_bytes();
        let (_, set) = sequence_set(&many(SEQUENCE_RANGES_MAX)).unwrap();
        let one = (Some(1), Some(1));
        assert_eq!(set, SequenceSet::Ranges(vec![one; SEQUENCE_RANGES_MAX]));
        assert!(sequence_set(&many(SEQUENCE_RANGES_MAX + 1)).is_err());
    }
}
