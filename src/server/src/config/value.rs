//! What configuration values are written as: addresses, sizes, times, modes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `IP:PORT`; port 0 asks the system for a free one.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Address {
    /// Whether only programs on this machine can connect.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A TCP address.
///
/// # Errors
/// What is wrong with the text, as the end of a sentence that begins with the text.
pub(super) fn tcp(text: &str) -> Result<Address, String> {
    text.parse().map(Address::Tcp).map_err(|_| {
        "is not an address: write IP:PORT, such as 127.0.0.1:1143 or [::]:1143".to_owned()
    })
}

/// A TCP address or the path of a Unix socket.
///
/// # Errors
/// As [`tcp`].
pub(super) fn address(text: &str) -> Result<Address, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("names no path: write unix:/run/dbmail/lmtp.sock".to_owned()),
        Some(path) => Ok(Address::Unix(PathBuf::from(path))),
        None => tcp(text).map_err(|_| {
            "is not an address: write IP:PORT, such as 127.0.0.1:1024, or unix:PATH".to_owned()
        }),
    }
}

/// A number followed by one unit letter, in a table of units; the plain number stands for itself.
fn with_unit(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = match text.chars().last() {
        Some(last) if !last.is_ascii_digit() => {
            let (_, factor) = units.iter().find(|(c, _)| c.eq_ignore_ascii_case(&last))?;
            (text.strip_suffix(last)?.trim_end(), *factor)
        }
        Some(_) | None => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size in octets: `1048576`, `1024K`, `1M`, `2G` (units of 1,024).
///
/// # Errors
/// As [`tcp`].
pub fn size(text: &str) -> Result<u64, String> {
    with_unit(
        text,
        &[
            ('K', 1 << 10),
            ('M', 1 << 20),
            ('G', 1 << 30),
            ('T', 1 << 40),
        ],
    )
    .filter(|bytes| i64::try_from(*bytes).is_ok())
    .ok_or_else(|| {
        "is not a size: write octets, or a number with K, M, G or T, such as 256M".to_owned()
    })
}

/// A time in seconds: `10`, `10s`, `5m`, `12h`, `7d`.
///
/// # Errors
/// As [`tcp`].
pub fn seconds(text: &str) -> Result<u64, String> {
    with_unit(text, &[('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)]).ok_or_else(|| {
        "is not a time: write seconds, or a number with s, m, h or d, such as 7d".to_owned()
    })
}

/// `true` or `false`.
///
/// # Errors
/// As [`tcp`].
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// A whole number from `low` to `high`.
///
/// # Errors
/// As [`tcp`].
pub(super) fn number(text: &str, low: u64, high: u64) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|n| (low..=high).contains(n))
        .ok_or_else(|| format!("is not a whole number from {low} to {high}"))
}

/// Permissions in octal: `0660`.
///
/// # Errors
/// As [`tcp`].
pub(super) fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && text.len() <= 4)
        .ok_or_else(|| "is not a mode: write it in octal, such as \"0660\"".to_owned())
}

/// A database URL with its password, if it has one, replaced by `***`.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // The last @ before the path ends the password, which may itself hold an unescaped one.
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(authority_end).unwrap_or((rest, ""));
    let (authority, tail) = match authority.rsplit_once('@') {
        Some((login, host)) => ((login, host), tail.to_owned()),
        // A slash inside the password: look for the last @ of all.
        None => match rest.rsplit_once('@') {
            Some((login, host)) => ((login, host), String::new()),
            None => return masked_query(url),
        },
    };
    let (login, host) = authority;
    let shown = match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}{tail}"),
        None => format!("{scheme}://{login}@{host}{tail}"),
    };
    masked_query(&shown)
}

/// The URL with the value of a `password` parameter replaced.
fn masked_query(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}=***"),
            Some(_) | None => pair.to_owned(),
        })
        .collect();
    format!("{base}?{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("10k"), Ok(10_240));
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("2 G"), Ok(2 << 30));
        for wrong in [
            "",
            "M",
            "-1",
            "1.5G",
            "1X",
            "1MB",
            "99999999999999999999",
            "9999999T",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("10"), Ok(10));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("7d"), Ok(604_800));
        assert!(seconds("7w").is_err());
    }

    #[test]
    fn addresses_are_tcp_or_unix() {
        assert_eq!(address("[::1]:24").unwrap().to_string(), "[::1]:24");
        assert_eq!(
            address("unix:/run/x").unwrap(),
            Address::Unix("/run/x".into())
        );
        assert!(tcp("unix:/run/x").is_err());
        assert!(address("localhost").is_err());
        assert!(address("unix:").is_err());
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert!(mode("888").is_err());
        assert!(mode("1777").is_err());
    }

    #[test]
    fn a_password_in_a_url_is_masked() {
        for (url, shown) in [
            ("sqlite:./a/b", "sqlite:./a/b"),
            ("sqlite:///a@b/c", "sqlite:///a@b/c"),
            ("postgres://u:p@h/db", "postgres://u:***@h/db"),
            ("postgres://u:p@q@h:5432/db", "postgres://u:***@h:5432/db"),
            ("postgres://u@h/db", "postgres://u@h/db"),
            (
                "postgres://h/db?user=u&password=p",
                "postgres://h/db?user=u&password=***",
            ),
            ("mysql://u:p/q@h/db", "mysql://u:***@h/db"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
