//! Measures the store alone, without sessions and sockets: `cargo run --release -p dbmail-store --example measure [messages]`.
//!
//! A database in a new folder under TMPDIR (so on that disk), one user, that many messages of about 4 KiB in INBOX, then what
//! clients ask for. Each figure is the median of five runs.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dbmail_core::store::{
    AccountId, Answer, FetchItems, FlagChange, Flags, MailboxId, MailboxName, Recipient, Reply,
    Request, SystemFlags, Timestamp, Uid, UidSet, UploadId, rest_of,
};
use dbmail_store::{NewUser, Settings, Store};

/// Octets of a message's text.
const TEXT_BYTES: usize = 3_600;
/// Runs of each measurement.
const RUNS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(10_000), |n| n.parse())?;
    let folder = tempfile::TempDir::new()?;
    let url = format!("sqlite://{}", folder.path().join("mail.db").display());
    let settings = Settings {
        url,
        ..Settings::default()
    };
    Store::migrate(&settings, false).await?;
    let store = Store::open(settings).await?;
    let user = NewUser {
        name: "bench".to_owned(),
        password_hash: None,
        addresses: vec!["bench@example.org".to_owned()],
        quota_bytes: None,
    };
    let account = store.user_add(user).await?;
    for clients in [1, 4, 16] {
        let each = count / 3 / clients;
        let begun = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                tokio::spawn(deliver(
                    store.clone(),
                    account,
                    client + clients * 100,
                    each,
                ))
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let rate = (each * clients) as f64 / begun.elapsed().as_secs_f64();
        println!(
            "{:<44}{rate:>10.0} messages a second",
            format!("deliver, {clients} clients, one INBOX")
        );
    }
    let measure = Measure {
        mailbox: inbox(&store, account).await?,
        store: store.clone(),
        account,
    };
    measure.all().await?;
    store.close().await;
    Ok(())
}

async fn inbox(store: &Store, account: AccountId) -> Result<MailboxId, Box<dyn Error>> {
    let request = Request::Status {
        account,
        name: MailboxName::inbox(),
    };
    match store.apply(request, None).await? {
        Answer::Status(mailbox) => Ok(mailbox.id),
        other => Err(format!("{other:?}").into()),
    }
}

