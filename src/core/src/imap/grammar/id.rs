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
