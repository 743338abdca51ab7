//! The compact forms in which ENVELOPE and BODYSTRUCTURE are stored: numbers as LEB128, strings with their length.
//!
//! The first byte of a form is its version. Reading checks everything: bytes that were not written by this module give
//! [`Damaged`], never a panic and never syntax that a client would misread.

/// A compact form that does not read: not written by this module, or harmed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the compact form of a message's structure is damaged")]
pub struct Damaged;

/// Appends numbers and strings.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(version: u8) -> Self {
        Self { out: vec![version] }
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// LEB128: seven bits a byte, lowest first.
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    /// A string or NIL: 0 is NIL, else the length plus 1 and the bytes. NUL has no form in IMAP (RFC 3501 §9 CHAR8), so it is left out.
    pub(crate) fn nstring(&mut self, string: Option<&[u8]>) {
        let Some(string) = string else {
            self.number(0);
            return;
        };
        let nuls = memchr::memchr_iter(0, string).count();
        self.number((string.len() - nuls) as u64 + 1);
        if nuls == 0 {
            self.out.extend_from_slice(string);
        } else {
            self.out.extend(string.iter().filter(|&&byte| byte != 0));
        }
    }

    pub(crate) fn string(&mut self, string: &[u8]) {
        self.nstring(Some(string));
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts after the version byte, which must be `version`.
    pub(crate) fn new(bytes: &'a [u8], version: u8) -> Result<Self, Damaged> {
        match bytes.split_first() {
            Some((&first, rest)) if first == version => Ok(Self { rest }),
            _ => Err(Damaged),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (&byte, rest) = self.rest.split_first().ok_or(Damaged)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Damaged);
            }
            number |= bits << shift;
            if byte < 0x80 {
                // One form for each number, so that equal trees are equal bytes.
                return if byte == 0 && shift > 0 {
                    Err(Damaged)
                } else {
                    Ok(number)
                };
            }
        }
        Err(Damaged)
    }

    pub(crate) fn nstring(&mut self) -> Result<Option<&'a [u8]>, Damaged> {
        let Some(len) = self.number()?.checked_sub(1) else {
            return Ok(None);
        };
        let len = usize::try_from(len).map_err(|_| Damaged)?;
        let (string, rest) = self.rest.split_at_checked(len).ok_or(Damaged)?;
        if memchr::memchr(0, string).is_some() {
            return Err(Damaged);
        }
        self.rest = rest;
        Ok(Some(string))
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], Damaged> {
        self.nstring()?.ok_or(Damaged)
    }

    /// A count of things that each take at least one byte: more than there are bytes is damage, so a count can't make us reserve memory.
    pub(crate) fn count(&mut self) -> Result<usize, Damaged> {
        let count = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        if count > self.rest.len() {
            Err(Damaged)
        } else {
            Ok(count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nul_is_left_out_of_strings() {
        let mut writer = Writer::new(1);
        writer.string(b"a\0b\0");
        writer.nstring(None);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes, 1).unwrap();
        assert_eq!(reader.nstring(), Ok(Some(&b"ab"[..])));
        assert_eq!(reader.nstring(), Ok(None));
        assert!(reader.is_empty());
        assert!(Reader::new(&bytes, 2).is_err());
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(
            Reader::new(&[1, 0x80, 0], 1).unwrap().number(),
            Err(Damaged)
        );
        assert_eq!(Reader::new(&[1; 1], 1).unwrap().number(), Err(Damaged));
        assert_eq!(
            Reader::new(&[0xff; 12], 0xff).unwrap().number(),
            Err(Damaged)
        );
    }

    proptest! {
        #[test]
        fn numbers_read_as_written(number: u64) {
            let mut writer = Writer::new(1);
            writer.number(number);
            let bytes = writer.into_bytes();
            prop_assert_eq!(Reader::new(&bytes, 1).unwrap().number(), Ok(number));
        }

        #[test]
        fn strings_read_as_written(string: Option<Vec<u8>>) {
            let mut writer = Writer::new(1);
            writer.nstring(string.as_deref());
            let bytes = writer.into_bytes();
            let without_nul = string.map(|s| s.into_iter().filter(|&b| b != 0).collect::<Vec<_>>());
            prop_assert_eq!(Reader::new(&bytes, 1).unwrap().nstring(), Ok(without_nul.as_deref()));
        }
    }
}