async fn deliver(
    store: Store,
    account: AccountId,
    client: usize,
    count: usize,
) -> Result<(), dbmail_core::store::Refusal> {
    for n in 0..count {
        let mut octets = format!(
            "Received: from a.example.net by b.example.org; Mon, 1 Jan 2024 00:00:00 +0000\r\n\
             Message-ID: <{client}.{n}@example.net>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\
             From: Somebody <somebody@example.net>\r\nTo: bench@example.org\r\nSubject: message {n} of {client}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        );
        while octets.len() < TEXT_BYTES + 400 {
            octets.push_str("The quick brown fox jumps over the lazy dog, again and again.\r\n");
        }
        let mut upload = store.upload();
        upload.write(Bytes::from(octets)).await?;
        let recipient = Recipient {
            account,
            address: Bytes::from_static(b"bench@example.org"),
            mailbox: MailboxName::inbox(),
            flags: Flags::default(),
            prefix: Bytes::from_static(
                b"Return-Path: <somebody@example.net>\r\nDelivered-To: bench@example.org\r\n",
            ),
        };
        let request = Request::Deliver {
            upload: UploadId(1),
            reverse_path: Bytes::from_static(b"somebody@example.net"),
            received: Timestamp(1_700_000_000_000_000),
            recipients: vec![recipient],
        };
        store.apply(request, Some(upload)).await?;
    }
    Ok(())
}

struct Measure {
    store: Store,
    account: AccountId,
    mailbox: MailboxId,
}

impl Measure {
    async fn ask(&self, request: Request) -> Reply {
        self.store.apply(request, None).await
    }

    async fn all(&self) -> Result<(), Box<dyn Error>> {
        let mailbox = self.mailbox;
        let open = Request::Open {
            account: self.account,
            name: MailboxName::inbox(),
            claim_recent: true,
        };
        self.median("open", || self.ask(open.clone())).await?;
        let none = FetchItems::default();
        for (what, items) in [
            (
                "fetch flags",
                FetchItems {
                    flags: true,
                    ..none
                },
            ),
            (
                "fetch envelopes",
                FetchItems {
                    envelope: true,
                    ..none
                },
            ),
            (
                "fetch structures",
                FetchItems {
                    structure: true,
                    ..none
                },
            ),
            (
                "fetch headers",
                FetchItems {
                    header: true,
                    ..none
                },
            ),
            (
                "fetch contents",
                FetchItems {
                    content: true,
                    ..none
                },
            ),
        ] {
            self.median(what, || self.fetch(items)).await?;
        }
        let every = || UidSet::range(Uid::MIN, Uid::MAX);
        let flags = |system| Flags {
            system,
            ..Flags::default()
        };
        let store = |how, system| Request::Store {
            mailbox,
            uids: every(),
            how,
            flags: flags(system),
            unchanged_since: None,
        };
        let mut times = Vec::new();
        for _ in 0..RUNS {
            for how in [FlagChange::Add, FlagChange::Remove] {
                times.push(self.time(store(how, SystemFlags::FLAGGED)).await?);
            }
        }
        show("store flags of all", times);
        let (mut copies, mut moves, mut expunges) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..RUNS {
            let name = MailboxName::new(&format!("copy {n}"))?;
            self.ask(Request::Create {
                account: self.account,
                name: name.clone(),
                special_use: None,
            })
            .await?;
            let copy = Request::Copy {
                mailbox,
                uids: every(),
                account: self.account,
                to: name.clone(),
            };
            copies.push(self.time(copy).await?);
            let Answer::Status(copied) = self
                .ask(Request::Status {
                    account: self.account,
                    name,
                })
                .await?
            else {
                return Err("no status".into());
            };
            let to = MailboxName::new(&format!("move {n}"))?;
            self.ask(Request::Create {
                account: self.account,
                name: to.clone(),
                special_use: None,
            })
            .await?;
            let moving = Request::Move {
                mailbox: copied.id,
                uids: every(),
                account: self.account,
                to: to.clone(),
            };
            moves.push(self.time(moving).await?);
            let Answer::Status(moved) = self
                .ask(Request::Status {
                    account: self.account,
                    name: to,
                })
                .await?
            else {
                return Err("no status".into());
            };
            let deleted = Request::Store {
                mailbox: moved.id,
                uids: every(),
                how: FlagChange::Add,
                flags: flags(SystemFlags::DELETED),
                unchanged_since: None,
            };
            self.ask(deleted).await?;
            expunges.push(
                self.time(Request::Expunge {
                    mailbox: moved.id,
                    uids: None,
                })
                .await?,
            );
        }
        show("copy all", copies);
        show("move all", moves);
        show("expunge all", expunges);
        Ok(())
    }

    async fn time(&self, request: Request) -> Result<Duration, Box<dyn Error>> {
        let begun = Instant::now();
        self.ask(request).await?;
        Ok(begun.elapsed())
    }

    async fn fetch(&self, items: FetchItems) -> Reply {
        let mut rest = UidSet::range(Uid::MIN, Uid::MAX);
        loop {
            let request = Request::Fetch {
                mailbox: self.mailbox,
                uids: rest.clone(),
                items,
            };
            let answer = self.ask(request).await?;
            match &answer {
                Answer::Messages(page) => match page.through {
                    Some(through) => rest = rest_of(&rest, through),
                    None => return Ok(answer),
                },
                other => {
                    eprintln!("no page: {other:?}");
                    return Ok(answer);
                }
            }
        }
    }

    async fn median<F: Future<Output = Reply>>(
        &self,
        what: &str,
        ask: impl Fn() -> F,
    ) -> Result<(), Box<dyn Error>> {
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let begun = Instant::now();
            ask().await?;
            times.push(begun.elapsed());
        }
        show(what, times);
        Ok(())
    }
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{what:<44}{:>10.1} ms", median.as_secs_f64() * 1e3);
}
