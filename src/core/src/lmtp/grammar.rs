//! Commands of LMTP: RFC 2033 §4.1 over RFC 5321 §4.1, with the parameters of RFC 1870 (SIZE), 6152 and 3030 (BODY),
//! 6531 (SMTPUTF8) and the BDAT of RFC 3030. Input is a line without its CRLF.

use bytes::Bytes;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map, map_opt, opt, recognize, verify};
use nom::error::ErrorKind;
use nom::multi::{many0_count, many1_count, separated_list0, separated_list1};
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

/// Longest local part in octets (RFC 5321 §4.5.3.1.1 has 64; VERP and bounce tags are longer).
const LOCAL_PART_BYTES_MAX: usize = 256;
/// Longest domain in octets (RFC 5321 §4.5.3.1.2).
const DOMAIN_BYTES_MAX: usize = 255;
/// Longest mailbox as written, quotes included (RFC 5321 §4.5.3.1.3 has 256 for a path): three of them and a
/// peer's name fit the trace fields of [`crate::limits::PREFIX_BYTES_MAX`].
const MAILBOX_BYTES_MAX: usize = 400;
/// Most parameters of one command: all that exist, several times over.
const PARAMETERS_MAX: usize = 16;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// LHLO
    Lhlo(Bytes),
    /// MAIL
    Mail(Mail),
    /// RCPT
    Rcpt(Mailbox, Vec<Parameter>),
    /// DATA
    Data,
    /// BDAT
    Bdat {
        /// Octets that follow.
        size: u64,
        /// The message ends with them.
        last: bool,
    },
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// VRFY
    Vrfy,
    /// QUIT
    Quit,
    /// STARTTLS
    StartTls,
    /// HELP
    Help,
    /// HELO or EHLO: this is no SMTP (RFC 2033 §4.1).
    Smtp,
}

/// MAIL FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `None` for `<>`.
    pub reverse_path: Option<Mailbox>,
    /// Parameters as written.
    pub parameters: Vec<Parameter>,
}

/// `esmtp-param`: keyword in upper case, value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Upper case.
    pub keyword: String,
    /// After `=`.
    pub value: Option<String>,
}

/// A mailbox of RFC 5321 §4.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// As given, without angle brackets and source route.
    pub written: Bytes,
    /// The local part without quotes.
    pub local: String,
    /// Absent for `<postmaster>` and, as local mail systems send, a bare user name.
    pub domain: Option<String>,
}

impl Mailbox {
    /// `local@domain`, unquoted, as the store resolves it.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{}@{domain}", self.local),
            None => self.local.clone(),
        }
    }

    /// Whether it can only be sent with SMTPUTF8.
    #[must_use]
    pub fn is_international(&self) -> bool {
        !self.written.is_ascii()
    }
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// No such command: 500.
    Unknown,
    /// The command's arguments are wrong: 501.
    Arguments(&'static str),
}

/// Parses one line.
///
/// # Errors
/// [`BadLine`] tells an unknown command from wrong arguments.
pub fn command(line: &[u8]) -> Result<Command, BadLine> {
    let line = line.trim_ascii_end();
    let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let (verb, arguments) = line.split_at_checked(end).unwrap_or((line, b""));
    let bare = |command: Command, how| {
        if arguments.is_empty() {
            Ok(command)
        } else {
            Err(BadLine::Arguments(how))
        }
    };
    let with = |parsed: IResult<&[u8], Command>, how| {
        parsed
            .map(|(_, command)| command)
            .map_err(|_| BadLine::Arguments(how))
    };
    match verb.to_ascii_uppercase().as_slice() {
        b"LHLO" => with(lhlo(arguments), "LHLO domain"),
        b"MAIL" => with(mail(arguments), "MAIL FROM:<address> [parameters]"),
        b"RCPT" => with(rcpt(arguments), "RCPT TO:<address> [parameters]"),
        b"BDAT" => with(bdat(arguments), "BDAT octets [LAST]"),
        b"DATA" => bare(Command::Data, "DATA has no argument"),
        b"RSET" => bare(Command::Rset, "RSET has no argument"),
        b"QUIT" => bare(Command::Quit, "QUIT has no argument"),
        b"STARTTLS" => bare(Command::StartTls, "STARTTLS has no argument"),
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"VRFY" if !arguments.is_empty() => Ok(Command::Vrfy),
        b"VRFY" => Err(BadLine::Arguments("VRFY name")),
        b"HELO" | b"EHLO" => Ok(Command::Smtp),
        _ => Err(BadLine::Unknown),
    }
}

