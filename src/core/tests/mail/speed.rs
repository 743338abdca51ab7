//! Work and memory are bounded for messages made to cost; and the figures, in release:
//! `cargo test --release -p dbmail-core --test mail speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use dbmail_core::mail::{
    LeafDecoder, Needle, Scanner, TextMatcher, scan, select_fields, write_body_structure,
    write_envelope,
};

/// Smaller where every step is checked and nothing is inlined.
const SCALE: usize = if cfg!(debug_assertions) { 8 } else { 1 };

/// A slice as the store or a connection feeds it.
const SLICE: usize = 64 * 1024;

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn in_slices(message: &[u8]) -> dbmail_core::mail::Scanned {
    let mut scanner = Scanner::new();
    for slice in message.chunks(SLICE) {
        scanner.feed(slice);
        scanner.events().for_each(drop);
    }
    scanner.finish()
}

/// Scans a costly message and asserts that its compact forms fit a row.
fn bounded(name: &str, message: &[u8]) {
    let (scanned, scan) = timed(|| in_slices(message));
    assert_eq!(scanned.size, message.len() as u64, "{name}");
    let (structure, envelope) = (scanned.structure.encode(), scanned.envelope.encode());
    assert!(
        structure.len() + envelope.len() < 1024 * 1024,
        "{name}: {}",
        structure.len()
    );
    let mut out = Vec::new();
    let (written, write) = timed(|| write_body_structure(&structure, true, &mut out));
    written.unwrap();
    eprintln!(
        "{name}: {} bytes in {scan:?}; compact {}; written {} bytes in {write:?}",
        message.len(),
        structure.len(),
        out.len(),
    );
    // A hundred times what it takes here: it catches work that grows with the square.
    assert!(
        scan + write < Duration::from_secs(30),
        "{name} took {scan:?} and {write:?}"
    );
}

#[test]
fn messages_made_to_cost_are_scanned_in_bounded_work() {
    let nested: String = (0..100_000 / SCALE)
        .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"))
        .collect();
    bounded("nested multiparts", nested.as_bytes());
    bounded(
        "nested messages",
        &b"Content-Type: message/rfc822\n\n".repeat(100_000 / SCALE),
    );
    let multipart = "Content-Type: multipart/mixed; boundary=b\n\n";
    bounded(
        "parts",
        format!("{multipart}{}", "--b\n\nx\n".repeat(100_000 / SCALE)).as_bytes(),
    );
    bounded(
        "empty parts",
        format!("{multipart}{}", "--b\n".repeat(800_000 / SCALE)).as_bytes(),
    );
    let typed = "--b\nContent-Type: a/b; c=d\nContent-Disposition: e\n\n";
    bounded(
        "typed parts",
        format!("{multipart}{}", typed.repeat(100_000 / SCALE)).as_bytes(),
    );
    let digest = format!(
        "Content-Type: multipart/digest; boundary=b\n\n{}",
        "--b\n\nTo:,a\n\n".repeat(100_000 / SCALE)
    );
    bounded("digest", digest.as_bytes());

    bounded(
        "folded header",
        &[
            b"Subject: a\n",
            b" folded text\n".repeat(4_000_000 / SCALE).as_slice(),
        ]
        .concat(),
    );
    bounded("short fields", &b"To:a,\n".repeat(8_000_000 / SCALE));
    bounded(
        "header line",
        &[b"Subject: ", vec![b'x'; 50_000_000 / SCALE].as_slice()].concat(),
    );
    bounded(
        "body line",
        &[b"A: b\n\n", vec![b'x'; 100_000_000 / SCALE].as_slice()].concat(),
    );
    bounded("first line", &vec![b'x'; 50_000_000 / SCALE]);

    let boundary = |level: usize| format!("{}{level:03}", "x".repeat(253));
    let deep: String = (0..100)
        .map(|level| {
            format!(
                "Content-Type: multipart/mixed; boundary={}\n\n--{0}\n",
                boundary(level)
            )
        })
        .collect();
    bounded(
        "lines like delimiters",
        format!(
            "{deep}\n{}",
            format!("--{}\n", boundary(999)).repeat(80_000 / SCALE)
        )
        .as_bytes(),
    );
    bounded(
        "dashes",
        format!("{deep}\n{}", "--\n".repeat(8_000_000 / SCALE)).as_bytes(),
    );
    bounded(
        "padding",
        format!(
            "{deep}\n--{}{}",
            boundary(0),
            " ".repeat(50_000_000 / SCALE)
        )
        .as_bytes(),
    );
    let params = format!("Content-Type: a/b{}\n\n", "; c=d".repeat(1_000_000 / SCALE));
    bounded("parameters", params.as_bytes());
    let comment = format!("Content-Type: a/b; {}\n\n", "(".repeat(60_000));
    bounded("comments", comment.as_bytes());
}

