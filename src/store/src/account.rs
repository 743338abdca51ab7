//! What administration knows of users, and does with them.

use dbmail_core::store::{AccountId, Refusal, Timestamp};

use crate::Store;
use crate::engine::{Admin, AdminDone};

/// A user to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// Login name; compared without regard to ASCII case.
    pub name: String,
    /// Salted hash of the password (PHC string); without one nobody can log in by password.
    pub password_hash: Option<String>,
    /// Addresses that are delivered to the user; compared without regard to ASCII case.
    pub addresses: Vec<String>,
    /// Most octets of mail; `None`: no limit.
    pub quota_bytes: Option<u64>,
}

/// A user as administration sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub account: AccountId,
    /// Login name as first written.
    pub name: String,
    /// May log in and gets mail.
    pub enabled: bool,
    /// Addresses, in the order given.
    pub addresses: Vec<String>,
    /// Most octets; `None`: no limit.
    pub quota: Option<u64>,
    /// Octets of mail.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// When the user was made.
    pub created: Timestamp,
}

/// What a login is checked against. `Debug` does not show the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: AccountId,
    /// Login name as first written.
    pub name: String,
    /// Salted hash of the password.
    pub password_hash: Option<String>,
    /// May log in.
    pub enabled: bool,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            account,
            name,
            password_hash: _,
            enabled,
        } = self;
        write!(
            f,
            "Credential {{ account: {account:?}, name: {name:?}, enabled: {enabled}, .. }}"
        )
    }
}

/// Why administration did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// There is no such user.
    #[error("there is no user {0}")]
    NoSuchUser(String),
    /// A user has this name, or it is an address of another.
    #[error("there is already a user {0}")]
    UserExists(String),
    /// Another user has this address.
    #[error("the address {0} is already in use")]
    AddressInUse(String),
    /// The name or address can't be.
    #[error("{0}")]
    Bad(String),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] Refusal),
}

impl Store {
    /// Makes a user with INBOX, Drafts, Sent, Junk, Trash and Archive, all subscribed.
    ///
    /// # Errors
    /// `UserExists`, `AddressInUse`, `Bad`.
    pub async fn user_add(&self, user: NewUser) -> Result<AccountId, AdminError> {
        let name = user.name.clone();
        match self.0.write("admin", Admin::Add(user)).await? {
            AdminDone::Added(account) => Ok(account),
            other => Err(refused(other, name)),
        }
    }

    /// All users by name.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn user_list(&self) -> Result<Vec<User>, AdminError> {
        Ok(self.0.read("admin", |db| Box::pin(db.users(None))).await?)
    }

    /// One user, by name.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn user_show(&self, name: &str) -> Result<Option<User>, AdminError> {
        let name = name.to_owned();
        Ok(self
            .0
            .read("admin", move |db| {
                Box::pin(async move { db.users(Some(&name)).await })
            })
            .await?
            .pop())
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn user_password(&self, name: &str, hash: &str) -> Result<(), AdminError> {
        self.admin(name, Admin::Password(name.to_owned(), hash.to_owned()))
            .await
    }

    /// Lets a user log in and get mail, or no longer.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn user_enable(&self, name: &str, enabled: bool) -> Result<(), AdminError> {
        self.admin(name, Admin::Enable(name.to_owned(), enabled))
            .await
    }

    /// Removes a user and all that is his, some messages at a time; broken off half-way, it goes on when asked again.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn user_delete(&self, name: &str) -> Result<(), AdminError> {
        loop {
            match self
                .0
                .write("admin", Admin::Remove(name.to_owned()))
                .await?
            {
                AdminDone::More => {}
                AdminDone::Done => return Ok(()),
                other => return Err(refused(other, name.to_owned())),
            }
        }
    }

    async fn admin(&self, name: &str, work: Admin) -> Result<(), AdminError> {
        match self.0.write("admin", work).await? {
            AdminDone::Done => Ok(()),
            other => Err(refused(other, name.to_owned())),
        }
    }

    /// Who logs in with a user name, or with one of a user's addresses.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn credential(&self, name: &str) -> Result<Option<Credential>, Refusal> {
        let name = name.to_owned();
        self.0
            .read("credential", move |db| {
                Box::pin(async move { db.credential(&name).await })
            })
            .await
    }
}

fn refused(done: AdminDone, name: String) -> AdminError {
    match done {
        AdminDone::NoSuchUser => AdminError::NoSuchUser(name),
        AdminDone::UserExists => AdminError::UserExists(name),
        AdminDone::AddressInUse(address) => AdminError::AddressInUse(address),
        AdminDone::Bad(why) => AdminError::Bad(why.to_owned()),
        AdminDone::Added(_) | AdminDone::Done | AdminDone::More => {
            AdminError::Store(Refusal::Unavailable)
        }
    }
}
