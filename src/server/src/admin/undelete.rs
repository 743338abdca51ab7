//! `dbmail undelete`

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;
use dbmail_core::store::{AccountId, Answer, MailboxName, Refusal, Request, Timestamp, UidSet};
use dbmail_store::{Ended, GoneMailbox, GoneMessage, Store, Wanted};
use serde::Serialize;

use super::mailbox::{account, name};
use super::user::{json, time};
use super::when::{When, parse_when};
use super::{admin_failure, open, print, refusal_failure};
use crate::clock;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::log;

/// Messages that are listed at most; the others are counted.
const LISTED_MAX: usize = 10_000;

/// What is to come back.
#[derive(Args, Clone, Debug)]
pub struct Undelete {
    /// Whose, by name or address; without it the list is of everybody
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only what was in this mailbox; also one that was deleted, by the name it had
    #[arg(long, requires = "user")]
    pub mailbox: Option<String>,
    /// Only what was deleted then or later
    #[arg(long, value_name = "T", value_parser = parse_when, requires = "user")]
    pub since: Option<When>,
    /// Only what was deleted before then
    #[arg(long, value_name = "T", value_parser = parse_when, requires = "user")]
    pub until: Option<When>,
    /// Only messages that hold this text; may be given several times
    #[arg(long = "search", value_name = "TEXT", requires = "user")]
    pub texts: Vec<String>,
    /// Everything that could come back
    #[arg(long, requires = "user")]
    pub all: bool,
    /// Put the messages into this mailbox; it is made when it is not there
    #[arg(long, value_name = "MAILBOX", requires = "chosen")]
    pub into: Option<String>,
    /// Only list the messages that would come back
    #[arg(long)]
    pub dry_run: bool,
    /// List for each mailbox what could come back; the same as choosing no messages
    #[arg(long, conflicts_with = "chosen")]
    pub list: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// Only a name for the choices above.
#[derive(Args, Clone, Debug)]
#[group(id = "chosen", multiple = true, args = ["mailbox", "since", "until", "texts", "all"])]
struct Chosen {}

impl Undelete {
    fn chooses(&self) -> bool {
        self.mailbox.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || !self.texts.is_empty()
            || self.all
    }
}

/// A mailbox of the list as JSON shows it.
#[derive(Serialize)]
struct ShownMailbox<'a> {
    user: &'a str,
    mailbox: &'a str,
    mailbox_deleted: Option<String>,
    messages: u64,
    bytes: u64,
    first_deleted: String,
    last_deleted: String,
}

/// A message as JSON shows it.
#[derive(Serialize)]
struct ShownMessage {
    uid: u32,
    deleted: String,
    how: &'static str,
    bytes: u64,
    date: String,
    from: String,
    subject: String,
}

impl From<GoneMessage> for ShownMessage {
    fn from(message: GoneMessage) -> Self {
        Self {
            uid: message.uid.number(),
            deleted: time(message.gone),
            how: match message.ended {
                Ended::Expunged => "expunged",
                Ended::Expired => "expired",
                Ended::WithMailbox => "mailbox deleted",
            },
            bytes: message.bytes,
            date: time(message.date),
            from: plain(&message.from),
            subject: plain(&message.subject),
        }
    }
}

/// What comes back of one mailbox.
#[derive(Serialize)]
struct Returning {
    mailbox: String,
    mailbox_deleted: Option<String>,
    into: String,
    into_is_made: bool,
    messages: u64,
    bytes: u64,
    /// Of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<Vec<ShownMessage>>,
    #[serde(skip)]
    of: GoneMailbox,
    #[serde(skip)]
    uids: UidSet,
    /// As the store is told it first.
    #[serde(skip)]
    to: Option<MailboxName>,
}

/// The outcome as JSON shows it.
#[derive(Serialize)]
struct Shown {
    done: bool,
    messages: u64,
    bytes: u64,
    mailboxes: Vec<Returning>,
}

/// Without control characters: a subject is a stranger's text, and a terminal obeys.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// `dbmail undelete`
///
/// # Errors
/// When there is no such user or mailbox, a mailbox exists again, the quota has no room, or the store can't be used.
pub async fn undelete(config: &Config, what: Undelete) -> Result<(), Failure> {
    let store = open(config).await?;
    let done = run(&store, &what).await;
    store.close().await;
    done
}

