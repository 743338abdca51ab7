//! Every reply of the session, with its enhanced status code (RFC 3463, registry of RFC 5248).

/// A reply of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// `250`
    pub(super) code: &'static str,
    /// `2.1.0`; empty where RFC 2034 §3 allows none (greeting, LHLO, 354).
    pub(super) enhanced: &'static str,
    /// What a postmaster reads in a log or bounce.
    pub(super) text: &'static str,
}

impl Reply {
    const fn new(code: &'static str, enhanced: &'static str, text: &'static str) -> Self {
        Self {
            code,
            enhanced,
            text,
        }
    }

    /// Whether it accepts.
    pub(super) fn is_positive(&self) -> bool {
        self.code.starts_with(['2', '3'])
    }
}

pub(super) const SENDER_OK: Reply = Reply::new("250", "2.1.0", "Sender OK");
pub(super) const RECIPIENT_OK: Reply = Reply::new("250", "2.1.5", "Recipient OK");
pub(super) const RESET: Reply = Reply::new("250", "2.0.0", "Reset");
pub(super) const NOOP: Reply = Reply::new("250", "2.0.0", "OK");
pub(super) const CHUNK_OK: Reply = Reply::new("250", "2.0.0", "Octets received");
pub(super) const DELIVERED: Reply = Reply::new("250", "2.0.0", "Delivered");
pub(super) const REPEATED: Reply = Reply::new("250", "2.0.0", "Delivered before; not stored again");
pub(super) const BYE: Reply = Reply::new("221", "2.0.0", "Bye");
pub(super) const GO_AHEAD_TLS: Reply = Reply::new("220", "2.0.0", "Ready to start TLS");
pub(super) const GO_AHEAD_DATA: Reply =
    Reply::new("354", "", "Send the message; end with CRLF.CRLF");
pub(super) const VRFY: Reply = Reply::new(
    "252",
    "2.5.0",
    "Not verified; RCPT tells whether the address takes mail",
);
pub(super) const HELP: Reply = Reply::new(
    "214",
    "2.0.0",
    "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS QUIT; see RFC 2033",
);

pub(super) const UNKNOWN_COMMAND: Reply = Reply::new("500", "5.5.1", "No such command");
pub(super) const NOT_LMTP: Reply = Reply::new("500", "5.5.1", "This is LMTP: say LHLO");
pub(super) const BAD_LINE: Reply =
    Reply::new("500", "5.5.2", "The line holds a bare CR, bare LF or NUL");
pub(super) const LONG_LINE: Reply = Reply::new("500", "5.5.2", "The line is too long");
pub(super) const BAD_ARGUMENT: Reply = Reply::new("501", "5.5.4", "Wrong arguments");
pub(super) const LHLO_FIRST: Reply = Reply::new("503", "5.5.1", "Say LHLO first");
pub(super) const MAIL_FIRST: Reply = Reply::new("503", "5.5.1", "Say MAIL first");
pub(super) const MAIL_TWICE: Reply = Reply::new("503", "5.5.1", "A transaction is under way");
pub(super) const NO_RECIPIENTS: Reply = Reply::new("503", "5.5.1", "No valid recipients");
pub(super) const DATA_IN_CHUNKS: Reply = Reply::new(
    "503",
    "5.5.1",
    "Chunks were sent, or BODY=BINARYMIME: go on with BDAT or RSET",
);
pub(super) const CHUNK_FAILED: Reply =
    Reply::new("503", "5.5.1", "An earlier chunk was refused: send RSET");
pub(super) const TLS_ALREADY: Reply = Reply::new("503", "5.5.1", "TLS is in place already");
pub(super) const NO_TLS: Reply = Reply::new("502", "5.5.1", "No TLS here: no certificate is set");
pub(super) const BAD_PARAMETER: Reply = Reply::new(
    "555",
    "5.5.4",
    "A parameter is unknown, twice there, or has a wrong value",
);
pub(super) const NOT_ASCII: Reply = Reply::new(
    "553",
    "5.6.7",
    "An address with non-ASCII characters needs SMTPUTF8",
);
pub(super) const TOO_LARGE: Reply = Reply::new(
    "552",
    "5.3.4",
    "The message is larger than this server takes",
);
pub(super) const UNKNOWN_USER: Reply = Reply::new("550", "5.1.1", "No such user here");
pub(super) const DISABLED_USER: Reply = Reply::new("550", "5.2.1", "The mailbox is disabled");
pub(super) const OVER_QUOTA: Reply = Reply::new("552", "5.2.2", "The mailbox is full");
pub(super) const TOO_MANY_RECIPIENTS: Reply = Reply::new(
    "452",
    "4.5.3",
    "Too many recipients: send the others in another transaction",
);
pub(super) const UNAVAILABLE: Reply = Reply::new(
    "451",
    "4.3.0",
    "The store can't be reached now; try again later",
);
pub(super) const TIMED_OUT: Reply = Reply::new("421", "4.4.2", "Nothing heard for too long");
pub(super) const STOPPING: Reply = Reply::new("421", "4.3.2", "The server is stopping");
pub(super) const TOO_MANY_ERRORS: Reply = Reply::new("421", "4.7.0", "Too many errors");
