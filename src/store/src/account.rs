//! What administration knows of users.

use dbmail_core::store::{AccountId, Refusal, Timestamp};

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