/// A message such as clients list: some trace fields, the usual ones, text and HTML.
fn ordinary(number: usize) -> Vec<u8> {
    let trace = format!(
        "Received: from mx{number}.example.org (mx{number}.example.org [192.0.2.{}])\r\n\tby mail.example.com with ESMTPS id {number:08x}\r\n\tfor <user@example.com>; Mon, 23 Nov 2026 10:00:00 +0000\r\n",
        number % 250
    );
    format!(
        "Return-Path: <sender{number}@example.org>\r\n{}DKIM-Signature: v=1; a=rsa-sha256; d=example.org;\r\n\tb={}\r\nFrom: \"Sender Number {number}\" <sender{number}@example.org>\r\n\
         To: User One <user@example.com>, other@example.com\r\nCc: \"Third, Person\" <third@example.net>\r\nSubject: =?utf-8?q?Message_number_{number}?= and more\r\n\
         Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}.abc@example.org>\r\nIn-Reply-To: <{}.abc@example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"----=_Part_{number}\"\r\n\r\n------=_Part_{number}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nhello\r\n\
         ------=_Part_{number}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Disposition: inline\r\n\r\n<p>hello</p>\r\n------=_Part_{number}--\r\n",
        trace.repeat(3),
        "A".repeat(300),
        number.saturating_sub(1)
    )
    .into_bytes()
}

#[test]
#[ignore = "figures, in release"]
fn figures() {
    const MESSAGES: usize = 10_000;
    let messages: Vec<_> = (0..MESSAGES).map(ordinary).collect();
    let (scanned, time) = timed(|| messages.iter().map(|m| scan(m)).collect::<Vec<_>>());
    eprintln!(
        "scan of {MESSAGES} messages of {} bytes: {time:?}",
        messages[0].len()
    );
    let envelopes: Vec<_> = scanned.iter().map(|s| s.envelope.encode()).collect();
    let structures: Vec<_> = scanned.iter().map(|s| s.structure.encode()).collect();
    let names: Vec<Vec<u8>> = ["From", "To", "Cc", "Subject", "Date", "Message-ID"]
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    for _ in 0..2 {
        let mut out = Vec::new();
        let (_, time) = timed(|| {
            envelopes
                .iter()
                .for_each(|e| write_envelope(e, &mut out).unwrap())
        });
        eprintln!(
            "write_envelope: {time:?}, {} bytes from {}",
            out.len(),
            envelopes[0].len()
        );
        out.clear();
        let (_, time) = timed(|| {
            structures
                .iter()
                .for_each(|s| write_body_structure(s, true, &mut out).unwrap())
        });
        eprintln!(
            "write_body_structure: {time:?}, {} bytes from {}",
            out.len(),
            structures[0].len()
        );
        out.clear();
        let headers = messages.iter().zip(&scanned).map(|(m, s)| s.header.of(m));
        let (_, time) = timed(|| headers.for_each(|h| select_fields(h, &names, false, &mut out)));
        eprintln!(
            "select_fields: {time:?}, headers of {} bytes",
            scanned[0].header.len()
        );
    }

    let base64 =
        b"SGVsbG8gd29ybGQsIHRoaXMgaXMgYSBsaW5lIG9mIGJhc2U2NCB0ZXh0IHRoYXQgaXMgbG9uZyBl\r\n";
    let head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let large = [
        head.as_slice(),
        &base64.repeat(100_000_000 / base64.len()),
        b"\r\n--b--\r\n",
    ]
    .concat();
    for _ in 0..3 {
        let (scanned, time) = timed(|| in_slices(&large));
        assert_eq!(scanned.leaves.len(), 1);
        eprintln!(
            "scan of base64: {:.0} MB/s",
            large.len() as f64 / time.as_secs_f64() / 1e6
        );
    }
    let needles = [Needle::new("not in it")];
    let (_, time) = timed(|| {
        let mut matcher = TextMatcher::new(&needles);
        let mut decoder = LeafDecoder::new(b"base64", Some(b"utf-8"));
        for slice in large.chunks(SLICE) {
            matcher.feed(slice, &mut decoder);
        }
        matcher.end_leaf(&mut decoder);
        assert!(!matcher.is_complete());
    });
    eprintln!(
        "search in base64: {:.0} MB/s",
        large.len() as f64 / time.as_secs_f64() / 1e6
    );
}
