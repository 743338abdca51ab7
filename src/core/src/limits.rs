//! Every budget of the core, with the reason for its value (promise 4 of the design).
//!
//! A limit that a peer can meet has an error of its own; none is enforced silently.

/// Longest command line before login, in octets: LOGIN with two generous literals fits.
pub const LINE_BYTES_BEFORE_LOGIN_MAX: usize = 4 * 1024;
/// Longest command (all its lines and inline literals) after login, in octets. RFC 7162 §4 asks
/// for at least 8,192 for a line; long UID sets and searches of real clients stay under this.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Largest literal kept inside a command before login, in octets (a user name or password).
pub const LITERAL_BYTES_BEFORE_LOGIN_MAX: u64 = 1024;
/// Largest literal kept inside a command after login, in octets. Only APPEND's message is longer,
/// and that passes by as a stream.
pub const LITERAL_BYTES_MAX: u64 = 32 * 1024;
/// Most literals in one command: no client needs more, each costs a continuation.
pub const LITERALS_MAX: usize = 64;
/// Deepest nesting of parentheses in a command (SEARCH, FETCH): the parser recurses so far.
pub const NESTING_MAX: usize = 32;
/// Most SEARCH keys in one command, so that a search costs a bounded walk for each message.
pub const SEARCH_KEYS_MAX: usize = 256;
/// Most patterns of one LIST: a client names its few special folders, and each costs a walk over every name.
pub const LIST_PATTERNS_MAX: usize = 32;
/// Most items of one FETCH: real clients ask for a dozen, each costs octets in every message's answer.
pub const FETCH_ITEMS_MAX: usize = 256;
/// Wrong passwords after which the connection is closed: whoever guesses pays for a new connection.
pub const LOGIN_FAILURES_MAX: u32 = 3;
/// Octets of a header in which HEADER.FIELDS and SEARCH HEADER look for fields; a longer one is answered NO [LIMIT].
pub const HEADER_LOOK_BYTES_MAX: u64 = 1024 * 1024;
/// Most messages of a FETCH of parts whose octets are read part by part rather than with the page: it costs a request for each.
pub const FETCH_BY_PART_MESSAGES_MAX: u32 = 4;
/// Most ranges in one sequence set of a command.
pub const SEQUENCE_RANGES_MAX: usize = 16 * 1024;
/// Commands in a row that do not parse before the connection is closed: past this it is no client.
pub const BAD_COMMANDS_MAX: u32 = 20;
/// Octets of a command or line past its limits that are read before login to find its end and answer it; then the connection is closed. A client
/// that is only wrong (a password pasted twice) stays far below it, and nobody else is known yet.
pub const EXCESS_BYTES_BEFORE_LOGIN_MAX: u64 = 64 * 1024;
/// The same after login: a UID set that grew with its mailbox is answered BAD, what has no end is not read for ever.
pub const EXCESS_BYTES_MAX: u64 = 1024 * 1024;
/// Largest message accepted by APPEND and LMTP unless configured otherwise, in octets.
pub const MESSAGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Octets that a session holds ready for its peer before it stops producing more.
pub const OUTPUT_BYTES_HIGH: usize = 64 * 1024;
/// Rows of one page of a FETCH answer when the rows are narrow (STORAGE 9 says 5,000: a session holds the page that it writes
/// and the one after it).
pub const PAGE_ROWS_MAX: usize = 2_500;
/// Octets of one page of a FETCH answer; two of them are what is read ahead for a client that may be slow.
pub const PAGE_BYTES_MAX: u64 = 512 * 1024;
/// Largest content that comes inside a page; a larger one is read in slices as the peer takes it.
pub const INLINE_CONTENT_BYTES_MAX: u64 = 512 * 1024;
/// Octets of one slice of stored content asked for at a time.
pub const READ_BYTES_MAX: u64 = 256 * 1024;
/// Octets of one slice of an upload, and how many may be under way unacknowledged.
pub const STAGE_SLICE_BYTES_MAX: usize = 64 * 1024;
/// Octets of an upload that may be handed to the shell and not be acknowledged yet.
pub const STAGE_AHEAD_BYTES_MAX: u64 = 512 * 1024;
/// Most log entries in one answer to `Changes`.
pub const CHANGES_MAX: usize = 1_000;
/// How long a message that left its mailbox may still be fetched by sessions that were not told yet, in seconds (STORAGE 12).
pub const GONE_SECONDS: u64 = 60 * 60;
/// Messages that left their mailbox are not purged before so many seconds: the time above, and five minutes for clocks of
/// front-ends that differ.
pub const GONE_KEPT_SECONDS_MIN: u64 = GONE_SECONDS + 5 * 60;
/// Rows of the logs are not purged before so many seconds: whoever was away for a night goes on where it stopped.
pub const LOG_KEPT_SECONDS_MIN: u64 = 24 * 60 * 60;
/// Messages brought back in one transaction: it holds the lock of their mailbox, and what comes meanwhile waits.
pub const UNDELETE_MESSAGES_MAX: usize = 500;
/// Time without a command before login after which the connection is closed, in seconds.
pub const LOGIN_SECONDS_MAX: u64 = 60;
/// Time without a command after login (RFC 9051 §5.4: at least 30 minutes), in seconds.
pub const IDLE_SECONDS_MAX: u64 = 30 * 60;
/// Time without a command on an LMTP connection, in seconds (RFC 5321 §4.5.3.2: 5 minutes).
pub const LMTP_SECONDS_MAX: u64 = 5 * 60;
/// Most recipients of one LMTP transaction (RFC 5321 §4.5.3.1.8 asks for at least 100).
pub const RECIPIENTS_MAX: usize = 1_000;
/// Trace fields of one recipient (STORAGE 15), in octets.
pub const PREFIX_BYTES_MAX: usize = 2 * 1024;
/// Keywords in one mailbox (STORAGE 14): more is answered NO [LIMIT].
pub const KEYWORDS_MAX: usize = 1_000;
/// Longest keyword, in octets.
pub const KEYWORD_BYTES_MAX: usize = 255;
/// Deepest mailbox name (STORAGE 19).
pub const MAILBOX_DEPTH_MAX: usize = 20;
/// Longest level of a mailbox name in octets of UTF-8 (STORAGE 19).
pub const MAILBOX_LEVEL_BYTES_MAX: usize = 255;
/// Most mailboxes of one account; more is answered NO [LIMIT].
pub const MAILBOXES_MAX: usize = 10_000;
/// Octets of a message's top-level header that are kept beside it (STORAGE 16). A longer one is read from the content.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Leaf bodies from this size on are stored once, as parts (STORAGE 16); smaller ones stay inline.
pub const PART_BYTES_MIN: u64 = 16 * 1024;
/// Octets of a part in one chunk, before compression (STORAGE 16).
pub const CHUNK_BYTES: usize = 512 * 1024;
/// Content up to this size is written in the transaction that links it (STORAGE 1).
pub const INLINE_UPLOAD_BYTES_MAX: usize = 256 * 1024;
/// Longest LMTP command line in octets, CRLF included: RFC 5321 §4.5.3.1.4 asks for 512, parameters and UTF-8 add to it.
pub const LMTP_LINE_BYTES_MAX: usize = 2 * 1024;
/// Deepest nesting of parts that is taken apart: ten times what people send; deeper containers are opaque parts.
pub const MIME_DEPTH_MAX: usize = 100;
/// Most parts of a message that are told apart: the last one takes all that follows. With the next limit it keeps the compact
/// structure under the 1 MiB of a row (ARCHITECTURE §5).
pub const MIME_PARTS_MAX: usize = 10_000;
/// Octets of the part headers of one message that are looked at, counting only fields that ENVELOPE and BODYSTRUCTURE show.
pub const MIME_HEADER_BYTES_MAX: usize = 256 * 1024;
/// Longest boundary of a multipart, in octets (RFC 2046 §5.1.1 allows 70): a multipart with a longer one is not taken apart.
pub const BOUNDARY_BYTES_MAX: usize = 256;
/// Longest line that can be a delimiter, in octets (RFC 5322 §2.1.1: 998 and CRLF): so much is held back until it is known.
pub const DELIMITER_LINE_BYTES_MAX: usize = 1_000;
