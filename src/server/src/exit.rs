//! How a command ends: one sentence for the person, one number (sysexits) for the script.

use std::fmt;

/// Exit codes. Mail transfer agents understand these of `deliver`: 75 is tried again, the others bounce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// `check` found faults, or could not mend all of them.
    Faults = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The message or another input can't be accepted as it is.
    Data = 65,
    /// An input file is missing or can't be read.
    NoInput = 66,
    /// There is no such user or address, or the user is disabled.
    NoUser = 67,
    /// A port is taken, or something that the command needs is not there.
    Unavailable = 69,
    /// Our own fault.
    Software = 70,
    /// Something can't be made: it exists already, the file can't be created, the quota is full.
    CantCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// Not now; the same command may work later.
    TempFail = 75,
    /// Not permitted without a confirmation that was not given.
    NoPermission = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl Exit {
    /// Every code with its meaning, for the documentation.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (
            Self::Faults,
            "`dbmail check` found faults, or some are left after a repair",
        ),
        (Self::Usage, "the command line is wrong"),
        (
            Self::Data,
            "the message or another input can't be accepted as it is",
        ),
        (Self::NoInput, "an input file is missing or can't be read"),
        (
            Self::NoUser,
            "there is no such user, address or mailbox, or the user is disabled",
        ),
        (
            Self::Unavailable,
            "a port is taken, or the database's schema does not fit",
        ),
        (Self::Software, "a fault of the program"),
        (
            Self::CantCreate,
            "it exists already, can't be created, or the quota is full",
        ),
        (Self::Io, "reading or writing failed"),
        (
            Self::TempFail,
            "not now: the database is busy or away; the same command may work later",
        ),
        (
            Self::NoPermission,
            "a confirmation is needed and was not given",
        ),
        (Self::Config, "the configuration is wrong"),
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What, why, and what to do, in full sentences.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented_in_these_words() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/start.md");
        let page = std::fs::read_to_string(path).unwrap();
        for (exit, meaning) in Exit::ALL {
            let row = format!("| {} | {meaning} |", exit.code());
            assert!(page.contains(&row), "docs/operate/start.md lacks {row}");
        }
    }
}
