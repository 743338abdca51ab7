//! `dbmail mailbox …`

use std::fmt::Write as _;

use dbmail_core::store::{AccountId, Answer, Mailbox, MailboxName, Refusal, Request, SpecialUse};
use dbmail_store::Store;
use serde::Serialize;

use super::user::{json, no_such_user};
use super::{confirm, open, print, refusal_failure};
use crate::cli::Confirmation;
use crate::config::Config;
use crate::exit::{Exit, Failure};

/// The account of a user's name or address.
pub(super) async fn account(store: &Store, user: &str) -> Result<AccountId, Failure> {
    match store.credential(user).await {
        Ok(Some(known)) => Ok(known.account),
        Ok(None) => Err(no_such_user(user)),
        Err(refusal) => Err(refusal_failure(&refusal)),
    }
}

/// A name as written on the command line.
pub(super) fn name(written: &str) -> Result<MailboxName, Failure> {
    MailboxName::new(written).map_err(|why| refusal_failure(&Refusal::BadName(why)))
}

/// A mailbox as JSON shows it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    special_use: Option<&'static str>,
    subscribed: bool,
    messages: u32,
    unseen: u32,
    bytes: u64,
    uid_validity: u32,
    uid_next: Option<u32>,
}

fn special_use(mailbox: &Mailbox) -> Option<&'static str> {
    let of = mailbox.special_use?;
    SpecialUse::ALL
        .iter()
        .find(|(known, ..)| *known == of)
        .map(|(_, attribute, ..)| *attribute)
}

/// `dbmail mailbox list`
///
/// # Errors
/// When there is no such user, or the store can't be used.
pub async fn mailbox_list(config: &Config, user: &str, as_json: bool) -> Result<(), Failure> {
    let store = open(config).await?;
    let account = account(&store, user).await?;
    let reply = store.apply(Request::Mailboxes { account }, None).await;
    store.close().await;
    let mailboxes = match reply {
        Ok(Answer::Mailboxes(mailboxes, _)) => mailboxes,
        Ok(_) => return Err(refusal_failure(&Refusal::Unavailable)),
        Err(refusal) => return Err(refusal_failure(&refusal)),
    };
    if as_json {
        let shown: Vec<Shown<'_>> = mailboxes
            .iter()
            .map(|mailbox| Shown {
                name: mailbox.name.as_str(),
                special_use: special_use(mailbox),
                subscribed: mailbox.subscribed,
                messages: mailbox.messages,
                unseen: mailbox.unseen,
                bytes: mailbox.bytes,
                uid_validity: mailbox.validity.0,
                uid_next: mailbox.uid_next.map(|uid| uid.number()),
            })
            .collect();
        return print(&json(&shown)?);
    }
    let mut text = format!(
        "{:>8} {:>8} {:>14}  mailbox\n",
        "messages", "unseen", "bytes"
    );
    for mailbox in &mailboxes {
        let _ = writeln!(
            text,
            "{:>8} {:>8} {:>14}  {}{}",
            mailbox.messages,
            mailbox.unseen,
            mailbox.bytes,
            mailbox.name,
            special_use(mailbox)
                .map(|of| format!(" ({of})"))
                .unwrap_or_default(),
        );
    }
    print(&text)
}

/// `dbmail mailbox create`
///
/// # Errors
/// When there is no such user, the mailbox exists or can't be, or the store can't be used.
pub async fn mailbox_create(config: &Config, user: &str, written: &str) -> Result<(), Failure> {
    let name = name(written)?;
    let store = open(config).await?;
    let account = account(&store, user).await?;
    let create = Request::Create {
        account,
        name: name.clone(),
        special_use: None,
    };
    let subscribe = Request::Subscribe {
        account,
        name: name.clone(),
        subscribed: true,
    };
    for request in [create, subscribe] {
        store
            .apply(request, None)
            .await
            .map_err(|refusal| refusal_failure(&refusal))?;
    }
    store.close().await;
    print(&format!("Mailbox {name} was made.\n"))
}

/// `dbmail mailbox delete`
///
/// # Errors
/// When there is no such user or mailbox, it is not confirmed, or the store can't be used.
pub async fn mailbox_delete(
    config: &Config,
    user: &str,
    written: &str,
    confirmation: Confirmation,
) -> Result<(), Failure> {
    let name = name(written)?;
    let store = open(config).await?;
    let account = account(&store, user).await?;
    let status = Request::Status {
        account,
        name: name.clone(),
    };
    let messages = match store.apply(status, None).await {
        Ok(Answer::Status(mailbox)) => mailbox.messages,
        Err(Refusal::NoSuchMailbox) => {
            return Err(Failure::new(
                Exit::NoUser,
                format!("{user} has no mailbox {name}."),
            ));
        }
        Ok(_) => return Err(refusal_failure(&Refusal::Unavailable)),
        Err(refusal) => return Err(refusal_failure(&refusal)),
    };
    confirm(
        confirmation,
        &format!("Deleting {name} of {user} with {messages} messages"),
    )?;
    let delete = Request::Delete {
        account,
        name: name.clone(),
    };
    let unsubscribe = Request::Subscribe {
        account,
        name: name.clone(),
        subscribed: false,
    };
    for request in [delete, unsubscribe] {
        store
            .apply(request, None)
            .await
            .map_err(|refusal| refusal_failure(&refusal))?;
    }
    store.close().await;
    print(&format!("Mailbox {name} was deleted.\n"))
}
