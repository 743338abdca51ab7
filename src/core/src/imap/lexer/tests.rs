use proptest::prelude::*;

use super::*;

/// What a session would see, with streamed octets joined.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Literal(Vec<u8>, Literal),
    Stream(Vec<u8>),
    Command(Vec<u8>),
    Line(Vec<u8>),
    Bad(Option<Bytes>, LexError),
    Refused(LexError),
}

/// What the session does with an announcement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Accept,
    Stream,
    Refuse,
}

fn answer(lexer: &mut Lexer, answer: Answer, seen: &mut Vec<Seen>) {
    match answer {
        Answer::Accept => {
            if let Err(error) = lexer.accept_literal() {
                seen.push(Seen::Refused(error));
            }
        }
        Answer::Stream => lexer.stream_literal(),
        Answer::Refuse => lexer.refuse_literal(),
    }
}

/// Feeds the pieces one after the other. `raw`: the first line is asked for as a raw one.
fn run(lexer: &mut Lexer, pieces: &[&[u8]], with: Answer) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (taken, lexed) = lexer.feed(rest);
            rest = &rest[taken..];
            match lexed {
                Lexed::NeedMore => assert!(rest.is_empty()),
                Lexed::Literal { so_far, announced } => {
                    seen.push(Seen::Literal(so_far.to_vec(), announced));
                    answer(lexer, with, &mut seen);
                }
                Lexed::Stream { bytes, .. } => match seen.last_mut() {
                    Some(Seen::Stream(octets)) => octets.extend_from_slice(bytes),
                    _ => seen.push(Seen::Stream(bytes.to_vec())),
                },
                Lexed::Command(text) => seen.push(Seen::Command(text.to_vec())),
                Lexed::Line(text) => seen.push(Seen::Line(text.to_vec())),
                Lexed::Bad { tag, error } => seen.push(Seen::Bad(tag, error)),
            }
        }
    }
    seen
}

fn lex(input: &[u8], with: Answer) -> Vec<Seen> {
    let mut lexer = Lexer::new();
    lexer.set_authenticated(true);
    run(&mut lexer, &[input], with)
}

fn literal(size: u64) -> Literal {
    Literal {
        size,
        non_sync: false,
        literal8: false,
    }
}
fn non_sync(size: u64) -> Literal {
    Literal {
        size,
        non_sync: true,
        literal8: false,
    }
}
fn command(text: &str) -> Seen {
    Seen::Command(text.as_bytes().to_vec())
}
fn bad(tag: &'static str, error: LexError) -> Seen {
    Seen::Bad((!tag.is_empty()).then(|| Bytes::from(tag)), error)
}

#[test]
fn lines_are_commands_and_pipelined_ones_come_one_by_one() {
    let seen = lex(b"a NOOP\r\nb NOOP\n\r\nc NO", Answer::Accept);
    assert_eq!(seen, [command("a NOOP"), command("b NOOP"), command("")]);
}

