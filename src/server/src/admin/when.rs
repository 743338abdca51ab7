//! Times on the command line: an age, a date, or a moment.

use dbmail_core::store::Timestamp;

use crate::config::seconds;

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many seconds ago.
    Ago(u64),
    /// Then.
    At(Timestamp),
}

impl When {
    /// The moment that is meant.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(seconds) => {
                Timestamp(now.0.saturating_sub(Timestamp(0).plus_seconds(seconds).0))
            }
            Self::At(at) => at,
        }
    }

    /// How long ago that is, in seconds; 0 for what is still to come.
    #[must_use]
    pub fn age(self, now: Timestamp) -> u64 {
        match self {
            Self::Ago(seconds) => seconds,
            Self::At(at) => u64::try_from(now.0.saturating_sub(at.0) / 1_000_000).unwrap_or(0),
        }
    }
}

/// `2d`, `12h`, `0`; `2026-11-20`, which is its beginning in UTC; RFC 3339.
pub(super) fn parse_when(text: &str) -> Result<When, String> {
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic()) || text == "0";
    if has_unit && let Ok(age) = seconds(text) {
        return Ok(When::Ago(age));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(When::At(Timestamp(at.as_microsecond())));
    }
    // A date alone, not the beginning of a moment that is written in another way.
    let date = Some(text).filter(|text| text.len() == "2026-11-20".len());
    date.and_then(|date| format!("{date}T00:00:00Z").parse::<jiff::Timestamp>().ok())
        .map(|begin| When::At(Timestamp(begin.as_microsecond())))
        .ok_or_else(|| {
            format!("{text:?} is not a time: write an age such as 2d or 12h, a date such as 2026-11-20, or 2026-11-20T09:30:00Z")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_685_400_000_000);

    #[test]
    fn ages_dates_and_moments_are_understood() {
        let at = |text: &str| parse_when(text).unwrap().at(NOW);
        let moment = Timestamp(1_795_685_400_000_000);
        assert_eq!(at("2026-11-26T09:30:00Z"), moment);
        assert_eq!(at("2026-11-26T10:30:00+01:00"), moment);
        assert_eq!(at("0"), NOW);
        assert_eq!(at("90m"), Timestamp(NOW.0 - 5_400_000_000));
        assert_eq!(at("2d"), Timestamp(NOW.0 - 172_800_000_000));
        let midnight = Timestamp(moment.0 - 34_200_000_000);
        assert_eq!(at("2026-11-26"), midnight);
        assert_eq!(parse_when("2026-11-26").unwrap().age(NOW), 34_200);
        assert_eq!(parse_when("2100-01-01").unwrap().age(NOW), 0);
        assert_eq!(parse_when("7d").unwrap().age(NOW), 604_800);
    }

    #[test]
    fn what_is_no_time_is_told_how_to_write_one() {
        for text in [
            "",
            "7",
            "yesterday",
            "2026-13-01",
            "2026-11-20T09:30",
            "2d ago",
            "-2d",
        ] {
            let why = parse_when(text).unwrap_err();
            assert!(why.contains("such as 2d"), "{why}");
        }
    }
}
