//! `dbmail top`

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::print;
use crate::config::{Address, Config};
use crate::exit::{Exit, Failure};
use crate::sessions::{Figures, Report, Session, Step};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(1);
/// A server that does not answer for so long is shown as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer: ten thousand sessions are under 4 MB.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Sessions shown of each server on a terminal; busy ones first.
const SHOWN: usize = 30;
/// Clears the screen from its upper left corner.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What is to be shown.
#[derive(Args, Clone, Debug)]
pub struct Top {
    /// Show it once, with what was done since the servers were started
    #[arg(long)]
    pub once: bool,
    /// As JSON: an object for each server, on a line of its own
    #[arg(long)]
    pub json: bool,
    /// Address of a server's HTTP listener; may be given several times
    #[arg(long = "server", value_name = "IP:PORT")]
    pub servers: Vec<SocketAddr>,
}

/// What is known of one server.
#[derive(Serialize)]
struct Seen {
    server: SocketAddr,
    #[serde(flatten)]
    report: Option<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `dbmail top`
///
/// # Errors
/// When no server answers at first, or output can't be written.
pub async fn top(config: &Config, what: &Top) -> Result<(), Failure> {
    let servers = servers(config, &what.servers)?;
    let clears = !what.once && !what.json && std::io::stdout().is_terminal();
    let mut before: Vec<Seen> = Vec::new();
    let mut next = Instant::now();
    loop {
        let now = look(&servers).await;
        if before.is_empty() && now.iter().all(|seen| seen.report.is_none()) {
            return Err(nobody(&now));
        }
        let mut text = String::from(if clears { CLEAR } else { "" });
        for seen in &now {
            if what.json {
                text.push_str(&line(seen)?);
            } else {
                let earlier = before.iter().find(|b| b.server == seen.server);
                text.push_str(&in_words(seen, earlier.and_then(|b| b.report.as_ref())));
            }
        }
        print(&text)?;
        if what.once {
            return Ok(());
        }
        before = now;
        next = (next + EVERY).max(Instant::now());
        sleep_until(next).await;
    }
}

/// Those that are named, or this machine's.
fn servers(config: &Config, named: &[SocketAddr]) -> Result<Vec<SocketAddr>, Failure> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let own = config.http.listen.iter().find_map(|address| match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) => None,
    });
    let own = own.ok_or_else(|| {
        Failure::new(
            Exit::Config,
            "http.listen is empty, so no server can be asked. Give it an address, or name a server with --server.",
        )
    })?;
    Ok(vec![reachable(own)])
}

/// Who listens on all addresses is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

// --- asking ------------------------------------------------------------------------------------

async fn look(servers: &[SocketAddr]) -> Vec<Seen> {
    let asked: Vec<_> = servers
        .iter()
        .map(|server| (*server, tokio::spawn(ask(*server))))
        .collect();
    let mut all = Vec::with_capacity(asked.len());
    for (server, asked) in asked {
        let answer = asked.await.unwrap_or_else(|why| Err(why.to_string()));
        let (report, error) = match answer {
            Ok(report) => (Some(report), None),
            Err(why) => (None, Some(why)),
        };
        all.push(Seen {
            server,
            report,
            error,
        });
    }
    all
}

async fn ask(server: SocketAddr) -> Result<Report, String> {
    let answer = timeout(PATIENCE, get(server))
        .await
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
        .map_err(|why| why.to_string())?;
    read(&answer)
}

