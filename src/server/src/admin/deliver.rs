//! `dbmail deliver`: runs the LMTP session of the server on a pipe inside this process, so trace fields, limits and
//! streaming are the same.

use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;

use clap::Args;
use dbmail_core::lmtp;
use dbmail_core::session::{Admitted, Credentials, Denied};
use dbmail_core::store::{AccountId, Answer, MailboxId, MailboxName, Refusal, Reply, Request};
use dbmail_store::Store;
use tokio::sync::{mpsc, watch};

use super::lmtp::{Delivered, Piece, send};
use super::mailbox::{account, name};
use super::{hostname, open, print, refusal_failure};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::metrics::{Metrics, Protocol};
use crate::shell::{self, Backend, Connection, Peer};

/// Octets read from standard input at a time, and in the pipe.
const CHUNK_BYTES: usize = 64 * 1024;

/// A delivery.
#[derive(Args, Clone, Debug)]
pub struct Deliver {
    /// A user's name, or an address
    #[arg(value_name = "USER|ADDRESS")]
    pub to: String,
    /// The mailbox, which must exist [default: INBOX]
    #[arg(long, value_name = "MAILBOX")]
    pub mailbox: Option<String>,
    /// The sender's address (Return-Path); without it there is none, as for a notice of the system
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true
    )]
    pub from: String,
    /// Take the message as it is: a lone LF does not become CRLF
    #[arg(long)]
    pub raw: bool,
}

/// The store, with deliveries going to a mailbox of choice.
#[derive(Clone)]
struct Into {
    store: Store,
    mailbox: Option<MailboxName>,
}

impl Backend for Into {
    type Upload = dbmail_store::Upload;
    type Watch = dbmail_store::Watch;

    async fn apply(
        &self,
        _who: Option<AccountId>,
        mut request: Request,
        upload: Option<Self::Upload>,
    ) -> Reply {
        if let (Request::Deliver { recipients, .. }, Some(mailbox)) = (&mut request, &self.mailbox)
        {
            for recipient in recipients {
                recipient.mailbox.clone_from(mailbox);
            }
        }
        self.store.apply(request, upload).await
    }
    fn upload(&self) -> Self::Upload {
        self.store.upload()
    }
    fn watch(&self, mailbox: MailboxId) -> Self::Watch {
        self.store.watch(mailbox)
    }
    async fn authenticate(&self, _: Credentials) -> Result<Admitted, Denied> {
        Err(Denied::Credentials)
    }
}

/// `dbmail deliver`
///
/// # Errors
/// As LMTP's reply: 67 nobody, 65 not acceptable, 75 later.
pub async fn deliver(config: &Config, deliver: Deliver) -> Result<(), Failure> {
    for address in [&deliver.to, &deliver.from] {
        // What stands between angle brackets must not break out of them. An empty sender is the null reverse-path.
        if !(address.is_empty() || lmtp::grammar::address(address.as_bytes()).is_ok()) {
            return Err(Failure::new(
                Exit::Usage,
                format!("{address:?} is neither an address nor a user's name."),
            ));
        }
    }
    let store = open(config).await?;
    let mailbox = deliver.mailbox.as_deref().map(name).transpose()?;
    if let Some(mailbox) = &mailbox {
        must_exist(&store, &deliver.to, mailbox).await?;
    }
    let outcome = through_session(config, &store, mailbox, &deliver).await;
    store.close().await;
    let delivered = outcome.map_err(|why| {
        let exit = match why.kind() {
            std::io::ErrorKind::InvalidData => Exit::Data,
            _ => Exit::TempFail,
        };
        Failure::new(exit, format!("The message could not be delivered: {why}."))
    })?;
    judge(&deliver.to, &delivered)?;
    print(&format!("Delivered to {}.\n", deliver.to))
}

/// Reads standard input into the session.
async fn through_session(
    config: &Config,
    store: &Store,
    mailbox: Option<MailboxName>,
    deliver: &Deliver,
) -> std::io::Result<Delivered> {
    let (ours, theirs) = tokio::io::duplex(CHUNK_BYTES);
    let session = lmtp::Session::new(lmtp::Config {
        host: hostname(config),
        peer: "command line".to_owned(),
        tls: lmtp::Tls::None,
        message_bytes_max: config.server.message_size_max,
        connection: u64::from(std::process::id()),
    });
    let (stop, stopped) = watch::channel(false);
    let connection = Connection {
        number: 0,
        protocol: Protocol::Lmtp,
        peer: Peer::Inside,
        tls: false,
        plaintext_login: false,
        certificates: None,
        stop: stopped,
        metrics: Arc::new(Metrics::new()),
        sessions: Arc::default(),
        stall: Connection::STALL,
    };
    let backend = Into {
        store: store.clone(),
        mailbox,
    };
    let running = tokio::spawn(shell::run(
        Box::new(session),
        Box::new(theirs),
        backend,
        connection,
    ));
    let (chunks, receiver) = mpsc::channel(2);
    let raw = deliver.raw;
    // Where the session refuses early, nobody waits for the reader.
    tokio::task::spawn_blocking(move || read_stdin(raw, &chunks));
    let outcome = send(ours, (&deliver.from, &deliver.to), receiver).await;
    let _ = running.await;
    drop(stop);
    outcome
}

