//! Dates.

use super::{Parsed, byte, stop};
use crate::imap::civil::{MONTHS, days_in_month, moment};
use crate::imap::command::Date;
use crate::store::InternalDate;

/// Exactly `count` digits.
fn digits<'a>(count: usize, expected: &'static str, input: &'a [u8]) -> Parsed<'a, u16> {
    match input.split_at_checked(count) {
        Some((digits, rest)) if digits.iter().all(u8::is_ascii_digit) => {
            let value = digits.iter().fold(0_u16, |value, digit| {
                value
                    .saturating_mul(10)
                    .saturating_add(u16::from(digit - b'0'))
            });
            Ok((rest, value))
        }
        _ => stop(input, expected),
    }
}

/// ```abnf
/// date            = date-text / DQUOTE date-text DQUOTE                   ; RFC 3501
/// ```
pub(super) fn date(input: &[u8]) -> Parsed<'_, Date> {
    match input.strip_prefix(b"\"") {
        None => date_text(input),
        Some(rest) => {
            let (rest, date) = date_text(rest)?;
            let (rest, ()) = byte(b'"', "the end of the date", rest)?;
            Ok((rest, date))
        }
    }
}

/// ```abnf
/// date-text       = date-day "-" date-month "-" date-year                 ; RFC 3501
/// date-day        = 1*2DIGIT
/// ```
fn date_text(input: &[u8]) -> Parsed<'_, Date> {
    let two = input.get(1).is_some_and(u8::is_ascii_digit);
    let (rest, day) = digits(if two { 2 } else { 1 }, "a day of the month", input)?;
    rest_of_date(day, input, rest)
}

/// ```abnf
/// date-month      = "Jan" / "Feb" / "Mar" / "Apr" / "May" / "Jun" / "Jul" / "Aug" / "Sep" / "Oct" /
///                   "Nov" / "Dec"                                         ; RFC 3501
/// date-year       = 4DIGIT
/// ```
fn rest_of_date<'a>(day: u16, start: &'a [u8], input: &'a [u8]) -> Parsed<'a, Date> {
    let (input, ()) = byte(b'-', "a hyphen and the month", input)?;
    let written = input.get(..3).unwrap_or_default();
    let index = MONTHS
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(written));
    let Some(month) = index.and_then(|index| u8::try_from(index + 1).ok()) else {
        return stop(input, "the name of a month");
    };
    let (input, ()) = byte(
        b'-',
        "a hyphen and the year",
        input.get(3..).unwrap_or_default(),
    )?;
    let (input, year) = digits(4, "a year of four digits", input)?;
    match u8::try_from(day) {
        Ok(day) if day >= 1 && day <= days_in_month(year, month) => {
            Ok((input, Date { year, month, day }))
        }
        _ => stop(start, "a day that its month has"),
    }
}

/// A second of 60 is taken: leap seconds are written so.
///
/// ```abnf
/// date-time       = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
/// date-day-fixed  = (SP DIGIT) / 2DIGIT                                   ; RFC 3501
/// time            = 2DIGIT ":" 2DIGIT ":" 2DIGIT
/// zone            = ("+" / "-") 4DIGIT
/// ```
pub(super) fn date_time(input: &[u8]) -> Parsed<'_, InternalDate> {
    let (input, ()) = byte(b'"', "a date", input)?;
    let (rest, day) = match input.strip_prefix(b" ") {
        Some(rest) => digits(1, "a day of the month", rest)?,
        None => digits(2, "a day of two digits", input)?,
    };
    let (rest, date) = rest_of_date(day, input, rest)?;
    let (rest, ()) = byte(b' ', "a space and the time", rest)?;
    let (rest, seconds) = time(rest)?;
    let (rest, ()) = byte(b' ', "a space and the zone", rest)?;
    let (rest, zone_minutes) = zone(rest)?;
    let (rest, ()) = byte(b'"', "the end of the date", rest)?;
    Ok((rest, moment(date, seconds, zone_minutes)))
}

