//! The servers that the tests share, for work by hand: see [`USAGE`].

use std::process::ExitCode;

use dbmail_testcontainers::{Database, Kind, containers};

const USAGE: &str = "usage: database fresh sqlite|postgres|mariadb|mysql
                prints the URL of an empty database, which stays
       database start
                starts a server of each kind; prints variables that name them, for eval
       database list
                names the containers of the tests
       database stop
                removes the containers of the tests with their data, also those in use";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["fresh", name] => fresh(name),
        ["start"] => start(),
        ["list"] => containers::list(),
        ["stop"] => containers::stop(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn fresh(name: &str) -> Result<Vec<String>, String> {
    let kind = Kind::named(name)
        .ok_or_else(|| format!("there is no {name}: sqlite, postgres, mariadb or mysql"))?;
    let url = Database::lasting(kind);
    url.map(|url| vec![url])
        .map_err(|error| format!("no database on {name}: {error}"))
}

/// What can be started is started; to have none of a kind is a failure, which names it.
fn start() -> Result<Vec<String>, String> {
    let mut named = Vec::new();
    let mut failed = Vec::new();
    for (kind, server) in containers::start() {
        match server {
            Ok((variable, url)) => named.push(format!("export {variable}='{url}'")),
            Err(why) => failed.push(format!("no {}: {why}", kind.name())),
        }
    }
    if failed.is_empty() {
        Ok(named)
    } else {
        Err(failed.join("\n"))
    }
}
