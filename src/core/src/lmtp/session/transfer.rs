//! The message itself: DATA and BDAT, its octets on their way to the store, the outcome for each recipient.

use super::*;

impl Session {
    pub(super) fn data(&mut self, out: &mut Vec<Output>) {
        let refusal = match &self.phase {
            Phase::Transaction(t) if t.chunks.is_some() || t.binary => Some(reply::DATA_IN_CHUNKS),
            Phase::Transaction(t) if t.recipients.is_empty() => Some(reply::NO_RECIPIENTS),
            Phase::Transaction(_) => None,
            _ => Some(reply::MAIL_FIRST),
        };
        if let Some(refusal) = refusal {
            return self.answer("DATA", refusal, out);
        }
        let upload = UploadId(self.ticket().0);
        if let Phase::Transaction(transaction) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.say(reply::GO_AHEAD_DATA);
            let how = How::Data(DotDecoder::default());
            self.phase = Phase::Receiving(transaction, Body::new(how, upload));
        }
    }

    /// The octets of a chunk follow whatever is wrong with it, and are read (RFC 3030 §2).
    pub(super) fn bdat(&mut self, size: u64, last: bool) {
        let upload = UploadId(self.ticket().0);
        let (transaction, wrong) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Transaction(t) if t.recipients.is_empty() => (t, Some(reply::NO_RECIPIENTS)),
            Phase::Transaction(t) => (t, None),
            _ => {
                // Not even MAIL was said: the octets are read on behalf of a transaction that is none.
                let none = Transaction {
                    reverse_path: Bytes::new(),
                    utf8: false,
                    binary: false,
                    recipients: Vec::new(),
                    chunks: None,
                };
                (none, Some(reply::MAIL_FIRST))
            }
        };
        let mut transaction = transaction;
        let failed = transaction
            .chunks
            .as_ref()
            .is_some_and(|body| body.refused.is_some());
        let unwanted = wrong.or_else(|| failed.then_some(reply::CHUNK_FAILED));
        let how = How::Chunk {
            left: size,
            last,
            unwanted,
        };
        let body = match transaction.chunks.take() {
            Some(body) => Body { how, ..body },
            None => Body::new(how, upload),
        };
        self.phase = Phase::Receiving(transaction, body);
    }

    /// Takes octets of a message. 0 with the phase unchanged: the store must catch up first.
    pub(super) fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Vec<Output>) -> usize {
        let (transaction, mut body) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Receiving(transaction, body) => (transaction, body),
            other => {
                self.phase = other;
                return 0;
            }
        };
        let ahead = body.staged - body.safe;
        if ahead >= STAGE_AHEAD_BYTES_MAX {
            self.phase = Phase::Receiving(transaction, body);
            return 0;
        }
        let slice = bytes
            .get(..bytes.len().min(STAGE_SLICE_BYTES_MAX))
            .unwrap_or_default();
        let mut message = Vec::with_capacity(slice.len());
        let (taken, ended) = match &mut body.how {
            How::Data(dots) => dots.feed(slice, &mut message),
            How::Chunk { left, unwanted, .. } => {
                let taken = slice
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                if unwanted.is_none() {
                    message.extend_from_slice(slice.get(..taken).unwrap_or_default());
                }
                (taken, *left == 0)
            }
        };
        body.pass(&message, self.config.message_bytes_max, out);
        if ended {
            self.ended(now, transaction, body, out);
        } else {
            self.phase = Phase::Receiving(transaction, body);
        }
        taken
    }

    /// The end of DATA or of a chunk.
    pub(super) fn ended(
        &mut self,
        now: Timestamp,
        mut transaction: Transaction,
        mut body: Body,
        out: &mut Vec<Output>,
    ) {
        let (name, last, unwanted) = match &body.how {
            How::Data(_) => ("DATA", true, None),
            How::Chunk { last, unwanted, .. } => ("BDAT", *last, *unwanted),
        };
        if let Some(unwanted) = unwanted {
            // RFC 3030 §2: a transaction with a failed chunk waits for RSET; one that never began ends here.
            let began = !transaction.recipients.is_empty();
            let opened = began || unwanted == reply::NO_RECIPIENTS;
            if began {
                transaction.chunks = Some(body);
            }
            self.phase = if opened {
                Phase::Transaction(transaction)
            } else {
                Phase::Idle
            };
            return self.answer(name, unwanted, out);
        }
        if !last {
            let reply = body.refused.unwrap_or(reply::CHUNK_OK);
            transaction.chunks = Some(body);
            self.phase = Phase::Transaction(transaction);
            return self.answer(name, reply, out);
        }
        body.finish(out);
        if let Some(refused) = body.refused {
            let outcomes = vec![refused; transaction.recipients.len()];
            return self.conclude(name, &transaction, &outcomes, body.received, out);
        }
        self.deliver(now, transaction, &body, out);
    }

    pub(super) fn deliver(
        &mut self,
        now: Timestamp,
        transaction: Transaction,
        body: &Body,
        out: &mut Vec<Output>,
    ) {
        let ticket = self.ticket();
        let mut id = String::new();
        // Writing to a String can't fail.
        let _ = write!(
            id,
            "{:x}-{:x}-{:x}",
            now.0, self.config.connection, ticket.0
        );
        let protocol = match (self.config.tls, transaction.utf8) {
            (Tls::Active, true) => "UTF8LMTPS",
            (Tls::Active, false) => "LMTPS",
            (Tls::None | Tls::Available, true) => "UTF8LMTP",
            (Tls::None | Tls::Available, false) => "LMTP",
        };
        let recipient = |(account, address): &(AccountId, Bytes)| Recipient {
            account: *account,
            address: address.clone(),
            mailbox: MailboxName::inbox(),
            flags: Flags::default(),
            prefix: trace::prefix(&trace::Envelope {
                reverse_path: &transaction.reverse_path,
                recipient: address,
                peer_name: &self.peer_name,
                peer_address: &self.config.peer,
                host: &self.config.host,
                protocol,
                id: &id,
                received: now,
            }),
        };
        let request = Request::Deliver {
            upload: body.upload,
            reverse_path: transaction.reverse_path.clone(),
            received: now,
            recipients: transaction.recipients.iter().map(recipient).collect(),
        };
        out.push(Output::Ask(ticket, request));
        self.phase = Phase::Delivering(transaction, ticket, body.received);
    }

    pub(super) fn delivered(&mut self, reply: crate::store::Reply, out: &mut Vec<Output>) {
        let (transaction, received) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Delivering(transaction, _, received) => (transaction, received),
            other => {
                self.phase = other;
                return;
            }
        };
        let said = match reply {
            Ok(Answer::Delivered(outcomes)) => outcomes,
            Ok(_) | Err(_) => Vec::new(),
        };
        // An outcome that is missing is one that is not known: the peer must try again.
        let outcomes: Vec<Reply> = (0..transaction.recipients.len())
            .map(|i| said.get(i).map_or(reply::UNAVAILABLE, reply_to))
            .collect();
        self.conclude("DATA", &transaction, &outcomes, received, out);
    }

    /// One reply for each recipient, in the order of RCPT (RFC 2033 §4.2).
    pub(super) fn conclude(
        &mut self,
        name: &'static str,
        transaction: &Transaction,
        outcomes: &[Reply],
        size: u64,
        out: &mut Vec<Output>,
    ) {
        let (mut accepted, mut refused) = (0u32, 0u32);
        for (reply, (_, address)) in outcomes.iter().zip(&transaction.recipients) {
            let about = format!("<{}>", String::from_utf8_lossy(address));
            self.say_about(*reply, &about);
            out.push(Output::Note(Note::Command {
                name,
                outcome: reply.code,
            }));
            *(if reply.is_positive() {
                &mut accepted
            } else {
                &mut refused
            }) += 1;
        }
        out.push(Output::Note(Note::Delivered {
            accepted,
            refused,
            size,
        }));
        self.phase = Phase::Idle;
    }

    pub(super) fn body_of(&mut self, upload: UploadId) -> Option<&mut Body> {
        let body = match &mut self.phase {
            Phase::Receiving(_, body) => Some(body),
            Phase::Transaction(transaction) => transaction.chunks.as_mut(),
            Phase::Idle
            | Phase::Resolving(..)
            | Phase::Delivering(..)
            | Phase::Upgrading
            | Phase::Closed => None,
        };
        body.filter(|body| body.upload == upload)
    }

    pub(super) fn staged(&mut self, upload: UploadId, total: u64) {
        if let Some(body) = self.body_of(upload) {
            body.safe = total.min(body.staged);
        }
    }

    /// The message can't be stored: the rest is read, then each recipient gets 451.
    pub(super) fn stage_failed(&mut self, upload: UploadId, out: &mut Vec<Output>) {
        if let Some(body) = self.body_of(upload)
            && body.refused.is_none()
        {
            body.refused = Some(reply::UNAVAILABLE);
            body.safe = body.staged;
            out.push(Output::Discard(upload));
        }
    }
}

