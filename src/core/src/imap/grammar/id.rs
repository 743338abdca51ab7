//! ID.

use std::borrow::Cow;

use super::string::{nil, nstring, string};
use super::{Parsed, listed_or_empty, sp};
use crate::imap::command::Command;

/// Fields that ID may have (RFC 2971 §3.3: 30).
const FIELDS_MAX: usize = 30;

/// ```abnf
/// id              = "ID" SP id-params-list                                ; RFC 2971
/// id-params-list  = "(" [string SP nstring *(SP string SP nstring)] ")" / nil
/// ```
pub(super) fn id(input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    if let Ok((rest, ())) = nil(input) {
        return Ok((rest, Command::Id(Vec::new())));
    }
    let (input, fields) = listed_or_empty(field, FIELDS_MAX, input)?;
    Ok((input, Command::Id(fields)))
}

fn field(input: &[u8]) -> Parsed<'_, (Vec<u8>, Option<Vec<u8>>)> {
    let (input, name) = string(input)?;
    let (input, ()) = sp(input)?;
    let (input, value) = nstring(input)?;
    Ok((input, (name.into_owned(), value.map(Cow::into_owned))))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;

    #[test]
    fn id_has_fields_with_values_or_none() {
        let id = |fields: &[(&str, Option<&str>)]| {
            let octets = |text: &str| text.as_bytes().to_vec();
            let fields = fields
                .iter()
                .map(|(name, value)| (octets(name), value.map(octets)));
            Ok(Command::Id(fields.collect()))
        };
        known(
            arguments,
            &[
                (b"ID NIL", id(&[])),
                (b"id nil", id(&[])),
                (b"ID ()", id(&[])),
                (b"ID (\"name\" \"x\")", id(&[("name", Some("x"))])),
                (
                    b"ID (\"a\" NIL {1}\r\nb {1}\r\nc)",
                    id(&[("a", None), ("b", Some("c"))]),
                ),
                (b"ID", Err(2)),
                (b"ID (NIL NIL)", Err(4)),
                (b"ID (\"a\")", Err(7)),
                (b"ID (\"a\" b)", Err(8)),
                (b"ID (\"a\" NIL \"b\")", Err(15)),
            ],
        );
        let many = |count| format!("ID ({})", vec!["\"a\" NIL"; count].join(" ")).into_bytes();
        assert!(arguments(&many(FIELDS_MAX)).is_ok());
        assert!(arguments(&many(FIELDS_MAX + 1)).is_err());
    }
}
