//! Pieces of FETCH responses. The session writes `fetch_begin`, items with [`fetch_next`] between them, `fetch_end`.

use super::{flag_names, literal_begin, number};
use crate::imap::civil;
use crate::store::{Flags, InternalDate, ModSeq, Uid};

/// `* 12 FETCH (`
///
/// ```abnf
/// message-data    = nz-number SP ("EXPUNGE" / ("FETCH" SP msg-att))       ; RFC 3501
/// ```
pub fn fetch_begin(out: &mut Vec<u8>, seq: u32) {
    out.extend_from_slice(b"* ");
    number(out, seq.into());
    out.extend_from_slice(b" FETCH (");
}

/// The space between two items.
pub fn fetch_next(out: &mut Vec<u8>) {
    out.push(b' ');
}

/// `)` and the line end.
pub fn fetch_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b")\r\n");
}

/// `FLAGS (\Seen \Recent $Work)`
pub fn flags(out: &mut Vec<u8>, flags: &Flags, recent: bool) {
    out.extend_from_slice(b"FLAGS (");
    let any = flag_names(out, flags.system, &flags.keywords);
    if recent {
        out.extend_from_slice(if any { b" \\Recent" } else { b"\\Recent" });
    }
    out.push(b')');
}

/// `UID 4827313`
pub fn uid(out: &mut Vec<u8>, uid: Uid) {
    out.extend_from_slice(b"UID ");
    number(out, uid.number().into());
}

/// `RFC822.SIZE 4286`
pub fn rfc822_size(out: &mut Vec<u8>, octets: u64) {
    out.extend_from_slice(b"RFC822.SIZE ");
    number(out, octets);
}

/// `MODSEQ (12121231777)` (RFC 7162)
pub fn modseq(out: &mut Vec<u8>, modseq: ModSeq) {
    out.extend_from_slice(b"MODSEQ (");
    number(out, modseq.0);
    out.push(b')');
}

/// `INTERNALDATE "17-Jul-1996 02:44:25 -0700"`. Fractions of a second are not shown; years from 0000 to 9999.
///
/// ```abnf
/// date-time       = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE    ; RFC 3501
/// ```
pub fn internal_date(out: &mut Vec<u8>, date: InternalDate) {
    out.extend_from_slice(b"INTERNALDATE ");
    date_time(out, date);
}

/// `"17-Jul-1996 02:44:25 -0700"`, quotes included.
pub fn date_time(out: &mut Vec<u8>, date: InternalDate) {
    let (day, seconds) = civil::local(date);
    out.push(b'"');
    if day.day < 10 {
        out.push(b' ');
        number(out, day.day.into());
    } else {
        number(out, day.day.into());
    }
    out.push(b'-');
    let month = civil::MONTHS
        .get(usize::from(day.month).wrapping_sub(1))
        .copied();
    out.extend_from_slice(month.unwrap_or("Jan").as_bytes());
    out.push(b'-');
    let year = u32::from(day.year);
    two_digits(out, year / 100);
    two_digits(out, year % 100);
    out.push(b' ');
    let seconds = u32::try_from(seconds).unwrap_or_default();
    two_digits(out, seconds / 3_600);
    out.push(b':');
    two_digits(out, seconds / 60 % 60);
    out.push(b':');
    two_digits(out, seconds % 60);
    out.push(b' ');
    out.push(if date.zone_minutes < 0 { b'-' } else { b'+' });
    let zone = u32::from(date.zone_minutes.unsigned_abs());
    two_digits(out, zone / 60);
    two_digits(out, zone % 60);
    out.push(b'"');
}

/// The last two digits.
fn two_digits(out: &mut Vec<u8>, value: u32) {
    out.push(b'0' + (value / 10 % 10) as u8);
    out.push(b'0' + (value % 10) as u8);
}

/// `BODY[written]<origin> {size}CRLF`: exactly `size` octets must follow, none of them NUL ([`without_nul`]).
///
/// ```abnf
/// msg-att-static  =/ "BODY" section ["<" number ">"] SP nstring           ; RFC 3501
/// ```
pub fn section_begin(out: &mut Vec<u8>, written: &[u8], origin: Option<u32>, size: u64) {
    section_name(out, written, origin);
    literal_begin(out, size);
}

/// `BODY[written]<origin> NIL`: there is no such section.
pub fn section_nil(out: &mut Vec<u8>, written: &[u8], origin: Option<u32>) {
    section_name(out, written, origin);
    out.extend_from_slice(b"NIL");
}

fn section_name(out: &mut Vec<u8>, written: &[u8], origin: Option<u32>) {
    out.extend_from_slice(b"BODY[");
    out.extend_from_slice(written);
    out.push(b']');
    if let Some(origin) = origin {
        out.push(b'<');
        number(out, origin.into());
        out.push(b'>');
    }
    out.push(b' ');
}

/// Another item whose value is a literal: `RFC822 {size}CRLF`, `RFC822.HEADER …`, `RFC822.TEXT …`. As [`section_begin`].
pub fn item_begin(out: &mut Vec<u8>, name: &str, size: u64) {
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    literal_begin(out, size);
}

/// Makes message octets fit for a literal, which can't hold NUL (RFC 3501 §4.3): each NUL becomes 0x80, so that the size stays.
pub fn without_nul(octets: &mut [u8]) {
    for octet in octets {
        if *octet == 0 {
            *octet = 0x80;
        }
    }
}
