//! ENVELOPE (RFC 3501 §7.4.2): read from a header, kept in a compact form, written from that form without building it again.
//!
//! Date, subject, in-reply-to and message-id are the first field of that name, From, Sender and Reply-To too; To, Cc and Bcc join all
//! fields of the name (RFC 5322 §4.5.3 lets destination fields be repeated). A field that stands there empty is the empty string, a
//! missing one NIL. Sender and Reply-To that are missing or empty are shown as From: that is done when writing.

use super::address::{Address, addresses};
use super::compact::{Damaged, Reader, Writer};
use super::header::{Field, fields, unfold};
use super::syntax::nstring;

/// First byte of the compact form.
const VERSION: u8 = 1;

/// The fields of ENVELOPE, unfolded, otherwise as written in the header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Date.
    pub date: Option<Vec<u8>>,
    /// Subject, encoded-words as written.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<Address>,
    /// Sender, empty where the header has none (written as From).
    pub sender: Vec<Address>,
    /// Reply-To, empty where the header has none (written as From).
    pub reply_to: Vec<Address>,
    /// To, all fields of that name.
    pub to: Vec<Address>,
    /// Cc, all fields of that name.
    pub cc: Vec<Address>,
    /// Bcc, all fields of that name.
    pub bcc: Vec<Address>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// Reads a header.
    pub fn read(header: &[u8]) -> Self {
        let mut envelope = Self::default();
        let mut seen = [false; 3];
        for field in fields(header) {
            envelope.field(&field, &mut seen);
        }
        envelope
    }

    fn field(&mut self, field: &Field<'_>, [from, sender, reply_to]: &mut [bool; 3]) {
        let text = |slot: &mut Option<Vec<u8>>| {
            if slot.is_none() {
                *slot = Some(unfold(field.value).into_owned());
            }
        };
        let single = |slot: &mut Vec<Address>, seen: &mut bool| {
            if !std::mem::replace(seen, true) {
                *slot = addresses(&unfold(field.value));
            }
        };
        let joined = |slot: &mut Vec<Address>| slot.extend(addresses(&unfold(field.value)));
        match Wanted::of(field.name) {
            Some(Wanted::Date) => text(&mut self.date),
            Some(Wanted::Subject) => text(&mut self.subject),
            Some(Wanted::From) => single(&mut self.from, from),
            Some(Wanted::Sender) => single(&mut self.sender, sender),
            Some(Wanted::ReplyTo) => single(&mut self.reply_to, reply_to),
            Some(Wanted::To) => joined(&mut self.to),
            Some(Wanted::Cc) => joined(&mut self.cc),
            Some(Wanted::Bcc) => joined(&mut self.bcc),
            Some(Wanted::InReplyTo) => text(&mut self.in_reply_to),
            Some(Wanted::MessageId) => text(&mut self.message_id),
            None => {}
        }
    }

    /// The compact form, version byte first.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        self.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads a compact form back.
    pub fn decode(compact: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(compact, VERSION)?;
        let envelope = Self::read_compact(&mut reader)?;
        if reader.is_empty() {
            Ok(envelope)
        } else {
            Err(Damaged)
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nstring(self.date.as_deref());
        writer.nstring(self.subject.as_deref());
        for list in self.lists() {
            writer.number(list.len() as u64);
            for address in list {
                for part in [
                    &address.name,
                    &address.route,
                    &address.mailbox,
                    &address.host,
                ] {
                    writer.nstring(part.as_deref());
                }
            }
        }
        writer.nstring(self.in_reply_to.as_deref());
        writer.nstring(self.message_id.as_deref());
    }

    fn lists(&self) -> [&Vec<Address>; 6] {
        [
            &self.from,
            &self.sender,
            &self.reply_to,
            &self.to,
            &self.cc,
            &self.bcc,
        ]
    }

    /// Passes over the envelope that comes next.
    pub(crate) fn skip_compact(reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let strings = |reader: &mut Reader<'_>, count: usize| {
            (0..count).try_for_each(|_| reader.nstring().map(|_| ()))
        };
        strings(reader, 2)?;
        for _ in 0..6 {
            let count = reader.count()?;
            strings(reader, count.saturating_mul(4))?;
        }
        strings(reader, 2)
    }

    pub(crate) fn read_compact(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            date: owned(reader)?,
            subject: owned(reader)?,
            from: list(reader)?,
            sender: list(reader)?,
            reply_to: list(reader)?,
            to: list(reader)?,
            cc: list(reader)?,
            bcc: list(reader)?,
            in_reply_to: owned(reader)?,
            message_id: owned(reader)?,
        })
    }
}

/// The header fields ENVELOPE is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Date,
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
}

