//! Known answers of the scanner; its laws are in `tests/mail`.

use super::*;
use crate::mail::write_body_structure;

fn body_structure(message: &[u8]) -> String {
    let mut out = Vec::new();
    write_body_structure(&scan(message).structure.encode(), false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The bodies of all leaves.
fn leaves(message: &str) -> Vec<&str> {
    let of = |span: &Span| std::str::from_utf8(span.of(message.as_bytes())).unwrap();
    scan(message.as_bytes()).leaves.iter().map(of).collect()
}

fn multipart(body: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\n\n{body}")
}

#[test]
fn the_line_end_before_a_delimiter_belongs_to_the_delimiter() {
    assert_eq!(
        leaves(&multipart("pre\n--b\n\none\n\n--b\n\ntwo\n--b--\npost\n")),
        ["one\n", "two"]
    );
    let crlf = multipart("--b\n\none\n\n--b\nA: b\n\ntwo\n--b--").replace('\n', "\r\n");
    assert_eq!(leaves(&crlf), ["one\r\n", "two"]);
}

#[test]
fn a_header_keeps_its_blank_line_before_a_delimiter() {
    assert_eq!(
        leaves(&multipart("--b\nA: b\n\n--b\nA: b\n--b\n--b--\n")),
        ["", "", ""]
    );
    let message = multipart("--b\nA: b\n\n--b--\n");
    let scanned = scan(message.as_bytes());
    assert_eq!(
        scanned.structure.nodes()[1].header.of(message.as_bytes()),
        b"A: b\n\n"
    );
}

#[test]
fn a_boundary_may_begin_like_another() {
    let inner = "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n";
    assert_eq!(
        leaves(&multipart(&format!("--b\n{inner}--b\n\ntwo\n--b--\n"))),
        ["one", "two"]
    );
    assert_eq!(
        leaves(&multipart("--b\n\none\n--bx\n--b x\n--b \t\n\ntwo")),
        ["one\n--bx\n--b x", "two"]
    );
}

#[test]
fn an_outer_delimiter_ends_what_was_left_open() {
    let inner = "Content-Type: multipart/mixed; boundary=i\n\n--i\n\none\n";
    assert_eq!(
        leaves(&multipart(&format!("--b\n{inner}--b\n\ntwo\n--i\n"))),
        ["one", "two\n--i\n"]
    );
    assert_eq!(
        leaves(&multipart("--b\nContent-Type: message/rfc822\n--b\n\ntwo")),
        ["", "two"]
    );
}

#[test]
fn a_first_line_that_is_no_field_begins_the_body() {
    assert_eq!(
        leaves("no header here\nA: b\n\nx"),
        ["no header here\nA: b\n\nx"]
    );
    assert_eq!(leaves("From x Mon Sep 17\nA: b\n\nx"), ["x"]);
    assert_eq!(
        leaves(&multipart("--b\nhello world\n--b--\n")),
        ["hello world"]
    );
    assert_eq!(leaves("A: b\nno field\nC: d"), [""]);
    assert_eq!(leaves(""), [""]);
}

#[test]
fn a_multipart_that_can_not_be_taken_apart_is_shown_as_text() {
    let text = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 4 1)";
    assert_eq!(body_structure(b"Content-Type: multipart/x\n\none\n"), text);
    assert_eq!(
        body_structure(b"Content-Type: multipart/x; boundary=b\n\none\n"),
        format!("({text} \"x\")")
    );
}

#[test]
fn an_encoded_message_is_a_leaf_and_the_parts_of_a_digest_are_messages() {
    let encoded = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgo=\n";
    assert_eq!(
        body_structure(encoded),
        "(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"base64\" 9)"
    );
    let digest = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: s\n\nx\n--b--\n";
    assert_eq!(
        body_structure(digest.as_bytes()),
        "((\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 13 \
         (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) \
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 0) 2) \"digest\")"
    );
}

#[test]
fn past_the_depth_limit_a_container_is_opaque() {
    let message = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let scanned = scan(message.as_bytes());
    assert_eq!(scanned.structure.nodes().len(), MIME_DEPTH_MAX);
    assert_eq!(
        scanned.structure.nodes().last().unwrap().content.media,
        b"APPLICATION"
    );
    assert_eq!(scanned.leaves.len(), 1);
    assert_eq!(scanned.leaves[0].end, scanned.size);
}

#[test]
fn past_the_part_limit_the_last_part_takes_the_rest() {
    let message = multipart(&"--b\n\n".repeat(100_000));
    let scanned = scan(message.as_bytes());
    assert_eq!(scanned.structure.nodes().len(), MIME_PARTS_MAX);
    assert_eq!(scanned.leaves.last().unwrap().end, scanned.size);
    assert_eq!(
        scanned.structure.nodes().last().unwrap().content.media,
        b"APPLICATION"
    );
}

#[test]
fn past_the_header_limit_the_part_takes_the_rest() {
    let part = format!("--b\nContent-Description: {}\n\n", "x".repeat(60_000));
    let scanned = scan(multipart(&part.repeat(10)).as_bytes());
    assert_eq!(scanned.leaves.len(), 5);
    assert_eq!(scanned.leaves[4].end, scanned.size);
}