/// ```abnf
/// lhlo = "LHLO" SP ( Domain / address-literal )   ; RFC 2033 §4.1
/// ```
/// Any printable word is taken: what a peer calls itself decides nothing.
fn lhlo(input: &[u8]) -> IResult<&[u8], Command> {
    let name = take_while1(|b: u8| b.is_ascii_graphic() || b >= 0x80);
    let name = verify(name, |n: &[u8]| n.len() <= DOMAIN_BYTES_MAX);
    map(all_consuming(preceded(char(' '), name)), |n: &[u8]| {
        Command::Lhlo(Bytes::copy_from_slice(n))
    })
    .parse(input)
}

/// ```abnf
/// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]   ; RFC 5321 §4.1.1.2
/// Reverse-path = Path / "<>"
/// ```
/// A space after the colon is taken too (RFC 5321 §3.3 forbids it, senders do it).
fn mail(input: &[u8]) -> IResult<&[u8], Command> {
    let null = map(tag_no_case("<>"), |_| None);
    let reverse_path = alt((null, map(path, Some)));
    let (input, _) = (tag_no_case(" FROM:"), opt(char(' '))).parse(input)?;
    let (input, (reverse_path, parameters)) =
        all_consuming((reverse_path, parameters)).parse(input)?;
    Ok((
        input,
        Command::Mail(Mail {
            reverse_path,
            parameters,
        }),
    ))
}

/// ```abnf
/// rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters]   ; RFC 5321 §4.1.1.3
/// ```
fn rcpt(input: &[u8]) -> IResult<&[u8], Command> {
    let (input, _) = (tag_no_case(" TO:"), opt(char(' '))).parse(input)?;
    let (input, (mailbox, parameters)) = all_consuming((path, parameters)).parse(input)?;
    Ok((input, Command::Rcpt(mailbox, parameters)))
}

/// ```abnf
/// bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ]   ; RFC 3030 §2
/// chunk-size = 1*DIGIT
/// end-marker = "LAST"
/// ```
fn bdat(input: &[u8]) -> IResult<&[u8], Command> {
    let size = map_opt(
        take_while_m_n(1, 19, |b: u8| b.is_ascii_digit()),
        |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok(),
    );
    let last = map(opt(tag_no_case(" LAST")), |l| l.is_some());
    map(
        all_consuming(preceded(char(' '), (size, last))),
        |(size, last)| Command::Bdat { size, last },
    )
    .parse(input)
}

/// ```abnf
/// Mail-parameters = esmtp-param *(SP esmtp-param)
/// esmtp-param = esmtp-keyword ["=" esmtp-value]
/// esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
/// esmtp-value = 1*(%d33-60 / %d62-126)
/// ```
fn parameters(input: &[u8]) -> IResult<&[u8], Vec<Parameter>> {
    let keyword = take_while1(|b: u8| b.is_ascii_alphanumeric() || b == b'-');
    let value = take_while1(|b: u8| (b.is_ascii_graphic() && b != b'=') || b >= 0x80);
    let parameter = map(
        (keyword, opt(preceded(char('='), value))),
        |(k, v): (&[u8], Option<&[u8]>)| Parameter {
            keyword: String::from_utf8_lossy(k).to_ascii_uppercase(),
            value: v.map(|v| String::from_utf8_lossy(v).into_owned()),
        },
    );
    let list = opt(preceded(char(' '), separated_list0(char(' '), parameter)));
    verify(
        map(list, Option::unwrap_or_default),
        |p: &Vec<Parameter>| p.len() <= PARAMETERS_MAX,
    )
    .parse(input)
}

/// ```abnf
/// Path = "<" [ A-d-l ":" ] Mailbox ">"
/// A-d-l = At-domain *( "," At-domain )
/// ```
/// The source route is read and forgotten (RFC 5321 §C).
fn path(input: &[u8]) -> IResult<&[u8], Mailbox> {
    let at_domain = recognize((char('@'), domain));
    let route = recognize((separated_list1(char(','), at_domain), char(':')));
    delimited(char('<'), preceded(opt(route), mailbox), char('>')).parse(input)
}

