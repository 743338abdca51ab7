//! BODY and BODYSTRUCTURE (RFC 3501 §7.4.2), written straight from the compact form of a [`Structure`](super::Structure).

use super::compact::Damaged;
use super::envelope;
use super::structure::{CompactContent, CompactNode, Extension, Given, Kind, Step, Strings, Walk};
use super::syntax::{nstring, number, string};

/// Appends the `body` of RFC 3501 §9 for a compact form of [`Structure::encode`](super::Structure::encode): with `extended` as
/// BODYSTRUCTURE, with all extension data, else as BODY, without. On an error `out` is as it was.
///
/// What a client sees of odd parts is in `docs/design/mime.md`.
pub fn write_body_structure(
    compact: &[u8],
    extended: bool,
    out: &mut Vec<u8>,
) -> Result<(), Damaged> {
    let before = out.len();
    let written = write(compact, extended, out);
    if written.is_err() {
        out.truncate(before);
    }
    written
}

fn write(compact: &[u8], extended: bool, out: &mut Vec<u8>) -> Result<(), Damaged> {
    let mut walk = Walk::new(compact)?;
    while let Some(step) = walk.next()? {
        match step {
            Step::Enter(node) => enter(node, out)?,
            Step::Leave(node) => leave(node, extended, out)?,
        }
    }
    Ok(())
}

/// All of a node that stands before its children.
fn enter(node: CompactNode<'_>, out: &mut Vec<u8>) -> Result<(), Damaged> {
    if let Some(mut reader) = node.envelope {
        envelope::write_read(&mut reader, out)?;
        out.push(b' ');
    }
    out.push(b'(');
    if node.kind == Kind::Multipart {
        return Ok(());
    }
    match node.content {
        CompactContent::Default => {
            out.extend_from_slice(
                b"\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\"",
            );
        }
        CompactContent::Given(given) => {
            string(given.media, out);
            out.push(b' ');
            string(given.subtype, out);
            out.push(b' ');
            params(given.params, out)?;
            for text in [given.id, given.description, Some(given.encoding)] {
                out.push(b' ');
                nstring(text, out);
            }
        }
    }
    out.push(b' ');
    number(node.body.len(), out);
    if node.kind == Kind::Message {
        out.push(b' ');
    }
    Ok(())
}

/// All of a node that stands after its children.
fn leave(node: CompactNode<'_>, extended: bool, out: &mut Vec<u8>) -> Result<(), Damaged> {
    let given = match node.content {
        CompactContent::Default => None,
        CompactContent::Given(given) => Some(given),
    };
    if node.kind == Kind::Multipart {
        out.push(b' ');
        string(given.map_or(b"MIXED", |given| given.subtype), out);
        if extended {
            out.push(b' ');
            match given {
                Some(given) => params(given.params, out)?,
                None => out.extend_from_slice(b"NIL"),
            }
        }
    } else {
        let text = given.is_none_or(|given| given.media.eq_ignore_ascii_case(b"text"));
        if text || node.kind == Kind::Message {
            out.push(b' ');
            number(node.lines, out);
        }
        if extended {
            out.push(b' ');
            nstring(given.and_then(|given| given.extension?.md5), out);
        }
    }
    if extended {
        extension(given, out)?;
    }
    out.push(b')');
    Ok(())
}

/// Disposition, language and location, which single parts and multiparts share.
fn extension(given: Option<Given<'_>>, out: &mut Vec<u8>) -> Result<(), Damaged> {
    let Some(Extension {
        disposition,
        language,
        location,
        ..
    }) = given.and_then(|given| given.extension)
    else {
        out.extend_from_slice(b" NIL NIL NIL");
        return Ok(());
    };
    match disposition {
        Some((kind, disposition_params)) => {
            out.extend_from_slice(b" (");
            string(kind, out);
            out.push(b' ');
            params(disposition_params, out)?;
            out.push(b')');
        }
        None => out.extend_from_slice(b" NIL"),
    }
    out.push(b' ');
    params(language, out)?;
    out.push(b' ');
    nstring(location, out);
    Ok(())
}

/// A parenthesised list of strings, NIL for an empty one.
fn params(strings: Strings<'_>, out: &mut Vec<u8>) -> Result<(), Damaged> {
    if strings.count == 0 {
        out.extend_from_slice(b"NIL");
        return Ok(());
    }
    let mut before = b'(';
    strings.each(|text| {
        out.push(before);
        string(text, out);
        before = b' ';
    })?;
    out.push(b')');
    Ok(())
}
