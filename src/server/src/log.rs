//! The log: lines on standard error, as text or JSON. What is logged is chosen where it happens; nothing that
//! is logged holds a password or a message's text.

use std::io::{IsTerminal, Write as _};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Longest name of a user, a mailbox or the like in a log line, in characters: a peer chooses it.
const NAME_CHARS_MAX: usize = 100;

/// Starts logging. A second call changes nothing.
pub fn start(log: &Log) {
    // Libraries below us are heard from "warn" on only: their finer levels may show what they carry.
    let level = &log.level;
    let filter = format!("warn,dbmail={level},dbmail_core={level},dbmail_store={level}");
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        // Its complaint about a log that can't be written would end the program by a panic.
        .log_internal_errors(false)
        .with_target(false);
    // Fails when logging was started before, as tests do.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// A line on standard error for the person who gave a command. Nobody there to read it is no failure.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A name that a peer sent, fit for a log line: no control characters, no line ends, not too long.
#[must_use]
pub fn name(sent: &[u8]) -> String {
    let text = String::from_utf8_lossy(sent);
    let mut shown: String = text
        .chars()
        .take(NAME_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_that_a_peer_sent_can_not_forge_a_log_line() {
        assert_eq!(super::name(b"anna@example.test"), "anna@example.test");
        assert_eq!(
            super::name(b"a\r\nERROR b\x1b[1m"),
            "a\\r\\nERROR b\\u{1b}[1m"
        );
        assert!(super::name(&[b'a'; 5000]).len() < 110);
    }
}