/// ```abnf
/// Mailbox = Local-part "@" ( Domain / address-literal )
/// ```
/// or, as local delivery agents write, a local part alone (`<Postmaster>` of RFC 5321 §4.1.1.3 is one).
fn mailbox(input: &[u8]) -> IResult<&[u8], Mailbox> {
    let before = input;
    let full = map(separated_pair(local_part, char('@'), domain), |(l, d)| {
        (l, Some(d))
    });
    let alone = map(local_part, |l| (l, None));
    let (after, (local, domain)) = alt((full, alone)).parse(input)?;
    let length = before.len() - after.len();
    let written = before
        .get(..length)
        .filter(|written| written.len() <= MAILBOX_BYTES_MAX);
    let Some(written) = written.map(Bytes::copy_from_slice) else {
        return Err(nom::Err::Error(nom::error::Error::new(
            input,
            ErrorKind::TooLarge,
        )));
    };
    Ok((
        after,
        Mailbox {
            written,
            local,
            domain,
        },
    ))
}

/// ```abnf
/// Local-part = Dot-string / Quoted-string
/// Dot-string = Atom *("." Atom)
/// ```
/// Dots in a row and at the ends are taken too: such addresses exist and are told apart all the same.
fn local_part(input: &[u8]) -> IResult<&[u8], String> {
    let atoms = recognize(many1_count(take_while1(|b: u8| is_atext(b) || b == b'.')));
    let plain = map_opt(atoms, |a: &[u8]| String::from_utf8(a.to_vec()).ok());
    verify(alt((quoted_string, plain)), |l: &str| {
        l.len() <= LOCAL_PART_BYTES_MAX
    })
    .parse(input)
}

/// ```abnf
/// Quoted-string = DQUOTE *QcontentSMTP DQUOTE
/// QcontentSMTP = qtextSMTP / quoted-pairSMTP
/// quoted-pairSMTP = %d92 %d32-126
/// ```
fn quoted_string(input: &[u8]) -> IResult<&[u8], String> {
    let qtext = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\' || b >= 0x80;
    let pair = preceded(
        char('\\'),
        take_while_m_n(1, 1, |b: u8| (b' '..=b'~').contains(&b)),
    );
    let content = recognize(many0_count(alt((take_while1(qtext), pair))));
    map_opt(
        delimited(char('"'), content, char('"')),
        |quoted: &[u8]| {
            let mut plain = Vec::with_capacity(quoted.len());
            let mut bytes = quoted.iter();
            while let Some(&b) = bytes.next() {
                plain.push(if b == b'\\' { *bytes.next()? } else { b });
            }
            String::from_utf8(plain).ok()
        },
    )
    .parse(input)
}

/// ```abnf
/// Domain = sub-domain *("." sub-domain)
/// address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
/// ```
/// Underscores are taken: hosts have them.
fn domain(input: &[u8]) -> IResult<&[u8], String> {
    let name = take_while1(|b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b) || b >= 0x80);
    let literal = recognize(delimited(
        char('['),
        take_while1(|b: u8| b.is_ascii_alphanumeric() || b".:-".contains(&b)),
        char(']'),
    ));
    verify(
        map_opt(alt((literal, name)), |d: &[u8]| {
            String::from_utf8(d.to_vec()).ok()
        }),
        |d: &str| d.len() <= DOMAIN_BYTES_MAX,
    )
    .parse(input)
}