async fn run(store: &Store, what: &Undelete) -> Result<(), Failure> {
    let of = match &what.user {
        Some(user) => Some(account(store, user).await?),
        None => None,
    };
    let (Some(user), Some(owner), true) = (&what.user, of, what.chooses()) else {
        let listed = store.gone_mailboxes(of).await;
        return list(
            &listed.map_err(|refusal| refusal_failure(&refusal))?,
            what.json,
        );
    };
    let plan = plan(store, owner, user, what).await?;
    let messages = plan.iter().map(|returning| returning.messages).sum();
    let bytes = plan.iter().map(|returning| returning.bytes).sum();
    let mut shown = Shown {
        done: !what.dry_run,
        messages,
        bytes,
        mailboxes: plan,
    };
    if !what.dry_run {
        has_room(store, &shown).await?;
        for returning in &mut shown.mailboxes {
            bring_back(store, owner, returning).await?;
        }
        shown.messages = shown.mailboxes.iter().map(|r| r.messages).sum();
        shown.bytes = shown.mailboxes.iter().map(|r| r.bytes).sum();
    }
    if what.json {
        return print(&json(&shown)?);
    }
    print(&in_words(&shown))
}

/// Mailboxes with what could come back.
fn list(mailboxes: &[GoneMailbox], as_json: bool) -> Result<(), Failure> {
    let deleted = |mailbox: &GoneMailbox| mailbox.deleted.map(time);
    if as_json {
        let all: Vec<ShownMailbox<'_>> = mailboxes
            .iter()
            .map(|mailbox| ShownMailbox {
                user: &mailbox.user,
                mailbox: mailbox.name.as_str(),
                mailbox_deleted: deleted(mailbox),
                messages: mailbox.messages,
                bytes: mailbox.bytes,
                first_deleted: time(mailbox.first),
                last_deleted: time(mailbox.last),
            })
            .collect();
        return print(&json(&all)?);
    }
    if mailboxes.is_empty() {
        return print("nothing could come back\n");
    }
    let mut text = format!(
        "{:>8} {:>14}  {:<20}  {:<20}  user, mailbox\n",
        "messages", "bytes", "first deleted", "last deleted"
    );
    for mailbox in mailboxes {
        let deleted = deleted(mailbox).map(|at| format!(" (mailbox deleted {at})"));
        let _ = writeln!(
            text,
            "{:>8} {:>14}  {:<20}  {:<20}  {}, {}{}",
            mailbox.messages,
            mailbox.bytes,
            time(mailbox.first),
            time(mailbox.last),
            mailbox.user,
            mailbox.name,
            deleted.unwrap_or_default()
        );
    }
    print(&text)
}

/// What comes back, and where it goes. Refused as a whole when a part can't be.
async fn plan(
    store: &Store,
    owner: AccountId,
    user: &str,
    what: &Undelete,
) -> Result<Vec<Returning>, Failure> {
    let failed = |refusal| refusal_failure(&refusal);
    let only = what.mailbox.as_deref().map(name).transpose()?;
    let into = what.into.as_deref().map(name).transpose()?;
    let mut sources = store.gone_mailboxes(Some(owner)).await.map_err(failed)?;
    sources.retain(|source| only.as_ref().is_none_or(|only| source.name == *only));
    let request = Request::Mailboxes { account: owner };
    let mut there: BTreeSet<MailboxName> = match store.apply(request, None).await {
        Ok(Answer::Mailboxes(mailboxes, _)) => mailboxes.into_iter().map(|m| m.name).collect(),
        Ok(_) => return Err(failed(Refusal::Unavailable)),
        Err(refusal) => return Err(failed(refusal)),
    };
    if let Some(only) = &only
        && sources.is_empty()
        && !there.contains(only)
    {
        return Err(Failure::new(
            Exit::NoUser,
            format!(
                "{user} has no mailbox {only}, nor a deleted one of which messages could come back."
            ),
        ));
    }
    let now = clock::now();
    let wanted = Wanted {
        since: what.since.map_or(Timestamp(0), |when| when.at(now)),
        until: what.until.map_or(Timestamp(i64::MAX), |when| when.at(now)),
        texts: what.texts.clone(),
    };
    let mut listed = 0;
    let (mut plan, mut made) = (Vec::new(), BTreeSet::new());
    for source in sources {
        let mut returning = find(store, source, &wanted, what.dry_run, &mut listed).await?;
        if returning.messages == 0 {
            continue;
        }
        let own = &returning.of.name;
        let deleted = returning.of.deleted.is_some();
        if deleted && into.is_none() && there.contains(own) && !made.contains(own) {
            return Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "The mailbox {own} was deleted, and there is another of this name now: say with --into where its \
                     {} messages are to go. --into {own} puts them into the one that is there. Nothing was brought back.",
                    returning.messages
                ),
            ));
        }
        let target = into.as_ref().unwrap_or(own);
        // Of several deleted mailboxes of one name the first is made again, and the others' messages join it.
        returning.to = (into.is_some() || made.contains(own)).then(|| target.clone());
        returning.into_is_made = there.insert(target.clone());
        if returning.into_is_made {
            made.insert(target.clone());
        }
        returning.into = target.as_str().to_owned();
        plan.push(returning);
    }
    Ok(plan)
}

