//! An IMAP client's view: reads the syntax that was written and counts the parts, without a look at the structure behind it.

/// What IMAP's `(…)`, strings, literals and numbers say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Nil,
    Number(u64),
    Text(Vec<u8>),
    List(Vec<Self>),
}

impl Value {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }

    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Text(text) if text.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// Reads one value, which must be all there is. Iterative: a structure may be deep.
pub(crate) fn read(mut bytes: &[u8]) -> Value {
    let mut open: Vec<Vec<Value>> = vec![Vec::new()];
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = rest;
        let value = match first {
            b' ' => continue,
            b'(' => {
                open.push(Vec::new());
                continue;
            }
            b')' => Value::List(open.pop().unwrap()),
            b'"' => Value::Text(quoted(&mut bytes)),
            b'{' => {
                let end = bytes.iter().position(|&b| b == b'}').unwrap();
                let len: usize = std::str::from_utf8(&bytes[..end]).unwrap().parse().unwrap();
                let text = bytes[end..].strip_prefix(b"}\r\n").unwrap();
                bytes = &text[len..];
                assert!(!text[..len].contains(&0), "NUL in a literal");
                Value::Text(text[..len].to_vec())
            }
            b'N' => {
                bytes = bytes.strip_prefix(b"IL").unwrap();
                Value::Nil
            }
            b'0'..=b'9' => {
                let end = bytes
                    .iter()
                    .position(|b| !b.is_ascii_digit())
                    .unwrap_or(bytes.len());
                let digits = [&[first], &bytes[..end]].concat();
                bytes = &bytes[end..];
                Value::Number(String::from_utf8(digits).unwrap().parse().unwrap())
            }
            other => panic!("{other} begins no value"),
        };
        open.last_mut().unwrap().push(value);
    }
    assert_eq!(open.len(), 1, "a list is left open");
    let mut values = open.pop().unwrap();
    assert_eq!(values.len(), 1, "more than one value");
    values.pop().unwrap()
}

fn quoted(bytes: &mut &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let (&byte, rest) = bytes.split_first().expect("an open quoted string");
        *bytes = rest;
        match byte {
            b'"' => return text,
            b'\\' => {
                let (&escaped, rest) = bytes.split_first().unwrap();
                assert!(
                    matches!(escaped, b'"' | b'\\'),
                    "an escape of something else"
                );
                *bytes = rest;
                text.push(escaped);
            }
            0 | b'\r' | b'\n' | 0x80.. => panic!("{byte} in a quoted string"),
            _ => text.push(byte),
        }
    }
}

/// A part as BODYSTRUCTURE names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) path: Vec<u32>,
    /// Octets, of a part that is no multipart.
    pub(crate) octets: Option<u64>,
    /// Whether it is a message, with HEADER and TEXT.
    pub(crate) message: bool,
}

/// All parts of a BODYSTRUCTURE, by the rules of RFC 3501 §6.4.5.
pub(crate) fn parts(body_structure: &Value) -> Vec<Part> {
    let mut found = Vec::new();
    message_parts(body_structure, &mut Vec::new(), &mut found);
    found
}

fn message_parts(body: &Value, path: &mut Vec<u32>, found: &mut Vec<Part>) {
    if matches!(body.list()[0], Value::List(_)) {
        children(body, path, found);
    } else {
        path.push(1);
        part(body, path, found);
        path.pop();
    }
}

fn children(body: &Value, path: &mut Vec<u32>, found: &mut Vec<Part>) {
    let parts = body
        .list()
        .iter()
        .take_while(|value| matches!(value, Value::List(_)));
    for (child, number) in parts.zip(1..) {
        path.push(number);
        part(child, path, found);
        path.pop();
    }
}

fn part(body: &Value, path: &mut Vec<u32>, found: &mut Vec<Part>) {
    let list = body.list();
    if matches!(list[0], Value::List(_)) {
        found.push(Part {
            path: path.clone(),
            octets: None,
            message: false,
        });
        children(body, path, found);
        return;
    }
    let message = list[0].is("message") && (list[1].is("rfc822") || list[1].is("global"));
    found.push(Part {
        path: path.clone(),
        octets: Some(list[6].number()),
        message,
    });
    if message {
        assert_eq!(list[7].list().len(), 10, "an ENVELOPE has ten members");
        message_parts(&list[8], path, found);
        list[9].number();
    } else if list[0].is("text") {
        list[7].number();
    }
}