/// With `--mailbox`, the mailbox must be there: a typing error should not fill INBOX.
async fn must_exist(store: &Store, user: &str, mailbox: &MailboxName) -> Result<(), Failure> {
    let account = account(store, user).await?;
    let status = Request::Status {
        account,
        name: mailbox.clone(),
    };
    match store.apply(status, None).await {
        Ok(Answer::Status(_)) => Ok(()),
        Err(Refusal::NoSuchMailbox) => Err(Failure::new(
            Exit::NoUser,
            format!(
                "{user} has no mailbox {mailbox}. Make it with: dbmail mailbox create {user} {mailbox}"
            ),
        )),
        Ok(_) => Err(refusal_failure(&Refusal::Unavailable)),
        Err(refusal) => Err(refusal_failure(&refusal)),
    }
}

/// A reply as an exit code.
fn judge(to: &str, delivered: &Delivered) -> Result<(), Failure> {
    let exit = match (delivered.code(), delivered.enhanced()) {
        (200..300, _) => return Ok(()),
        (400..500, _) => Exit::TempFail,
        (_, "5.1.1" | "5.1.2" | "5.1.3" | "5.2.1") => Exit::NoUser,
        (_, "5.2.2") => Exit::CantCreate,
        _ => Exit::Data,
    };
    let text = format!(
        "The message was not delivered to {to}: {}",
        delivered.text()
    );
    Err(Failure::new(
        exit,
        text.trim_end_matches('.').to_owned() + ".",
    ))
}

/// Sends standard input on, piece by piece, an empty one at its end.
fn read_stdin(raw: bool, pieces: &mpsc::Sender<Piece>) {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        crate::log::tell("Type the message, header first; end with Ctrl-D.");
    }
    let mut ends = LineEnds::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let piece = match stdin.read(&mut buffer) {
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map(|read| buffer.get(..read).unwrap_or_default()),
        };
        let go_on = piece.as_ref().is_ok_and(|piece| !piece.is_empty());
        let piece = piece.map(|piece| {
            if raw {
                piece.to_vec()
            } else {
                ends.mend(piece)
            }
        });
        // The other end may have decided already.
        if pieces.blocking_send(piece).is_err() || !go_on {
            return;
        }
    }
}

/// Makes CRLF of a lone LF.
#[derive(Default)]
struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    fn mend(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut mended = Vec::with_capacity(octets.len() + octets.len() / 16);
        for octet in octets {
            if *octet == b'\n' && !self.after_cr {
                mended.push(b'\r');
            }
            mended.push(*octet);
            self.after_cr = *octet == b'\r';
        }
        mended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_lf_becomes_crlf_wherever_the_input_is_cut() {
        let input = b"a\nb\r\nc\n\r\n\rd\r";
        let whole = b"a\r\nb\r\nc\r\n\r\n\rd\r";
        for cut in 0..=input.len() {
            let mut ends = LineEnds::default();
            let mut mended = ends.mend(&input[..cut]);
            mended.extend(ends.mend(&input[cut..]));
            assert_eq!(mended, whole, "cut at {cut}");
        }
    }

    #[test]
    fn replies_become_exit_codes() {
        let exit = |reply: &str| {
            judge(
                "x",
                &Delivered {
                    reply: reply.into(),
                },
            )
            .map_err(|f| f.exit)
        };
        assert_eq!(exit("250 2.0.0 stored"), Ok(()));
        assert_eq!(exit("550 5.1.1 no such user"), Err(Exit::NoUser));
        assert_eq!(exit("550 5.2.1 disabled"), Err(Exit::NoUser));
        assert_eq!(exit("552 5.3.4 too large"), Err(Exit::Data));
        assert_eq!(exit("552 5.2.2 over quota"), Err(Exit::CantCreate));
        assert_eq!(exit("451 4.3.0 later"), Err(Exit::TempFail));
        assert_eq!(exit("nonsense"), Err(Exit::TempFail));
    }
}
