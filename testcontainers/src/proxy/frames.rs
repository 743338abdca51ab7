//! Where one message of a database's protocol ends and the next begins. Nothing is kept but the header of the message
//! under way, so a message of any length passes in pieces.

/// Octets of the longest header: PostgreSQL's type and length.
const HEADER_MAX: usize = 5;
/// Length of what a PostgreSQL client sends to ask for encryption (SSLRequest, GSSENCRequest); no other first message has it.
const POSTGRES_ENCRYPTION: u32 = 8;
/// Octets of the body by which a MySQL client asks for encryption; a login is longer.
const MYSQL_ENCRYPTION: u64 = 32;

/// How messages are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// PostgreSQL's: an octet of type and four of length, which counts itself.
    Postgres,
    /// As a PostgreSQL client begins: its first message has no type.
    PostgresStart,
    /// MySQL's and MariaDB's: three octets of length, the lowest first, and a number in sequence.
    MySql,
    /// As their client begins.
    MySqlStart,
}

/// What was found of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Octets of it, at least one.
    pub(super) octets: usize,
    /// The first of them begins a message.
    pub(super) begins: bool,
    /// The last of them ends it.
    pub(super) ends: bool,
}

/// The messages of one direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    protocol: Protocol,
    header: [u8; HEADER_MAX],
    /// Octets of the header that are there.
    have: usize,
    /// Octets after the header that are still to come.
    rest: u64,
}

impl Frames {
    pub(super) const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            header: [0; HEADER_MAX],
            have: 0,
            rest: 0,
        }
    }

    /// What comes next: octets up to the end of a message, or all that there are; `None` when there are none.
    ///
    /// # Errors
    /// What is no message in that protocol, or asks for encryption.
    pub(super) fn next(&mut self, octets: &[u8]) -> Result<Option<Piece>, String> {
        if octets.is_empty() {
            return Ok(None);
        }
        let begins = self.have == 0;
        let size = self.header_size();
        let mut taken = 0;
        for (place, octet) in self
            .header
            .iter_mut()
            .take(size)
            .skip(self.have)
            .zip(octets)
        {
            *place = *octet;
            taken += 1;
        }
        self.have += taken;
        if taken > 0 && self.have == size {
            self.rest = self.body_size()?;
        }
        if self.have == size {
            let left = (octets.len() - taken) as u64;
            let now = left.min(self.rest);
            self.rest -= now;
            taken += usize::try_from(now).unwrap_or(usize::MAX);
        }
        let ends = self.have == size && self.rest == 0;
        if ends {
            self.have = 0;
            self.protocol = match self.protocol {
                Protocol::Postgres | Protocol::PostgresStart => Protocol::Postgres,
                Protocol::MySql | Protocol::MySqlStart => Protocol::MySql,
            };
        }
        Ok(Some(Piece {
            octets: taken,
            begins,
            ends,
        }))
    }

    const fn header_size(&self) -> usize {
        match self.protocol {
            Protocol::Postgres => 5,
            Protocol::PostgresStart | Protocol::MySql | Protocol::MySqlStart => 4,
        }
    }

    fn body_size(&self) -> Result<u64, String> {
        let [a, b, c, d, e] = self.header;
        let little = u64::from(u32::from_le_bytes([a, b, c, 0]));
        let length = match self.protocol {
            Protocol::MySqlStart if little == MYSQL_ENCRYPTION => return Err(encryption()),
            Protocol::MySql | Protocol::MySqlStart => return Ok(little),
            Protocol::Postgres => u32::from_be_bytes([b, c, d, e]),
            Protocol::PostgresStart => u32::from_be_bytes([a, b, c, d]),
        };
        if self.protocol == Protocol::PostgresStart && length == POSTGRES_ENCRYPTION {
            return Err(encryption());
        }
        let rest = length.checked_sub(4);
        rest.map(u64::from)
            .ok_or_else(|| format!("a message of PostgreSQL of {length} octets"))
    }
}

fn encryption() -> String {
    "the client asks for encryption, and what is encrypted has no messages to be seen".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of PostgreSQL.
    fn typed(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn untyped(body: &[u8]) -> Vec<u8> {
        typed(b'?', body).split_off(1)
    }

    fn numbered(number: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&length[..3], &[number], body].concat()
    }

    /// Feeds octets in slices; the messages put together again, and what is left of the last.
    fn messages(protocol: Protocol, octets: &[u8], slice: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut frames, mut all, mut one) = (Frames::new(protocol), Vec::new(), Vec::new());
        for mut octets in octets.chunks(slice) {
            while let Some(piece) = frames.next(octets).unwrap() {
                assert_eq!(piece.begins, one.is_empty());
                assert!(piece.octets > 0);
                let (now, later) = octets.split_at(piece.octets);
                one.extend_from_slice(now);
                octets = later;
                if piece.ends {
                    all.push(std::mem::take(&mut one));
                }
            }
        }
        (all, one)
    }

    fn is_cut_apart(protocol: Protocol, sent: &[Vec<u8>]) {
        let octets = sent.concat();
        for slice in 1..=octets.len() {
            let found = messages(protocol, &octets, slice);
            assert_eq!(found, (sent.to_vec(), Vec::new()), "slices of {slice}");
            // The last one without its last octet is none.
            let (all, rest) = messages(protocol, &octets[..octets.len() - 1], slice);
            assert_eq!((all.len(), rest.is_empty()), (sent.len() - 1, false));
        }
    }

    #[test]
    fn messages_of_postgres_are_told_apart_however_they_come() {
        let sent = [
            untyped(b"\0\x03\0\0user\0x\0\0"),
            typed(b'Q', b"COMMIT\0"),
            typed(b'S', b""),
            typed(b'd', &[7; 300]),
        ];
        is_cut_apart(Protocol::PostgresStart, &sent);
        is_cut_apart(Protocol::Postgres, &sent[1..]);
    }

    #[test]
    fn messages_of_mysql_are_told_apart_however_they_come() {
        // One without a body follows one that was full.
        let sent = [
            numbered(1, &[9; 40]),
            numbered(0, b"\x03COMMIT"),
            numbered(1, b""),
            numbered(2, &[1; 700]),
        ];
        is_cut_apart(Protocol::MySqlStart, &sent);
        is_cut_apart(Protocol::MySql, &sent);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let error = Frames::new(Protocol::Postgres).next(b"Q\0\0\0\x03");
        assert!(error.unwrap_err().contains("of 3 octets"));
        let request = untyped(&80_877_103_u32.to_be_bytes());
        let error = Frames::new(Protocol::PostgresStart).next(&request);
        assert!(error.unwrap_err().contains("encryption"));
        let error = Frames::new(Protocol::MySqlStart).next(&numbered(1, &[0; 32]));
        assert!(error.unwrap_err().contains("encryption"));
        // Later, a message may be as long.
        let mut frames = Frames::new(Protocol::MySql);
        assert!(frames.next(&numbered(1, &[0; 32])).unwrap().unwrap().ends);
    }
}