#[test]
fn an_accepted_literal_is_in_the_command_after_its_announcement() {
    let seen = lex(b"a LOGIN {3}\r\nx\ry {1+}\n{\r\n", Answer::Accept);
    let expected = [
        Seen::Literal(b"a LOGIN ".to_vec(), literal(3)),
        Seen::Literal(b"a LOGIN {3}\r\nx\ry ".to_vec(), non_sync(1)),
        command("a LOGIN {3}\r\nx\ry {1+}\r\n{"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_streamed_literal_is_in_the_command_as_its_announcement_only() {
    let seen = lex(
        b"a APPEND x ~{5}\r\n1\r\n\x002\r\nb NOOP\r\n",
        Answer::Stream,
    );
    let announced = Literal {
        size: 5,
        non_sync: false,
        literal8: true,
    };
    let expected = [
        Seen::Literal(b"a APPEND x ".to_vec(), announced),
        Seen::Stream(b"1\r\n\x002".to_vec()),
        command("a APPEND x ~{5}\r\n"),
        command("b NOOP"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_stream_says_how_much_is_left_and_a_command_may_go_on_after_it() {
    let mut lexer = Lexer::new();
    assert!(matches!(
        lexer.feed(b"a X {4}\r\nabcd"),
        (9, Lexed::Literal { .. })
    ));
    assert_eq!(lexer.feed(b"abcd"), (0, Lexed::NeedMore), "not decided");
    lexer.stream_literal();
    assert_eq!(
        lexer.feed(b"abc"),
        (
            3,
            Lexed::Stream {
                bytes: b"abc",
                left: 1
            }
        )
    );
    assert_eq!(
        lexer.feed(b"d y\r\n"),
        (
            1,
            Lexed::Stream {
                bytes: b"d",
                left: 0
            }
        )
    );
    assert_eq!(lexer.feed(b" y\r\n"), (4, Lexed::Command(b"a X {4}\r\n y")));
}

#[test]
fn a_literal_of_no_octets_is_no_stream() {
    let seen = lex(b"a APPEND x {0+}\r\n\r\n", Answer::Stream);
    let announced = Seen::Literal(b"a APPEND x ".to_vec(), non_sync(0));
    assert_eq!(seen, [announced, command("a APPEND x {0+}\r\n")]);
}

#[test]
fn after_a_refused_literal_the_next_command_is_found() {
    let seen = lex(b"a X {9}\r\nb NOOP\r\n", Answer::Refuse);
    assert_eq!(
        seen,
        [
            Seen::Literal(b"a X ".to_vec(), literal(9)),
            command("b NOOP")
        ]
    );
    // Not synchronising: octets, a further literal, and the rest of the line belong to the refused one.
    let seen = lex(
        b"a X {9+}\r\nx NOOP\r\n. {2+}\r\n\r\n \r\nb NOOP\r\n",
        Answer::Refuse,
    );
    assert_eq!(
        seen,
        [
            Seen::Literal(b"a X ".to_vec(), non_sync(9)),
            command("b NOOP")
        ]
    );
    let seen = lex(b"a X {1+}\r\nx {7}\r\nb NOOP\r\n", Answer::Refuse);
    assert_eq!(
        seen,
        [
            Seen::Literal(b"a X ".to_vec(), non_sync(1)),
            command("b NOOP")
        ]
    );
}

#[test]
fn what_no_line_can_hold_makes_one_command_bad() {
    for (input, error) in [
        (&b"a NO\0OP\r\nb NOOP\r\n"[..], LexError::Nul),
        (b"a NO\rOP\r\nb NOOP\r\n", LexError::BareCr),
        (b"a NOOP\r\r\nb NOOP\r\n", LexError::BareCr),
        (b"a X {3+}\r\nx\0y z\r\nb NOOP\r\n", LexError::Nul),
        (b"a \0 {3+}\r\n\r\n. z\r\nb NOOP\r\n", LexError::Nul),
        (
            b"a X {9223372036854775808}\r\nb NOOP\r\n",
            LexError::LiteralTooLong,
        ),
        (
            b"a X {99999999999999999999}\r\nb NOOP\r\n",
            LexError::LiteralTooLong,
        ),
    ] {
        let mut seen = lex(input, Answer::Accept);
        seen.retain(|seen| !matches!(seen, Seen::Literal(..)));
        assert_eq!(
            seen,
            [bad("a", error), command("b NOOP")],
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn a_literal_needs_a_tag_before_it() {
    for input in [
        &b"{3}\r\nb NOOP\r\n"[..],
        b" {3}\r\nb NOOP\r\n",
        b"+ {1+}\r\n\n x\r\nb NOOP\r\n",
    ] {
        let seen = lex(input, Answer::Accept);
        assert_eq!(seen, [bad("", LexError::NoTag), command("b NOOP")]);
    }
}

#[test]
fn what_only_looks_like_an_announcement_is_text() {
    for text in [
        "a {}", "a {x}", "a {1}x", "a {-1}", "a {1 }", "a 1}", "a {1+}+", "a }",
    ] {
        let seen = lex(format!("{text}\r\n").as_bytes(), Answer::Accept);
        assert_eq!(seen, [command(text)]);
    }
}

#[test]
fn a_command_may_be_as_long_as_its_limit_and_no_longer() {
    for (authenticated, max) in [
        (true, COMMAND_BYTES_MAX),
        (false, LINE_BYTES_BEFORE_LOGIN_MAX),
    ] {
        for (size, fits) in [(max, true), (max + 1, false)] {
            let mut lexer = Lexer::new();
            lexer.set_authenticated(authenticated);
            let line = format!("a {}", "x".repeat(size - 2));
            let seen = run(
                &mut lexer,
                &[line.as_bytes(), b"\r\nb NOOP\r\n"],
                Answer::Accept,
            );
            let first = if fits {
                command(&line)
            } else {
                bad("a", LexError::CommandTooLong)
            };
            assert_eq!(seen, [first, command("b NOOP")]);
        }
    }
}

#[test]
fn the_literals_of_a_command_that_is_too_long_are_skipped() {
    let long = "x".repeat(COMMAND_BYTES_MAX);
    let input = format!("a {long} {{4+}}\r\n\r\n\r\n y\r\nb NOOP\r\n");
    let seen = lex(input.as_bytes(), Answer::Accept);
    assert_eq!(
        seen,
        [bad("a", LexError::CommandTooLong), command("b NOOP")]
    );
    let input = format!("a {long} {{4}}\r\nb NOOP\r\n");
    let seen = lex(input.as_bytes(), Answer::Accept);
    assert_eq!(
        seen,
        [bad("a", LexError::CommandTooLong), command("b NOOP")]
    );
}

#[test]
fn a_literal_may_be_as_long_as_its_limit_and_no_longer() {
    for (authenticated, max) in [
        (true, LITERAL_BYTES_MAX),
        (false, LITERAL_BYTES_BEFORE_LOGIN_MAX),
    ] {
        for (size, fits) in [(max, true), (max + 1, false)] {
            let mut lexer = Lexer::new();
            lexer.set_authenticated(authenticated);
            let input = format!("a X {{{size}}}\r\n");
            lexer.feed(input.as_bytes());
            let accepted = lexer.accept_literal();
            assert_eq!(
                accepted,
                if fits {
                    Ok(())
                } else {
                    Err(LexError::LiteralTooLong)
                }
            );
            assert_eq!(lexer.is_between_commands(), !fits);
        }
    }
}

#[test]
fn the_literals_of_a_command_count_into_its_length_and_have_a_number() {
    let mut input = b"a X".to_vec();
    for _ in 0..3 {
        input.extend_from_slice(format!(" {{{LITERAL_BYTES_MAX}+}}\r\n").as_bytes());
        input.resize(
            input.len() + usize::try_from(LITERAL_BYTES_MAX).unwrap(),
            b'x',
        );
    }
    input.extend_from_slice(b"\r\nb NOOP\r\n");
    let mut seen = lex(&input, Answer::Accept);
    seen.retain(|seen| !matches!(seen, Seen::Literal(..)));
    assert_eq!(
        seen,
        [Seen::Refused(LexError::CommandTooLong), command("b NOOP")]
    );

    let many = format!("a X{}\r\nb NOOP\r\n", " {1+}\r\nx".repeat(LITERALS_MAX + 1));
    let mut seen = lex(many.as_bytes(), Answer::Accept);
    seen.retain(|seen| !matches!(seen, Seen::Literal(..)));
    assert_eq!(
        seen,
        [bad("a", LexError::TooManyLiterals), command("b NOOP")]
    );
}

#[test]
fn a_raw_line_is_taken_as_it_is() {
    let mut lexer = Lexer::new();
    lexer.raw_line();
    let seen = run(&mut lexer, &[b"AGE= {3}\r\na NOOP\r\n"], Answer::Accept);
    assert_eq!(seen, [Seen::Line(b"AGE= {3}".to_vec()), command("a NOOP")]);
    let (_, lexed) = lexer.feed(b"a IDLE\r\n");
    assert_eq!(lexed, Lexed::Command(b"a IDLE"));
    lexer.raw_line();
    let seen = run(&mut lexer, &[b"do\0ne\r\na NOOP\r\n"], Answer::Accept);
    assert_eq!(seen, [bad("", LexError::Nul), command("a NOOP")]);
}

#[test]
fn memory_stays_bounded_whatever_comes() {
    let mut lexer = Lexer::new();
    lexer.set_authenticated(true);
    let piece = vec![b'x'; 100_000];
    for _ in 0..10 {
        lexer.feed(&piece);
    }
    assert!(!lexer.is_flooded());
    assert!(lexer.kept.capacity() + lexer.tail.capacity() < 4_096);
    lexer.feed(b"\r\na NOOP\r\n");
    let command = [b"a ".as_slice(), &piece[..60_000], b"\r\n"].concat();
    run(&mut lexer, &[&command, b"b"], Answer::Accept);
    assert!(lexer.kept.capacity() <= KEPT_BYTES_MAX);
}

#[test]
fn a_flood_is_noticed_at_the_same_octet_however_it_is_split() {
    let limit = usize::try_from(EXCESS_BYTES_BEFORE_LOGIN_MAX).unwrap();
    for slice in [1, 999, usize::MAX] {
        for (more, flooded) in [(0, false), (1, true)] {
            let mut input = vec![b'x'; LINE_BYTES_BEFORE_LOGIN_MAX + limit + more];
            input.extend_from_slice(b"\r\na NOOP\r\n");
            let mut lexer = Lexer::new();
            let mut commands = 0;
            for piece in input.chunks(slice) {
                let mut rest = piece;
                while !rest.is_empty() && !lexer.is_flooded() {
                    let (taken, lexed) = lexer.feed(rest);
                    commands += usize::from(matches!(lexed, Lexed::Command(_) | Lexed::Bad { .. }));
                    rest = &rest[taken..];
                }
            }
            assert_eq!(
                (lexer.is_flooded(), commands),
                (flooded, if flooded { 0 } else { 2 })
            );
        }
    }
}

/// Octets that meet every part of the lexer often.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-z]{1,3} [A-Z]{1,4} ".prop_map(String::into_bytes),
        3 => Just(b"\r\n".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\0".to_vec()),
        2 => (0..12_u8, "~?", r"\+?").prop_map(|(n, t, p)| format!("{t}{{{n}{p}}}\r\n").into_bytes()),
        1 => "[{}+~0-9]{1,6}".prop_map(String::into_bytes),
        1 => Just(vec![b'x'; LINE_BYTES_BEFORE_LOGIN_MAX]),
        1 => (LITERAL_BYTES_BEFORE_LOGIN_MAX..LITERAL_BYTES_BEFORE_LOGIN_MAX + 2)
            .prop_map(|n| format!("a {{{n}+}}\r\n").into_bytes()),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_how_the_octets_are_split(
        input in octets(),
        cuts in proptest::collection::vec(1..40_usize, 0..40),
        with in prop_oneof![Just(Answer::Accept), Just(Answer::Stream), Just(Answer::Refuse)],
        raw in any::<bool>(),
    ) {
        let lexer = || {
            let mut lexer = Lexer::new();
            if raw {
                lexer.raw_line();
            }
            lexer
        };
        let whole = run(&mut lexer(), &[&input], with);
        let mut pieces = Vec::new();
        let mut rest = input.as_slice();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(run(&mut lexer(), &pieces, with), whole);
    }

    #[test]
    fn every_octet_by_itself_gives_the_same_result(input in octets()) {
        let pieces: Vec<&[u8]> = input.chunks(1).collect();
        let whole = run(&mut Lexer::new(), &[&input], Answer::Accept);
        prop_assert_eq!(run(&mut Lexer::new(), &pieces, Answer::Accept), whole);
    }
}