/// The messages of a mailbox that are to come back.
async fn find(
    store: &Store,
    of: GoneMailbox,
    wanted: &Wanted,
    lists: bool,
    listed: &mut usize,
) -> Result<Returning, Failure> {
    let mut returning = Returning {
        mailbox: of.name.as_str().to_owned(),
        mailbox_deleted: of.deleted.map(time),
        into: String::new(),
        into_is_made: false,
        messages: 0,
        bytes: 0,
        listed: lists.then(Vec::new),
        uids: UidSet::new(),
        to: None,
        of,
    };
    let mut after = Some(0);
    let mut uids = Vec::new();
    while let Some(above) = after {
        let page = store.gone_page(returning.of.id, above, wanted).await;
        let page = page.map_err(|refusal| refusal_failure(&refusal))?;
        after = page.next;
        for message in page.messages {
            uids.push(message.uid);
            returning.messages += 1;
            returning.bytes += message.bytes;
            if let Some(list) = &mut returning.listed
                && *listed < LISTED_MAX
            {
                *listed += 1;
                list.push(message.into());
            }
        }
    }
    returning.uids = uids.into_iter().collect();
    Ok(returning)
}

/// Refuses what surely finds no room before anything is done. Each batch asks again.
async fn has_room(store: &Store, shown: &Shown) -> Result<(), Failure> {
    let Some(first) = shown.mailboxes.first() else {
        return Ok(());
    };
    let user = &first.of.user;
    let known = store.user_show(user).await;
    let Some(known) = known.map_err(|error| admin_failure(&error))? else {
        return Ok(());
    };
    match known.quota {
        Some(quota) if known.bytes.saturating_add(shown.bytes) > quota => Err(Failure::new(
            Exit::CantCreate,
            format!(
                "{user} has {} of {quota} octets, which leaves no room for the {} of these {} messages: make room, or \
                 bring back fewer (--since, --until, --search). Nothing was brought back.",
                known.bytes, shown.bytes, shown.messages
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Brings the messages of a mailbox back, some at a time, and says how many it were.
async fn bring_back(
    store: &Store,
    owner: AccountId,
    returning: &mut Returning,
) -> Result<(), Failure> {
    let (wanted, mut messages, mut bytes) = (returning.messages, 0, 0);
    loop {
        let (uids, to) = (returning.uids.clone(), returning.to.clone());
        let batch = store.undelete(owner, returning.of.id, uids, to).await;
        let batch = batch.map_err(|refusal| {
            let mut failure = refusal_failure(&refusal);
            if refusal == Refusal::OverQuota {
                failure.exit = Exit::CantCreate;
            }
            let told = format!(
                " Of the {wanted} messages of {} {messages} are back; the others are where they were.",
                returning.mailbox
            );
            failure.message.push_str(&told);
            failure
        })?;
        // What was purged meanwhile, or brought back by another, is missing at the end.
        let Some(batch) = batch else { break };
        if batch.made {
            subscribe(store, owner, &batch.name).await?;
        }
        messages += u64::from(batch.to.len());
        bytes += batch.bytes;
        if messages < wanted {
            log::tell(&format!(
                "{messages} of {wanted} messages are back in {}",
                batch.name
            ));
        }
        returning.to = Some(batch.name);
        returning.uids = returning.uids.difference(&batch.from);
        if returning.uids.is_empty() {
            break;
        }
    }
    (returning.messages, returning.bytes) = (messages, bytes);
    Ok(())
}

/// A mailbox that nobody is subscribed to is not seen in many clients.
async fn subscribe(store: &Store, account: AccountId, name: &MailboxName) -> Result<(), Failure> {
    let request = Request::Subscribe {
        account,
        name: name.clone(),
        subscribed: true,
    };
    let done = store.apply(request, None).await;
    done.map(drop).map_err(|refusal| refusal_failure(&refusal))
}

fn in_words(shown: &Shown) -> String {
    if shown.mailboxes.is_empty() {
        return "nothing that could come back is chosen by this\n".to_owned();
    }
    let mut text = String::new();
    for returning in &shown.mailboxes {
        let Returning {
            mailbox,
            into,
            messages,
            bytes,
            ..
        } = returning;
        let from = match &returning.mailbox_deleted {
            Some(at) => format!("{mailbox}, which was deleted {at},"),
            None => mailbox.clone(),
        };
        let verb = if shown.done { "came" } else { "would come" };
        let made = if returning.into_is_made {
            ", a mailbox that is made"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{messages} messages of {bytes} octets from {from} {verb} back into {into}{made}"
        );
        let Some(listed) = &returning.listed else {
            continue;
        };
        for message in listed {
            let _ = writeln!(
                text,
                "  {} {:>10}  {}  {}",
                message.deleted, message.bytes, message.from, message.subject
            );
        }
        let more = messages.saturating_sub(listed.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_does_not_command_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        assert_eq!(plain("Äpfel ☃"), "Äpfel ☃");
    }
}
