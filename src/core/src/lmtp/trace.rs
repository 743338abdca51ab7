//! The trace fields of a final delivery (RFC 5321 §4.4), put before the message as received.

use bytes::Bytes;

use crate::civil::rfc5322_date;
use crate::limits::PREFIX_BYTES_MAX;
use crate::store::Timestamp;

/// What is known of a delivery beside its message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Reverse-path as given, empty for `<>`.
    pub reverse_path: &'a [u8],
    /// This recipient's address as given.
    pub recipient: &'a [u8],
    /// What the peer called itself.
    pub peer_name: &'a [u8],
    /// Where it came from: an address, or how else.
    pub peer_address: &'a str,
    /// This host.
    pub host: &'a str,
    /// `LMTP`, `LMTPS` (RFC 3848); `UTF8LMTP`, `UTF8LMTPS` (RFC 6531 §4.3).
    pub protocol: &'a str,
    /// Names the delivery in the log.
    pub id: &'a str,
    /// When.
    pub received: Timestamp,
}

/// Return-Path, Delivered-To and Received of one recipient, CRLF at every end. At most
/// [`PREFIX_BYTES_MAX`] octets: the grammar bounds each piece.
#[must_use]
pub fn prefix(envelope: &Envelope<'_>) -> Bytes {
    let mut out = Vec::with_capacity(400);
    let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|p| out.extend_from_slice(p));
    put(&[
        b"Return-Path: <",
        envelope.reverse_path,
        b">\r\nDelivered-To: ",
        envelope.recipient,
    ]);
    put(&[
        b"\r\nReceived: from ",
        word(envelope.peer_name),
        b" (",
        envelope.peer_address.as_bytes(),
    ]);
    put(&[
        b")\r\n\tby ",
        envelope.host.as_bytes(),
        b" (DBMail) with ",
        envelope.protocol.as_bytes(),
    ]);
    put(&[
        b" id ",
        envelope.id.as_bytes(),
        b"\r\n\tfor <",
        envelope.recipient,
        b">;\r\n\t",
    ]);
    put(&[rfc5322_date(envelope.received).as_bytes(), b"\r\n"]);
    debug_assert!(out.len() <= PREFIX_BYTES_MAX);
    out.into()
}

/// What a peer calls itself, when that can stand in a Received field: no parenthesis, semicolon or backslash could
/// be taken for structure.
fn word(name: &[u8]) -> &[u8] {
    let plain = |b: &u8| !b"();\\\"<>,".contains(b);
    if !name.is_empty() && name.iter().all(plain) {
        name
    } else {
        b"unknown"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_holds_three_fields() {
        let envelope = Envelope {
            reverse_path: b"sender@example.org",
            recipient: b"anna@example.test",
            peer_name: b"mx.example.test",
            peer_address: "127.0.0.1",
            host: "mail.example.test",
            protocol: "LMTP",
            id: "1abc-2",
            received: Timestamp(784_111_777_000_000),
        };
        let expected = "Return-Path: <sender@example.org>\r\n\
            Delivered-To: anna@example.test\r\n\
            Received: from mx.example.test (127.0.0.1)\r\n\
            \tby mail.example.test (DBMail) with LMTP id 1abc-2\r\n\
            \tfor <anna@example.test>;\r\n\
            \tSun, 6 Nov 1994 08:49:37 +0000\r\n";
        assert_eq!(prefix(&envelope), expected.as_bytes());
        let odd = Envelope {
            peer_name: b"a(b",
            reverse_path: b"",
            ..envelope
        };
        assert!(prefix(&odd).starts_with(b"Return-Path: <>\r\n"));
        assert!(String::from_utf8_lossy(&prefix(&odd)).contains("from unknown (127.0.0.1)"));
    }

    #[test]
    fn the_longest_pieces_stay_within_the_limit() {
        let path = [b'a'; 400];
        let name = [b'b'; 255];
        let long = Envelope {
            reverse_path: &path,
            recipient: &path,
            peer_name: &name,
            peer_address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            host: "a-host-name-of-a-usual-length.example.test",
            protocol: "UTF8LMTPS",
            id: "0123456789abcdef-0123456789",
            received: Timestamp(i64::MAX / 4),
        };
        assert!(prefix(&long).len() <= PREFIX_BYTES_MAX);
    }
}
