//! Date (RFC 5322 §3.3) with the obsolete forms of §4.3 and what else is met: no day name, no seconds, a two-digit year, a zone by
//! name, none at all, comments anywhere, `YYYY` at the end as asctime writes it.

use super::header::{Cursor, is_space, unfold};

/// When a message says it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailDate {
    /// Microseconds since 1970-01-01 00:00 UTC.
    pub micros: i64,
    /// The zone it was written in, minutes east of UTC.
    pub zone_minutes: i32,
    /// The date as written, whatever the zone: what SENTBEFORE, SENTON and SENTSINCE compare (RFC 3501 §6.4.4).
    pub local: LocalDate,
}

/// A date of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalDate {
    /// Year, four digits.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

impl LocalDate {
    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        crate::civil::days_from_civil(i64::from(self.year), self.month, self.day)
    }

    fn is_valid(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&self.day)
    }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// The zones of RFC 5322 §4.3 that have a meaning; military letters other than Z, and unknown names, are "-0000": UTC.
const ZONES: [(&[u8], i32); 11] = [
    (b"ut", 0),
    (b"gmt", 0),
    (b"z", 0),
    (b"est", -5 * 60),
    (b"edt", -4 * 60),
    (b"cst", -6 * 60),
    (b"cdt", -5 * 60),
    (b"mst", -7 * 60),
    (b"mdt", -6 * 60),
    (b"pst", -8 * 60),
    (b"pdt", -7 * 60),
];

/// Reads the value of a Date field, folded or not. `None` when it has no day, month and year that make a date, or no time that is one.
pub fn parse_date(value: &[u8]) -> Option<MailDate> {
    let value = unfold(value);
    let mut words = Words {
        cursor: Cursor::new(&value),
    };
    let mut date = Date::default();
    // A Date has ten words at most; a value of a megabyte need not be read.
    for _ in 0..WORDS_MAX {
        let Some(word) = words.next() else { break };
        date.word(&word);
    }
    date.finish()
}

/// Day name, day, month, year, time, zone, and as much again of what should not be there.
const WORDS_MAX: usize = 16;

struct Words<'a> {
    cursor: Cursor<'a>,
}

impl Words<'_> {
    /// The next word; a time is one word, whatever stands around its colons (`09 : 55`, RFC 5322 §4.3).
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut word = Vec::new();
        loop {
            let mut ahead = self.cursor.clone();
            ahead.cfws();
            let colon = ahead.peek() == Some(b':');
            if !word.is_empty() && !colon && !word.ends_with(b":") {
                return Some(word);
            }
            self.cursor = ahead;
            if colon {
                self.cursor.bump();
                word.push(b':');
                continue;
            }
            let run = self
                .cursor
                .run(|byte| !is_space(byte) && !matches!(byte, b'(' | b',' | b';' | b':'));
            word.extend_from_slice(run);
            if run.is_empty() {
                // A comma or a semicolon, or the end.
                if self.cursor.peek().is_none() {
                    return (!word.is_empty()).then_some(word);
                }
                self.cursor.bump();
                if !word.is_empty() {
                    return Some(word);
                }
            }
        }
    }
}

#[derive(Default)]
struct Date {
    day: Option<u32>,
    month: Option<u8>,
    year: Option<i32>,
    seconds: Option<i64>,
    zone: Option<i32>,
}

impl Date {
    fn word(&mut self, word: &[u8]) {
        if self.month.is_none() && word.contains(&b'-') && self.day.is_none() {
            // `17-Sep-2001`, as in INTERNALDATE.
            for piece in word.split(|&byte| byte == b'-') {
                self.word(piece);
            }
        } else if word.contains(&b':')
            || (self.seconds.is_none() && self.year.is_some() && is_dotted(word))
        {
            if self.seconds.is_none() {
                self.seconds = time(word);
            }
        } else if matches!(word.first(), Some(b'+' | b'-')) {
            if self.zone.is_none() && self.seconds.is_some() {
                self.zone = offset(word);
            }
        } else if let Some(digits) = number(word) {
            if self.day.is_none() {
                self.day = Some(digits);
            } else if self.month.is_some() && self.year.is_none() {
                self.year = year(digits, word.len());
            }
        } else if let Some(month) = month(word)
            && self.month.is_none()
        {
            self.month = Some(month);
        } else if self.zone.is_none() && self.seconds.is_some() {
            let known = ZONES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(word));
            self.zone = known.map(|&(_, minutes)| minutes);
        }
    }

    fn finish(self) -> Option<MailDate> {
        let local = LocalDate {
            year: self.year?,
            month: self.month?,
            day: u8::try_from(self.day?).ok()?,
        };
        if !local.is_valid() {
            return None;
        }
        let zone_minutes = self.zone.unwrap_or(0);
        let seconds = local.days() * 86_400 + self.seconds? - i64::from(zone_minutes) * 60;
        Some(MailDate {
            micros: seconds * 1_000_000,
            zone_minutes,
            local,
        })
    }
}

