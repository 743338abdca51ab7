//! Administration: users, their addresses, passwords.

use std::collections::{BTreeMap, BTreeSet};

use dbmail_core::store::{
    AccountId, MailboxId, MailboxName, Refusal, SpecialUse, SystemFlags, Timestamp,
};

use super::mailbox::Event;
use super::name_key;
use super::purge::lists;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Rows, Value, values};
use crate::shared::Kind;
use crate::sql::Sql;
use crate::{Credential, NewUser, User};

/// Longest name or address, in octets, as the schema has it.
const NAME_BYTES_MAX: usize = 1_000;
/// Messages removed in one transaction when a user goes.
const REMOVE_ROWS: u32 = 500;

/// Names and addresses are compared so: ASCII case does not count.
pub(crate) fn folded(text: &str) -> Vec<u8> {
    text.to_ascii_lowercase().into_bytes()
}

/// What administration asks for.
pub(crate) enum Admin {
    Add(NewUser),
    Password(String, String),
    Enable(String, bool),
    /// Removes some of a user's messages, or at last the user.
    Remove(String),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AdminDone {
    Added(AccountId),
    Done,
    /// There is more to remove.
    More,
    NoSuchUser,
    UserExists,
    AddressInUse(String),
    Bad(&'static str),
}

impl Work for Admin {
    type Done = AdminDone;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<AdminDone, Error> {
        match self {
            Self::Add(user) => db.add_user(user).await,
            Self::Password(name, hash) => {
                let set = |id: AccountId| (Sql::AccountSetPassword, values![id.0, hash.as_str()]);
                db.set(name, set).await
            }
            Self::Enable(name, enabled) => {
                let set = |id: AccountId| (Sql::AccountSetEnabled, values![id.0, *enabled]);
                db.set(name, set).await
            }
            Self::Remove(name) => db.remove_some(name).await,
        }
    }
}

fn is_fit(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

impl<C: Connection> Db<C> {
    async fn account(&mut self, name: &str) -> Result<Option<AccountId>, Error> {
        let mut rows = self
            .query(Sql::AccountByName, &values![folded(name)])
            .await?;
        Ok(match rows.first() {
            Some(row) => Some(AccountId(row.int(0)?)),
            None => None,
        })
    }

    async fn add_user(&mut self, user: &NewUser) -> Result<AdminDone, Error> {
        if !is_fit(&user.name) {
            return Ok(AdminDone::Bad(
                "a user name has 1 to 1000 octets and no control characters",
            ));
        }
        if self.account(&user.name).await?.is_some() {
            return Ok(AdminDone::UserExists);
        }
        // Names and addresses are one space: login looks for a name first, delivery for an address. Else who has the address could
        // not log in with it, and mail for the user would go to another.
        let name = folded(&user.name);
        let mut rows = self.query(Sql::AddressOwner, &values![name]).await?;
        if rows.first().is_some() {
            return Ok(AdminDone::UserExists);
        }
        let mut addresses: BTreeMap<Vec<u8>, (usize, &str)> = BTreeMap::new();
        for (place, address) in user.addresses.iter().enumerate() {
            if !is_fit(address) {
                return Ok(AdminDone::Bad(
                    "an address has 1 to 1000 octets and no control characters",
                ));
            }
            addresses.entry(folded(address)).or_insert((place, address));
        }
        for (key, (_, address)) in &addresses {
            let mut rows = self.query(Sql::AddressOwner, &values![key.clone()]).await?;
            if rows.first().is_some() || self.account(address).await?.is_some() {
                return Ok(AdminDone::AddressInUse((*address).to_owned()));
            }
        }
        let account = self.insert_account(user).await?;
        let first = self.ids(
            Kind::Address,
            u32::try_from(addresses.len()).unwrap_or(u32::MAX),
        )?;
        let rows = addresses.into_iter().map(|(key, (place, address))| {
            values![first + place as i64, key, address, account.0].into()
        });
        self.many(Sql::AddressInsert, rows.collect()).await?;
        let mut tree = self.tree(account).await?;
        let uses = SpecialUse::ALL
            .into_iter()
            .map(|(usage, _, _, name)| (name, Some(usage)));
        let now = self.now().0;
        for (name, usage) in [("INBOX", None)].into_iter().chain(uses) {
            let name = MailboxName::new(name).map_err(Refusal::BadName)?;
            let subscription = values![account.0, name_key(&name), name.as_str(), now];
            self.make(account, &mut tree, name, usage).await?;
            self.execute(Sql::SubscriptionInsert, &subscription).await?;
        }
        self.finish(account, tree).await?;
        Ok(AdminDone::Added(account))
    }

    async fn insert_account(&mut self, user: &NewUser) -> Result<AccountId, Error> {
        let root = self.ids(Kind::QuotaRoot, 1)?;
        let account = AccountId(self.ids(Kind::Account, 1)?);
        let now = self.now();
        let most = user.quota_bytes.map_or(Value::Int(i64::MAX), Value::from);
        self.execute(Sql::QuotaInsert, &values![root, most, i64::MAX])
            .await?;
        let hash = user.password_hash.as_deref();
        let row = values![
            account.0,
            folded(&user.name),
            user.name.as_str(),
            hash,
            root,
            now.0
        ];
        self.execute(Sql::AccountInsert, &row).await?;
        // UIDVALIDITY begins at the second of making: a user who is removed and made again gets none that a client knows.
        let second = (now.0 / 1_000_000).clamp(1, i64::from(u32::MAX / 2));
        self.execute(Sql::AccountStateInsert, &values![account.0, second])
            .await?;
        Ok(account)
    }

    async fn set<const N: usize>(
        &mut self,
        name: &str,
        set: impl Fn(AccountId) -> (Sql, [Value; N]) + Send,
    ) -> Result<AdminDone, Error> {
        let Some(account) = self.account(name).await? else {
            return Ok(AdminDone::NoSuchUser);
        };
        let mut tree = self.tree(account).await?;
        let (sql, values) = set(account);
        self.execute(sql, &values).await?;
        tree.events.push((Event::Account, None, String::new()));
        self.finish(account, tree).await?;
        Ok(AdminDone::Done)
    }

    /// Removes a user's mail some messages at a time, each in a transaction, and at last the user. It is disabled from the
    /// first on, so that nothing comes meanwhile.
    async fn remove_some(&mut self, name: &str) -> Result<AdminDone, Error> {
        let Some(account) = self.account(name).await? else {
            return Ok(AdminDone::NoSuchUser);
        };
        self.query(Sql::AccountLock, &values![account.0]).await?;
        self.execute(Sql::AccountSetEnabled, &values![account.0, false])
            .await?;
        let mut rows = self.query(Sql::MailboxIds, &values![account.0]).await?;
        let mut mailboxes = Vec::with_capacity(rows.len());
        for row in rows.each() {
            mailboxes.push(row.int(0)?);
        }
        for mailbox in &mailboxes {
            for (some, remove) in [
                (Sql::MessagesSome, Sql::MessageRemove),
                (Sql::GoneSome, Sql::GoneRemove),
            ] {
                let mut rows = self.query(some, &values![*mailbox, REMOVE_ROWS]).await?;
                if rows.len() > 0 {
                    self.remove_messages(*mailbox, remove, &mut rows).await?;
                    return Ok(AdminDone::More);
                }
            }
        }
        self.remove_account(account, &mailboxes).await?;
        Ok(AdminDone::Done)
    }

    async fn remove_messages(
        &mut self,
        mailbox: i64,
        remove: Sql,
        found: &mut Rows,
    ) -> Result<(), Error> {
        let mut uids = Vec::new();
        let (mut emails, mut contents) = (BTreeSet::new(), BTreeSet::new());
        let alive = remove == Sql::MessageRemove;
        let mut root = None;
        if alive {
            // A mailbox that was deleted has no counters, and no message that is not gone.
            let mut rows = self.query(Sql::MailboxOwner, &values![mailbox]).await?;
            root = rows.first().map(|row| row.int(1)).transpose()?;
            self.query(Sql::StateLock, &values![mailbox]).await?;
            // Again, now that their flags stay as they are.
            let some = values![mailbox, REMOVE_ROWS];
            *found = self.query(Sql::MessagesSome, &some).await?;
        }
        let (mut unseen, mut deleted, mut octets) = (0i64, 0i64, 0i64);
        for row in found.each() {
            let uid = row.u32(0)?;
            if alive {
                uids.push(values![mailbox, uid, uid].into());
                let flags = super::open::flags(&row, 3)?;
                unseen += i64::from(!flags.contains(SystemFlags::SEEN));
                deleted += i64::from(flags.contains(SystemFlags::DELETED));
                octets += row.int(4)?;
            } else {
                uids.push(values![mailbox, uid].into());
            }
            emails.insert(row.int(1)?);
            contents.insert(row.int(2)?);
        }
        // Held before the references go: of two who remove the last ones, the second sees that they are.
        for ids in lists(&emails) {
            self.query(Sql::EmailsHold, &ids).await?;
        }
        self.many(remove, uids).await?;
        self.end_emails(&emails, &contents).await?;
        // A removal that breaks off leaves counters that are true.
        if let Some(root) = root {
            let count = found.len() as i64;
            let state = values![mailbox, false, -count, -unseen, -deleted, -octets];
            self.execute(Sql::StateChanged, &state).await?;
            self.execute(Sql::QuotaMove, &values![root, -octets, -count])
                .await?;
        }
        Ok(())
    }

    async fn remove_account(&mut self, account: AccountId, mailboxes: &[i64]) -> Result<(), Error> {
        for mailbox in mailboxes {
            self.end_mailbox(MailboxId(*mailbox)).await?;
            self.touch(MailboxId(*mailbox));
        }
        self.touch_account(account);
        let of = values![account.0];
        let mut rows = self.query(Sql::AccountQuota, &of).await?;
        let root = rows.first().map_or(Ok(0), |row| row.int(0))?;
        for sql in [
            Sql::AccountLogDelete,
            Sql::AccountSubscriptionsDelete,
            Sql::AccountAddressesDelete,
            Sql::AccountStateDelete,
            Sql::AccountDelete,
        ] {
            // The counter row was locked first of all.
            self.execute(sql, &of).await?;
        }
        self.execute(Sql::QuotaDelete, &values![root]).await?;
        Ok(())
    }

    // --- questions -------------------------------------------------------------------------

    /// Users by name: one, or all.
    pub(crate) async fn users(&mut self, name: Option<&str>) -> Result<Vec<User>, Error> {
        let mut rows = match name {
            Some(name) => self.query(Sql::UserByName, &values![folded(name)]).await?,
            None => self.query(Sql::UsersAll, &[]).await?,
        };
        let mut users = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            let most = row.u64(3)?;
            users.push(User {
                account: AccountId(row.int(0)?),
                name: row.text(1)?,
                enabled: row.int(2)? != 0,
                addresses: Vec::new(),
                quota: (most != i64::MAX as u64).then_some(most),
                created: Timestamp(row.int(4)?),
                mailboxes: row.u64(5)?,
                messages: row.u64(6)?,
                bytes: row.u64(7)?,
            });
        }
        let mut rows = match (name, users.first()) {
            (Some(_), None) => return Ok(users),
            (Some(_), Some(user)) => {
                self.query(Sql::AddressesOf, &values![user.account.0])
                    .await?
            }
            (None, _) => self.query(Sql::AddressesAll, &[]).await?,
        };
        let mut addresses: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for mut row in rows.each() {
            addresses.entry(row.int(0)?).or_default().push(row.text(1)?);
        }
        for user in &mut users {
            user.addresses = addresses.remove(&user.account.0).unwrap_or_default();
        }
        Ok(users)
    }

    /// Who logs in with that name or address.
    pub(crate) async fn credential(&mut self, name: &str) -> Result<Option<Credential>, Error> {
        let mut rows = self
            .query(Sql::CredentialFind, &values![folded(name)])
            .await?;
        let Some(mut row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Credential {
            account: AccountId(row.int(1)?),
            name: row.text(2)?,
            password_hash: row.text_or_none(3)?,
            enabled: row.int(4)? != 0,
        }))
    }
}
