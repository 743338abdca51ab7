//! Calendar arithmetic on the proleptic Gregorian calendar, in UTC.

use crate::store::Timestamp;

/// A moment taken apart, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    /// Year, astronomical.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 is Sunday.
    pub weekday: u8,
}

/// Names of the months as mail and IMAP write them.
pub const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Names of the days as mail writes them.
pub const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Days from 1970-01-01 to this date. Any month and day number is taken as written.
#[must_use]
pub const fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let shifted_month = (month as i64 + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (1 to 12) and day (1 to 31) so many days after 1970-01-01.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "every value is reduced to its range"
)]
pub const fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month as u8, day as u8)
}

impl Civil {
    /// Takes a moment apart, shown so many minutes east of UTC.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "every value is reduced to its range"
    )]
    pub const fn new(at: Timestamp, zone_minutes: i16) -> Self {
        let seconds = at.0.div_euclid(1_000_000) + zone_minutes as i64 * 60;
        let days = seconds.div_euclid(86_400);
        let of_day = seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month,
            day,
            hour: (of_day / 3_600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
        }
    }

    /// Name of the month.
    #[must_use]
    pub fn month_name(&self) -> &'static str {
        MONTHS
            .get(usize::from(self.month).wrapping_sub(1))
            .copied()
            .unwrap_or("Jan")
    }

    /// Name of the weekday.
    #[must_use]
    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS
            .get(usize::from(self.weekday))
            .copied()
            .unwrap_or("Sun")
    }
}

/// `date-time` of RFC 5322 §3.3 in UTC.
#[must_use]
pub fn rfc5322_date(at: Timestamp) -> String {
    let c = Civil::new(at, 0);
    format!(
        "{}, {} {} {:04} {:02}:{:02}:{:02} +0000",
        c.weekday_name(),
        c.day,
        c.month_name(),
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
        assert_eq!(days_from_civil(1969, 12, 31), -1);
        assert_eq!(
            rfc5322_date(Timestamp(784_111_777_000_000)),
            "Sun, 6 Nov 1994 08:49:37 +0000"
        );
        assert_eq!(
            rfc5322_date(Timestamp(-1)),
            "Wed, 31 Dec 1969 23:59:59 +0000"
        );
    }

    proptest! {
        #[test]
        fn a_day_taken_apart_goes_together_again(days in -800_000i64..3_000_000) {
            let c = Civil::new(Timestamp(days * 86_400_000_000), 0);
            prop_assert_eq!(days_from_civil(c.year, c.month, c.day), days);
            prop_assert!((1..=12).contains(&c.month) && (1..=31).contains(&c.day));
        }
    }
}