fn is_dotted(word: &[u8]) -> bool {
    word.contains(&b'.')
        && word
            .iter()
            .all(|&byte| byte.is_ascii_digit() || byte == b'.')
}

/// Decimal digits only, no more than nine.
fn number(word: &[u8]) -> Option<u32> {
    if word.is_empty() || word.len() > 9 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        word.iter()
            .fold(0, |value, &digit| value * 10 + u32::from(digit - b'0')),
    )
}

fn month(word: &[u8]) -> Option<u8> {
    let start = word.get(..3)?;
    let at = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(start))?;
    u8::try_from(at + 1).ok()
}

/// RFC 5322 §4.3: two digits 00 to 49 are 2000 to 2049, other two and any three count from 1900.
fn year(digits: u32, len: usize) -> Option<i32> {
    let year = i32::try_from(digits).ok()?;
    match len {
        1 | 2 if year < 50 => Some(year + 2000),
        1..=3 => Some(year + 1900),
        4 => Some(year),
        _ => None,
    }
}

/// `hh:mm[:ss[.fraction]]`, also with dots; a leap second is the second before it.
fn time(word: &[u8]) -> Option<i64> {
    let mut parts = word.split(|&byte| byte == b':' || byte == b'.');
    let mut part = |max: u32| number(parts.next()?).filter(|&value| value <= max);
    let hour = part(23)?;
    let minute = part(59)?;
    let second = part(60).unwrap_or(0).min(59);
    Some(i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second))
}

/// `+hhmm`, `+hh:mm` is not mail's and not read; hours up to 99 are legal syntax (RFC 5322 §3.3), only those of a day are believed.
fn offset(word: &[u8]) -> Option<i32> {
    let (sign, digits) = word.split_first()?;
    let value = i32::try_from(number(digits)?).ok()?;
    let minutes = match digits.len() {
        4 => value / 100 * 60 + value % 100,
        1 | 2 => value * 60,
        _ => return None,
    };
    let minutes = if *sign == b'-' { -minutes } else { minutes };
    (minutes.abs() < 24 * 60).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> String {
        match parse_date(value.as_bytes()) {
            Some(date) => {
                let LocalDate { year, month, day } = date.local;
                format!(
                    "{} {:+} {year}-{month}-{day}",
                    date.micros / 1_000_000,
                    date.zone_minutes
                )
            }
            None => "none".to_owned(),
        }
    }

    #[test]
    fn dates_read_in_all_their_forms() {
        for (value, want) in [
            (
                "Fri, 21 Nov 1997 09:55:06 -0600",
                "880127706 -360 1997-11-21",
            ),
            (
                "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
                "880127706 -360 1997-11-21",
            ),
            ("21 Nov 97 09:55:06 GMT", "880106106 +0 1997-11-21"),
            (
                "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)",
                "-27723480 -210 1969-2-13",
            ),
            ("1 Jan 2000 00:00 +0000", "946684800 +0 2000-1-1"),
            ("1 Jan 00 00:00 EST", "946702800 -300 2000-1-1"),
            ("Sat, 01 Jan 100 00:00:00 Z", "946684800 +0 2000-1-1"),
            ("Mon Sep 17 00:00:00 2001", "1000684800 +0 2001-9-17"),
            ("Mon Sep 17 00:00:00 EDT 2001", "1000699200 -240 2001-9-17"),
            ("17-Sep-2001 00:00:00 +0100", "1000681200 +60 2001-9-17"),
            (
                "Mon, 17 September 2001 12.30.15 +02",
                "1000722615 +120 2001-9-17",
            ),
            ("29 Feb 2000 23:59:60 +0000", "951868799 +0 2000-2-29"),
            ("29 Feb 1900 00:00:00 +0000", "none"),
            ("31 Apr 2001 00:00:00 +0000", "none"),
            ("17 Sep 2001", "none"),
            ("17 Sep 2001 25:00", "none"),
            ("", "none"),
            ("yesterday", "none"),
        ] {
            assert_eq!(shown(value), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_value_reads_without_panic(value in "[0-9A-Za-z:+. ,()-]{0,40}", bytes: Vec<u8>) {
            parse_date(value.as_bytes());
            parse_date(&bytes);
        }

        #[test]
        fn days_follow_one_another(year in 1i32..9999, month in 1u8..=12) {
            let first = |year, month| LocalDate { year, month, day: 1 }.days();
            let next = if month == 12 { first(year + 1, 1) } else { first(year, month + 1) };
            let last = (1..=31).rev().map(|day| LocalDate { year, month, day }).find(|d| d.is_valid());
            prop_assert_eq!(last.unwrap().days() + 1, next);
        }
    }
}
