//! `database fresh KIND`: makes a fresh database on the server that the tests use and prints its URL; it stays.
//! `database stop`: removes the containers that the tests share.

use std::process::{Command, ExitCode};

use dbmail_testcontainers::{Database, Kind};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["fresh", name] => match Kind::named(name).map(Database::fresh) {
            Some(Ok(database)) => {
                println!("{}", database.keep());
                ExitCode::SUCCESS
            }
            Some(Err(error)) => {
                eprintln!("no database on {name}: {error}");
                ExitCode::FAILURE
            }
            None => {
                eprintln!("there is no {name}: sqlite, postgres, mariadb or mysql");
                ExitCode::from(2)
            }
        },
        ["stop"] => {
            let names = Kind::ALL.map(|kind| format!("dbmail-test-{}", kind.name()));
            let stopped = Command::new("docker")
                .args(["rm", "-f", "-v"])
                .args(&names[1..])
                .status();
            match stopped {
                Ok(status) if status.success() => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        _ => {
            eprintln!("database fresh sqlite|postgres|mariadb|mysql\ndatabase stop");
            ExitCode::from(2)
        }
    }
}