impl Body {
    pub(super) fn new(how: How, upload: UploadId) -> Self {
        Self {
            how,
            filter: ReturnPathFilter::default(),
            upload,
            received: 0,
            staged: 0,
            safe: 0,
            refused: None,
        }
    }

    /// Hands octets of the message on, or drops them when the message is refused already.
    pub(super) fn pass(&mut self, message: &[u8], size_max: u64, out: &mut Vec<Output>) {
        self.received += message.len() as u64;
        if self.received > size_max && self.refused.is_none() {
            self.refused = Some(reply::TOO_LARGE);
            out.push(Output::Discard(self.upload));
        }
        if self.refused.is_none() {
            let mut kept = Vec::with_capacity(message.len());
            self.filter.feed(message, &mut kept);
            self.stage(kept, out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Output>) {
        if self.refused.is_none() {
            let mut kept = Vec::new();
            self.filter.finish(&mut kept);
            self.stage(kept, out);
            if self.staged == 0 {
                // An upload exists from its first slice on, be it empty.
                out.push(Output::Stage(self.upload, Bytes::new()));
            }
        }
    }

    /// Gives the upload up; one that is refused was given up already.
    pub(super) fn discard(&self, out: &mut Vec<Output>) {
        if self.refused.is_none() {
            out.push(Output::Discard(self.upload));
        }
    }

    pub(super) fn stage(&mut self, bytes: Vec<u8>, out: &mut Vec<Output>) {
        if !bytes.is_empty() {
            self.staged += bytes.len() as u64;
            out.push(Output::Stage(self.upload, bytes.into()));
        }
    }
}

const fn reply_to(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Stored { repeat: false, .. } => reply::DELIVERED,
        Outcome::Stored { repeat: true, .. } => reply::REPEATED,
        Outcome::Unknown => reply::UNKNOWN_USER,
        Outcome::Disabled => reply::DISABLED_USER,
        Outcome::OverQuota => reply::OVER_QUOTA,
        Outcome::Unavailable => reply::UNAVAILABLE,
    }
}