impl Wanted {
    const NAMES: [(&'static [u8], Self); 10] = [
        (b"date", Self::Date),
        (b"subject", Self::Subject),
        (b"from", Self::From),
        (b"sender", Self::Sender),
        (b"reply-to", Self::ReplyTo),
        (b"to", Self::To),
        (b"cc", Self::Cc),
        (b"bcc", Self::Bcc),
        (b"in-reply-to", Self::InReplyTo),
        (b"message-id", Self::MessageId),
    ];

    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let known = Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(known.1)
    }
}

fn owned(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Damaged> {
    Ok(reader.nstring()?.map(<[u8]>::to_vec))
}

fn list(reader: &mut Reader<'_>) -> Result<Vec<Address>, Damaged> {
    let count = reader.count()?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(Address {
            name: owned(reader)?,
            route: owned(reader)?,
            mailbox: owned(reader)?,
            host: owned(reader)?,
        });
    }
    Ok(list)
}

/// Appends the `envelope` of RFC 3501 §9 for a compact form of [`Envelope::encode`]. On an error `out` is as it was.
pub fn write_envelope(compact: &[u8], out: &mut Vec<u8>) -> Result<(), Damaged> {
    let before = out.len();
    let written = Reader::new(compact, VERSION).and_then(|mut reader| {
        write_read(&mut reader, out)?;
        if reader.is_empty() {
            Ok(())
        } else {
            Err(Damaged)
        }
    });
    if written.is_err() {
        out.truncate(before);
    }
    written
}

/// Writes the envelope that comes next in a compact form.
pub(crate) fn write_read(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Damaged> {
    out.push(b'(');
    nstring(reader.nstring()?, out);
    out.push(b' ');
    nstring(reader.nstring()?, out);
    out.push(b' ');
    let from_start = out.len();
    write_list(reader, NIL, out)?;
    let from = from_start..out.len();
    for defaults_to_from in [true, true, false, false, false] {
        out.push(b' ');
        // RFC 3501 §7.4.2: a missing or empty Sender or Reply-To is shown "to be the same value as the from member".
        if !write_list(reader, if defaults_to_from { b"" } else { NIL }, out)? && defaults_to_from {
            out.extend_from_within(from.clone());
        }
    }
    out.push(b' ');
    nstring(reader.nstring()?, out);
    out.push(b' ');
    nstring(reader.nstring()?, out);
    out.push(b')');
    Ok(())
}

const NIL: &[u8] = b"NIL";

/// Writes a list of addresses, `empty` for one without any; says whether it had one.
fn write_list(reader: &mut Reader<'_>, empty: &[u8], out: &mut Vec<u8>) -> Result<bool, Damaged> {
    let count = reader.count()?;
    if count == 0 {
        out.extend_from_slice(empty);
        return Ok(false);
    }
    out.push(b'(');
    for _ in 0..count {
        let mut before = b'(';
        for _ in 0..4 {
            out.push(before);
            nstring(reader.nstring()?, out);
            before = b' ';
        }
        out.push(b')');
    }
    out.push(b')');
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(header: &str) -> String {
        let mut out = Vec::new();
        write_envelope(&Envelope::read(header.as_bytes()).encode(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn missing_fields_are_nil_and_empty_ones_empty() {
        assert_eq!(shown(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            shown("Subject:\r\nDate: \r\nTo: \r\nIn-Reply-To: <a@b>\n"),
            "(\"\" \"\" NIL NIL NIL NIL NIL NIL \"<a@b>\" NIL)"
        );
    }

    #[test]
    fn sender_and_reply_to_default_to_from_and_destinations_join() {
        assert_eq!(
            shown("From: a@b\nfrom: x@y\nReply-To: r@s\nTo: c@d\nto: e@f\nSender:\n"),
            "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"r\" \"s\")) \
             ((NIL NIL \"c\" \"d\")(NIL NIL \"e\" \"f\")) NIL NIL NIL NIL)"
        );
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes(header in "((Date|Subject|From|Sender|Reply-To|To|CC|Bcc|Message-ID|X): ?[ -~\u{e4}\n\t]{0,30}\r?\n){0,8}") {
            let envelope = Envelope::read(header.as_bytes());
            let compact = envelope.encode();
            prop_assert_eq!(Envelope::decode(&compact), Ok(envelope));
            prop_assert!(write_envelope(&compact, &mut Vec::new()).is_ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_write_nothing_when_damaged(mut bytes: Vec<u8>, version: bool) {
            if let (Some(first), true) = (bytes.first_mut(), version) {
                *first = VERSION;
            }
            let mut out = b"x".to_vec();
            let written = write_envelope(&bytes, &mut out).is_ok();
            prop_assert_eq!(written, Envelope::decode(&bytes).is_ok());
            prop_assert!(written || out == b"x");
        }
    }
}