async fn get(server: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET /sessions HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Result<Report, String> {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
    let (head, body) = end
        .and_then(|end| answer.split_at_checked(end + 4))
        .ok_or("it does not speak HTTP")?;
    let head = String::from_utf8_lossy(head);
    match head.split(' ').nth(1) {
        Some("200") => serde_json::from_slice(body)
            .map_err(|_| "its answer is not that of this version of dbmail serve".to_owned()),
        Some("403") => Err("it may not tell this machine (http.sessions)".to_owned()),
        Some("404") => Err("it does not know /sessions: is it an older dbmail serve?".to_owned()),
        _ => Err("its answer is not understood".to_owned()),
    }
}

fn nobody(seen: &[Seen]) -> Failure {
    let why = |seen: &Seen| {
        let why = seen.error.as_deref().unwrap_or_default();
        format!("{}: {why}", seen.server)
    };
    let all: Vec<String> = seen.iter().map(why).collect();
    Failure::new(
        Exit::Unavailable,
        format!(
            "No server can be seen ({}). Start dbmail serve, or name others with --server.",
            all.join("; ")
        ),
    )
}

// --- showing -----------------------------------------------------------------------------------

fn line(seen: &Seen) -> Result<String, Failure> {
    serde_json::to_string(seen)
        .map(|text| text + "\n")
        .map_err(|why| Failure::new(Exit::Software, format!("JSON can't be written: {why}.")))
}

fn in_words(seen: &Seen, before: Option<&Report>) -> String {
    let Some(report) = &seen.report else {
        let why = seen.error.as_deref().unwrap_or_default();
        return format!("{}  away: {}\n\n", seen.server, plain(why));
    };
    let up = age(report.started, report.at);
    let count = report.sessions.len() + report.sessions_left_out;
    let mut text = format!(
        "{}  {}  up {up}  sessions: {count}\n",
        plain(&report.front_end),
        seen.server
    );
    text.push_str(&figures(report, before));
    text.push_str(&table(report));
    text.push('\n');
    text
}

/// Figures for each second: since the last look, or since the start.
fn figures(report: &Report, before: Option<&Report>) -> String {
    // A server that was started again counts anew.
    let before = before.filter(|before| before.started == report.started);
    let none = Figures::default();
    let (since, old) = match before {
        Some(before) => (before.at, &before.figures),
        None => (report.started, &none),
    };
    let new = &report.figures;
    let seconds = report.at.saturating_sub(since).max(1) as f64 / 1e6;
    let rate = |figure: fn(&Figures) -> u64| {
        let more = figure(new).saturating_sub(figure(old));
        shown_rate(more as f64 / seconds)
    };
    let waits = new
        .counter_lock_microseconds
        .saturating_sub(old.counter_lock_microseconds);
    let share = waits as f64 / 1e3 / seconds;
    format!(
        "each second: {} requests, {} statements, {} commits, {} run again; waiting to be written: {}\n\
         counter rows: {} locks, {} ms each second; under way: {}\n\
         news each second: {} told, {} heard, {} looks; lag {} ms\n",
        rate(|f| f.requests),
        rate(|f| f.statements),
        rate(|f| f.commits),
        rate(|f| f.retries),
        new.queued,
        rate(|f| f.counter_locks),
        shown_rate(share),
        new.counter_locks_under_way,
        rate(|f| f.news_told),
        rate(|f| f.news_heard),
        rate(|f| f.news_polls),
        new.news_lag_microseconds / 1_000,
    )
}

fn shown_rate(rate: f64) -> String {
    if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

/// The sessions: those with a command under way first, the longest of them before others.
fn table(report: &Report) -> String {
    if report.sessions.is_empty() {
        return String::new();
    }
    let mut sessions: Vec<&Session> = report.sessions.iter().collect();
    sessions.sort_by_key(|session| {
        let step = session.command.as_ref();
        let idle = step.is_none_or(|step| !step.under_way || step.name == "IDLE");
        (idle, step.map_or(session.since, |step| step.since))
    });
    let mut rows: Vec<[String; 6]> =
        vec![["USER", "CLIENT", "BY", "MAILBOX", "DOES", "FOR"].map(str::to_owned)];
    rows.extend(sessions.iter().take(SHOWN).map(|s| row(s, report.at)));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells.map(|(cell, w)| format!("{cell:w$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    let more = sessions.len().saturating_sub(SHOWN) + report.sessions_left_out;
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    text
}

fn row(session: &Session, now: i64) -> [String; 6] {
    let or_none = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
    let by = if session.tls { " TLS" } else { "" };
    let (does, since) = does(session);
    [
        or_none(&session.user),
        plain(&session.client),
        format!("{}{by}", plain(&session.protocol)),
        or_none(&session.mailbox),
        does,
        age(since, now),
    ]
}

/// What a session does, or did last, and since when.
fn does(session: &Session) -> (String, i64) {
    let Some(Step {
        name,
        since,
        under_way,
    }) = &session.command
    else {
        return ("-".to_owned(), session.since);
    };
    let does = match (&session.request, under_way) {
        (Some(request), true) => format!("{} ({})", plain(name), plain(&request.name)),
        (None, true) => plain(name),
        (Some(_) | None, false) => format!("after {}", plain(name)),
    };
    (does, *since)
}

/// What others sent could move the cursor.
fn plain(text: &str) -> String {
    let letter = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(letter).collect()
}

fn age(since: i64, now: i64) -> String {
    let seconds = now.saturating_sub(since).max(0) / 1_000_000;
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, _, _) => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let step = |name: &str, since, under_way| {
            Some(Step {
                name: name.to_owned(),
                since,
                under_way,
            })
        };
        let session = |connection, user: &str, command, request| Session {
            connection,
            protocol: "imap".to_owned(),
            client: "192.0.2.7:50000".to_owned(),
            tls: true,
            since: 1_000_000,
            user: Some(user.to_owned()),
            mailbox: Some("INBOX".to_owned()),
            command,
            request,
        };
        let report = Report {
            at: 101_000_000,
            started: 1_000_000,
            front_end: "mx1 4242".to_owned(),
            front_end_id: 3,
            figures: Figures {
                requests: 300,
                statements: 1_000,
                commits: 50,
                counter_locks: 100,
                counter_lock_microseconds: 250_000,
                news_told: 7,
                news_lag_microseconds: 11_500,
                ..Figures::default()
            },
            sessions: vec![
                session(1, "anna", step("IDLE", 2_000_000, true), None),
                session(2, "otto\x1b[2J", step("NOOP", 96_000_000, false), None),
                session(
                    3,
                    "zoe",
                    step("UID FETCH", 100_000_000, true),
                    step("fetch", 100_500_000, true),
                ),
            ],
            sessions_left_out: 2,
        };
        Seen {
            server: "127.0.0.1:18080".parse().unwrap(),
            report: Some(report),
            error: None,
        }
    }

    #[test]
    fn a_server_is_shown_with_its_busy_sessions_first_and_no_escapes() {
        insta::assert_snapshot!(in_words(&seen(), None), @"
        mx1 4242  127.0.0.1:18080  up 1 min  sessions: 5
        each second: 3.0 requests, 10 statements, 0.5 commits, 0.0 run again; waiting to be written: 0
        counter rows: 1.0 locks, 2.5 ms each second; under way: 0
        news each second: 0.1 told, 0.0 heard, 0.0 looks; lag 11 ms
        USER      CLIENT           BY        MAILBOX  DOES               FOR
        zoe       192.0.2.7:50000  imap TLS  INBOX    UID FETCH (fetch)  1 s
        anna      192.0.2.7:50000  imap TLS  INBOX    IDLE               1 min
        otto?[2J  192.0.2.7:50000  imap TLS  INBOX    after NOOP         5 s
        and 2 more
        ");
    }

    #[test]
    fn figures_are_of_the_time_between_two_looks_at_the_same_run() {
        let now = seen().report.unwrap();
        let mut before = now.clone();
        before.at -= 2_000_000;
        before.figures.statements -= 50;
        assert!(figures(&now, Some(&before)).contains(" 25 statements, 0.0 commits"));
        before.started += 1;
        assert!(figures(&now, Some(&before)).contains(" 10 statements, 0.5 commits"));
    }

    #[test]
    fn an_answer_is_read_or_said_to_be_none() {
        let json = serde_json::to_string(&seen().report).unwrap();
        let ok = format!("HTTP/1.1 200 OK\r\n\r\n{json}");
        assert_eq!(read(ok.as_bytes()).ok(), seen().report);
        for (answer, why) in [
            ("", "HTTP"),
            ("* OK IMAP\r\n", "HTTP"),
            ("HTTP/1.1 200 OK\r\n\r\n{", "this version"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "http.sessions"),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "older"),
            ("x\r\n\r\n", "not understood"),
        ] {
            let refused = read(answer.as_bytes()).unwrap_err();
            assert!(refused.contains(why), "{answer}: {refused}");
        }
    }

    #[test]
    fn the_server_of_this_machine_is_asked_unless_others_are_named() {
        let mut config = Config::default();
        assert_eq!(servers(&config, &[]).unwrap_err().exit, Exit::Config);
        config.http.listen = vec![Address::Tcp("0.0.0.0:80".parse().unwrap())];
        let own: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(servers(&config, &[]).unwrap(), [own]);
        let other: SocketAddr = "[2001:db8::1]:81".parse().unwrap();
        assert_eq!(servers(&config, &[other]).unwrap(), [other]);
        assert_eq!(
            reachable("[::]:82".parse().unwrap()).to_string(),
            "[::1]:82"
        );
    }

    #[test]
    fn an_age_is_shown_in_its_largest_unit() {
        let shown = |seconds: i64| age(0, seconds * 1_000_000);
        assert_eq!(
            [0, 59, 60, 3_599].map(shown),
            ["0 s", "59 s", "1 min", "59 min"]
        );
        assert_eq!([3_600, 86_400].map(shown), ["1 h", "1 d"]);
        assert_eq!(age(5, 0), "0 s", "two clocks");
    }
}
