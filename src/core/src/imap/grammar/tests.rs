use super::*;

fn fails(text: &str) -> String {
    let bad = command(text.as_bytes()).unwrap_err();
    let tag = bad
        .tag
        .as_deref()
        .map(|tag| String::from_utf8_lossy(tag).into_owned());
    format!("{} {}", tag.as_deref().unwrap_or("*"), bad)
}

/// A command without its tag.
pub(super) fn arguments(input: &[u8]) -> Parsed<'_, Command> {
    let tagged = [b"a ", input].concat();
    match command(&tagged) {
        Ok(tagged) => Ok((&[], tagged.command)),
        Err(bad) => stop(&input[bad.at - 2..], bad.expected),
    }
}

/// Known answers both ways: the whole text is this value, or goes wrong after so many octets.
pub(super) fn known<'a, T: PartialEq + fmt::Debug>(
    parser: impl Fn(&'a [u8]) -> Parsed<'a, T>,
    table: &[(&'a [u8], Result<T, usize>)],
) {
    for (text, wanted) in table {
        let got = match parser(text) {
            Ok(([], value)) => Ok(value),
            Ok((rest, _)) => Err(text.len() - rest.len()),
            Err(Err::Error(stopped) | Err::Failure(stopped)) => {
                Err(text.len() - stopped.rest.len())
            }
            Err(Err::Incomplete(_)) => panic!("a complete parser"),
        };
        assert_eq!(&got, wanted, "{}", text.escape_ascii());
    }
}

fn parses(text: &str) -> Command {
    match command(text.as_bytes()) {
        Ok(tagged) => tagged.command,
        Err(bad) => panic!("{text}: {bad}"),
    }
}

#[test]
fn a_command_is_a_tag_and_what_it_does() {
    let tagged = command(b"A.1[] noop").unwrap();
    assert_eq!(
        (&tagged.tag[..], tagged.command),
        (&b"A.1[]"[..], Command::Noop)
    );
}

#[test]
fn what_is_no_command_is_refused_with_tag_and_place() {
    assert_eq!(fails(""), "* expected a tag at octet 1");
    assert_eq!(fails("a"), "a expected a space at octet 2");
    assert_eq!(fails("a+b NOOP"), "* expected a space at octet 2");
    assert_eq!(fails("+ NOOP"), "* expected a tag at octet 1");
    assert_eq!(fails("a "), "a expected a command at octet 3");
    assert_eq!(
        fails("a XYZ"),
        "a expected a command that is known here at octet 3"
    );
    assert_eq!(
        fails("a NOOP "),
        "a expected the end of the command at octet 7"
    );
    assert_eq!(
        fails("a UID NOOP"),
        "a expected a command that has a UID form at octet 7"
    );
}

#[test]
fn each_command_without_arguments_is_known_in_either_case() {
    for (name, wanted) in [
        ("capability", Command::Capability),
        ("Check", Command::Check),
        ("CLOSE", Command::Close),
        ("EXPUNGE", Command::Expunge(None)),
        ("IDLE", Command::Idle),
        ("LOGOUT", Command::Logout),
        ("NAMESPACE", Command::Namespace),
        ("NOOP", Command::Noop),
        ("STARTTLS", Command::StartTls),
        ("UNSELECT", Command::Unselect),
    ] {
        assert_eq!(parses(&format!("a {name}")), wanted);
    }
}
