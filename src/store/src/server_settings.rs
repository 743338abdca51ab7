//! What a database server is and how it is set: versions that are too old are refused, and what makes an acknowledged
//! change unsafe is said at start.

use std::collections::BTreeMap;

use crate::driver::{Connection, Failure};
use crate::settings::OpenError;
use crate::sql::{Dialect, Sql};

/// Oldest versions that have what the statements need.
const POSTGRES_MIN: u64 = 13;
const MYSQL_MIN: (u64, u64) = (8, 0);
const MARIADB_MIN: (u64, u64) = (10, 6);

/// Settings by name, in lower case.
pub(crate) async fn read<C: Connection>(
    connection: &mut C,
) -> Result<BTreeMap<String, String>, Failure> {
    let statement = Sql::ServerSettings.rendered(connection.dialect());
    let mut rows = connection.query(statement, &[], u64::MAX).await?;
    rows.each()
        .map(|mut row| Ok((row.text(0)?.to_lowercase(), row.text(1)?)))
        .collect()
}

/// What is to be said of the settings at start.
///
/// # Errors
/// `Server` when it can't be used so.
pub(crate) fn judge(
    dialect: Dialect,
    settings: &BTreeMap<String, String>,
) -> Result<Vec<String>, OpenError> {
    let value = |name: &str| settings.get(name).map(String::as_str);
    let mut warnings = Vec::new();
    let mut safe = |name: &str, good: &[&str], loses: &str| {
        if let Some(value) = value(name)
            && !good.iter().any(|good| value.eq_ignore_ascii_case(good))
        {
            warnings.push(format!(
                "the database server has {name} = {value}: {loses} may lose mail that was acknowledged; set it to {}",
                good.join(" or ")
            ));
        }
    };
    match dialect {
        Dialect::Sqlite => {}
        Dialect::Postgres => {
            let number = value("server_version_num").and_then(|n| n.parse::<u64>().ok());
            let version = number.unwrap_or(0) / 10_000;
            if version < POSTGRES_MIN {
                return Err(OpenError::Server(format!(
                    "it is PostgreSQL {version}; {POSTGRES_MIN} or later is needed"
                )));
            }
            safe("fsync", &["on"], "a crash of the machine");
            safe("full_page_writes", &["on"], "a crash of the machine");
            let waits = ["on", "local", "remote_write", "remote_apply"];
            safe("synchronous_commit", &waits, "a crash of the server");
        }
        Dialect::MySql => {
            let version = value("version").unwrap_or_default();
            let (name, least) = if version.contains("MariaDB") {
                ("MariaDB", MARIADB_MIN)
            } else {
                ("MySQL", MYSQL_MIN)
            };
            let mut numbers = version
                .split(['.', '-'])
                .map(|n| n.parse::<u64>().unwrap_or(0));
            let have = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            if have < least {
                return Err(OpenError::Server(format!(
                    "it is {name} {version}; {}.{} or later is needed",
                    least.0, least.1
                )));
            }
            if value("log_bin").is_some_and(|on| on.eq_ignore_ascii_case("on")) {
                if let Some(format) = value("binlog_format")
                    && !format.eq_ignore_ascii_case("row")
                {
                    return Err(OpenError::Server(format!(
                        "its binary log is in {format} format, which does not go with READ COMMITTED; set binlog_format = ROW"
                    )));
                }
                safe("sync_binlog", &["1"], "a crash of the machine");
            }
            safe("innodb_flush_log_at_trx_commit", &["1"], "a crash");
            safe("innodb_doublewrite", &["on", "1"], "a crash of the machine");
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(dialect: Dialect, settings: &[(&str, &str)]) -> Result<Vec<String>, OpenError> {
        let settings = settings
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        judge(dialect, &settings.collect())
    }

    #[test]
    fn a_server_that_is_too_old_is_refused() {
        let postgres = |n| said(Dialect::Postgres, &[("server_version_num", n)]);
        assert_eq!(postgres("130002"), Ok(Vec::new()));
        assert!(
            postgres("120019")
                .unwrap_err()
                .to_string()
                .contains("PostgreSQL 12")
        );
        let mysql = |v| said(Dialect::MySql, &[("version", v)]);
        assert_eq!(mysql("8.0.36"), Ok(Vec::new()));
        assert_eq!(mysql("11.8.3-MariaDB-0+deb13u1"), Ok(Vec::new()));
        assert!(mysql("5.7.44").is_err());
        assert!(
            mysql("10.5.9-MariaDB")
                .unwrap_err()
                .to_string()
                .contains("10.6")
        );
    }

    #[test]
    fn what_makes_a_commit_unsafe_is_said() {
        let postgres = [
            ("server_version_num", "170001"),
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "on"),
        ];
        let warnings = said(Dialect::Postgres, &postgres).unwrap();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("fsync = off"), "{warnings:?}");
        let mysql = [
            ("version", "9.7.0"),
            ("innodb_flush_log_at_trx_commit", "2"),
            ("log_bin", "ON"),
            ("sync_binlog", "0"),
        ];
        assert_eq!(said(Dialect::MySql, &mysql).unwrap().len(), 2);
        let statements = [
            ("version", "9.7.0"),
            ("log_bin", "ON"),
            ("binlog_format", "MIXED"),
        ];
        assert!(said(Dialect::MySql, &statements).is_err());
        // Without a binary log its settings do not matter.
        let none = [
            ("version", "9.7.0"),
            ("log_bin", "OFF"),
            ("sync_binlog", "0"),
        ];
        assert_eq!(said(Dialect::MySql, &none), Ok(Vec::new()));
    }
}