/// Seconds since midnight.
fn time(input: &[u8]) -> Parsed<'_, i64> {
    let (rest, hours) = digits(2, "hours", input)?;
    let (rest, ()) = byte(b':', "a colon and minutes", rest)?;
    let (rest, minutes) = digits(2, "minutes", rest)?;
    let (rest, ()) = byte(b':', "a colon and seconds", rest)?;
    let (rest, seconds) = digits(2, "seconds", rest)?;
    if hours > 23 || minutes > 59 || seconds > 60 {
        return stop(input, "a time of day");
    }
    Ok((
        rest,
        i64::from(hours) * 3_600 + i64::from(minutes) * 60 + i64::from(seconds),
    ))
}

/// Minutes east of Greenwich.
fn zone(input: &[u8]) -> Parsed<'_, i16> {
    let (sign, rest) = match input {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return stop(input, "a zone like +0000"),
    };
    let (rest, hours) = digits(2, "a zone like +0000", rest)?;
    let (rest, minutes) = digits(2, "a zone like +0000", rest)?;
    match i16::try_from(hours * 60 + minutes) {
        Ok(zone) if hours <= 23 && minutes <= 59 => Ok((rest, sign * zone)),
        _ => stop(input, "a zone of less than a day"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;
    use crate::store::Timestamp;

    #[test]
    fn a_date_is_one_that_the_calendar_has() {
        let day = |year, month, day| Ok(Date { year, month, day });
        known(
            date,
            &[
                (b"1-Feb-1994", day(1994, 2, 1)),
                (b"01-feB-1994", day(1994, 2, 1)),
                (b"\"31-Dec-9999\"", day(9999, 12, 31)),
                (b"29-Feb-2024", day(2024, 2, 29)),
                (b"29-Feb-2000", day(2000, 2, 29)),
                (b"29-Feb-2023", Err(0)),
                (b"29-Feb-1900", Err(0)),
                (b"31-Apr-2024", Err(0)),
                (b"0-Jan-2024", Err(0)),
                (b"32-Jan-2024", Err(0)),
                (b"123-Jan-2024", Err(2)),
                (b"1-Foo-2024", Err(2)),
                (b"1-Jan-24", Err(6)),
                (b"1-Jan-20245", Err(10)),
                (b"1 Jan 2024", Err(1)),
                (b"\"1-Jan-2024", Err(11)),
                (b" 1-Jan-2024", Err(0)),
            ],
        );
    }

    #[test]
    fn a_date_time_is_a_moment_in_a_zone() {
        let at = |seconds: i64, zone_minutes| {
            Ok(InternalDate {
                at: Timestamp(seconds * 1_000_000),
                zone_minutes,
            })
        };
        known(
            date_time,
            &[
                (b"\"17-Jul-1996 02:44:25 -0700\"", at(837_596_665, -420)),
                (b"\" 1-Jan-1970 00:00:00 +0000\"", at(0, 0)),
                (b"\"01-jan-1970 01:00:00 +0100\"", at(0, 60)),
                (b"\"31-Dec-1969 23:59:59 -0000\"", at(-1, 0)),
                (b"\"31-Dec-2016 23:59:60 +0000\"", at(1_483_228_800, 0)),
                (b"\"29-Feb-2024 12:00:00 +2359\"", at(1_709_121_660, 1_439)),
                (
                    b"\" 1-Jan-0000 00:00:00 -2359\"",
                    at(-62_167_132_860, -1_439),
                ),
                (b"\"29-Feb-2023 12:00:00 +0000\"", Err(1)),
                (b"\"1-Jan-1970 00:00:00 +0000\"", Err(1)),
                (b"\"  1-Jan-1970 00:00:00 +0000\"", Err(2)),
                (b"\" 1-Jan-1970 24:00:00 +0000\"", Err(13)),
                (b"\" 1-Jan-1970 00:60:00 +0000\"", Err(13)),
                (b"\" 1-Jan-1970 00:00:61 +0000\"", Err(13)),
                (b"\" 1-Jan-1970 0:00:00 +0000\"", Err(13)),
                (b"\" 1-Jan-1970 00:00:00 0000\"", Err(22)),
                (b"\" 1-Jan-1970 00:00:00 +2400\"", Err(22)),
                (b"\" 1-Jan-1970 00:00:00 +0060\"", Err(22)),
                (b"\" 1-Jan-1970 00:00:00 GMT\"", Err(22)),
                (b"\" 1-Jan-1970 00:00:00 +0000", Err(27)),
                (b"\" 1-Jan-1970\"", Err(12)),
                (b" 1-Jan-1970 00:00:00 +0000", Err(0)),
            ],
        );
    }
}