/// ```abnf
/// atext = ALPHA / DIGIT / "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "/" / "=" / "?" / "^" / "_" / "`" / "{" / "|" / "}" / "~"
/// ```
/// with UTF-8 as RFC 6531 §3.3 adds it.
const fn is_atext(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || b >= 0x80
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

/// A mailbox alone, without angle brackets, as an operator types it.
///
/// # Errors
/// A sentence when it is none.
pub fn address(input: &[u8]) -> Result<Mailbox, &'static str> {
    all_consuming(mailbox)
        .parse(input)
        .map(|(_, mailbox)| mailbox)
        .map_err(|_| "not an address: local@domain or a user name is expected")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mailbox_of(line: &str) -> Option<(String, Option<String>, Vec<u8>)> {
        match command(format!("RCPT TO:{line}").as_bytes()) {
            Ok(Command::Rcpt(m, _)) => Some((m.local, m.domain, m.written.to_vec())),
            _ => None,
        }
    }

    #[test]
    fn known_paths() {
        let some = |l: &str, d: &str, w: &str| Some((l.into(), Some(d.into()), w.into()));
        assert_eq!(
            mailbox_of("<a@b.example>"),
            some("a", "b.example", "a@b.example")
        );
        assert_eq!(mailbox_of(" <a@b>"), some("a", "b", "a@b"));
        assert_eq!(mailbox_of("<@x,@y:a@b>"), some("a", "b", "a@b"));
        assert_eq!(
            mailbox_of("<\"a b\\\"c\"@b>"),
            some("a b\"c", "b", "\"a b\\\"c\"@b")
        );
        assert_eq!(mailbox_of("<a..b.@b>"), some("a..b.", "b", "a..b.@b"));
        assert_eq!(
            mailbox_of("<a@[127.0.0.1]>"),
            some("a", "[127.0.0.1]", "a@[127.0.0.1]")
        );
        assert_eq!(
            mailbox_of("<Postmaster>"),
            Some(("Postmaster".into(), None, "Postmaster".into()))
        );
        assert_eq!(
            mailbox_of("<jos\u{e9}@b>"),
            some("jos\u{e9}", "b", "jos\u{e9}@b")
        );
        for wrong in [
            "<>",
            "a@b",
            "<a@b",
            "<a@>",
            "<@b>",
            "<a b@c>",
            "<a@b> junk==",
            "<a@b>x",
            "<\"a@b>",
        ] {
            assert_eq!(mailbox_of(wrong), None, "{wrong}");
        }
        let long = format!("<{}@b>", "a".repeat(LOCAL_PART_BYTES_MAX + 1));
        assert_eq!(mailbox_of(&long), None);
    }

    #[test]
    fn known_commands() {
        assert_eq!(
            command(b"lhlo there"),
            Ok(Command::Lhlo(Bytes::from_static(b"there")))
        );
        assert_eq!(command(b"QUIT"), Ok(Command::Quit));
        assert_eq!(command(b"NOOP what ever"), Ok(Command::Noop));
        assert_eq!(
            command(b"BDAT 12"),
            Ok(Command::Bdat {
                size: 12,
                last: false
            })
        );
        assert_eq!(
            command(b"bdat 0 last"),
            Ok(Command::Bdat {
                size: 0,
                last: true
            })
        );
        assert_eq!(command(b"EHLO there"), Ok(Command::Smtp));
        assert_eq!(command(b"FROB"), Err(BadLine::Unknown));
        assert_eq!(command(b""), Err(BadLine::Unknown));
        assert!(matches!(
            command(b"BDAT 99999999999999999999"),
            Err(BadLine::Arguments(_))
        ));
        assert!(matches!(command(b"BDAT x"), Err(BadLine::Arguments(_))));
        assert!(matches!(command(b"LHLO"), Err(BadLine::Arguments(_))));
        assert!(matches!(command(b"DATA now"), Err(BadLine::Arguments(_))));
    }

    #[test]
    fn mail_carries_its_parameters() {
        let Ok(Command::Mail(mail)) = command(b"MAIL FROM:<> size=5 BODY=8BITMIME SMTPUTF8") else {
            panic!("no MAIL");
        };
        assert_eq!(mail.reverse_path, None);
        let shown: Vec<_> = mail
            .parameters
            .iter()
            .map(|p| (&*p.keyword, p.value.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                ("SIZE", Some("5")),
                ("BODY", Some("8BITMIME")),
                ("SMTPUTF8", None)
            ]
        );
    }

    proptest! {
        #[test]
        fn no_line_makes_the_grammar_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = command(&line);
            let _ = command(&[b"RCPT TO:<", &line[..]].concat());
        }

        #[test]
        fn a_quoted_local_part_is_read_back(local in "[ -~]{0,40}") {
            let quoted: String = local.chars().flat_map(|c| ['\\', c]).collect();
            let line = format!("RCPT TO:<\"{quoted}\"@b>");
            let Ok(Command::Rcpt(mailbox, _)) = command(line.as_bytes()) else { panic!("{line}") };
            prop_assert_eq!(mailbox.local, local);
        }
    }
}
