//! Dates as IMAP writes them: four digits of year, whole seconds, fixed zones.

use super::command::Date;
use crate::civil::{civil_from_days, days_from_civil};
use crate::store::{InternalDate, Timestamp};

pub use crate::civil::MONTHS;

/// Seconds of a day.
pub const DAY_SECONDS: i64 = 86_400;

/// Days of a month; 0 for what is no month.
#[must_use]
pub const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 0,
    }
}

/// Days from 1970-01-01 to a date; negative before.
#[must_use]
pub const fn days_from_date(date: Date) -> i64 {
    days_from_civil(date.year as i64, date.month, date.day)
}

/// The date so many days after 1970-01-01. A year that four digits can't hold becomes the nearest that can be.
#[must_use]
pub fn date_from_days(days: i64) -> Date {
    let (year, month, day) = civil_from_days(days);
    match u16::try_from(year) {
        Ok(year) if year <= 9_999 => Date { year, month, day },
        Ok(_) => Date {
            year: 9_999,
            month: 12,
            day: 31,
        },
        Err(_) if year < 0 => Date {
            year: 0,
            month: 1,
            day: 1,
        },
        Err(_) => Date {
            year: 9_999,
            month: 12,
            day: 31,
        },
    }
}

/// A moment on a clock in its zone: the date there, and the seconds since its midnight.
#[must_use]
pub fn local(date: InternalDate) -> (Date, i64) {
    let seconds = date.at.0.div_euclid(1_000_000) + i64::from(date.zone_minutes) * 60;
    (
        date_from_days(seconds.div_euclid(DAY_SECONDS)),
        seconds.rem_euclid(DAY_SECONDS),
    )
}

/// The moment at which a clock in the zone shows this.
#[must_use]
pub fn moment(date: Date, seconds: i64, zone_minutes: i16) -> InternalDate {
    let local = days_from_date(date) * DAY_SECONDS + seconds;
    let at = Timestamp((local - i64::from(zone_minutes) * 60) * 1_000_000);
    InternalDate { at, zone_minutes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(year: u16, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn known_days_have_known_numbers() {
        for (date, days) in [
            (day(1970, 1, 1), 0),
            (day(1969, 12, 31), -1),
            (day(2000, 2, 29), 11_016),
            (day(2000, 3, 1), 11_017),
            (day(1900, 3, 1), -25_508),
            (day(0, 1, 1), -719_528),
            (day(9999, 12, 31), 2_932_896),
        ] {
            assert_eq!(days_from_date(date), days);
            assert_eq!(date_from_days(days), date);
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_one_before() {
        let mut date = day(0, 1, 1);
        for days in -719_528..=2_932_896 {
            assert_eq!(date_from_days(days), date);
            assert_eq!(days_from_date(date), days);
            date.day += 1;
            if date.day > days_in_month(date.year, date.month) {
                (date.month, date.day) = (date.month + 1, 1);
            }
            if date.month > 12 {
                (date.year, date.month) = (date.year + 1, 1);
            }
        }
    }

    #[test]
    fn what_four_digits_can_not_show_is_shown_as_the_nearest_that_they_can() {
        assert_eq!(date_from_days(-719_529), day(0, 1, 1));
        assert_eq!(date_from_days(2_932_897), day(9999, 12, 31));
        assert_eq!(date_from_days(i64::MIN), day(0, 1, 1));
        assert_eq!(date_from_days(i64::MAX), day(9999, 12, 31));
    }

    proptest! {
        #[test]
        fn a_moment_is_shown_as_it_was_given(
            days in -719_000..2_932_000_i64,
            seconds in 0..DAY_SECONDS,
            zone_minutes in -1_439..=1_439_i16,
        ) {
            let date = date_from_days(days);
            prop_assert_eq!(local(moment(date, seconds, zone_minutes)), (date, seconds));
        }

        #[test]
        fn no_moment_is_too_much(at: i64, zone_minutes: i16) {
            let (date, _) = local(InternalDate { at: Timestamp(at), zone_minutes });
            prop_assert!(date.day >= 1 && date.day <= days_in_month(date.year, date.month));
        }
    }
}
