//! The store as sessions see it. Not working yet: everything is refused as unavailable.

use bytes::Bytes;
use dbmail_core::store::{AccountId, MailboxId, Refusal, Reply, Request};

use crate::{AdminError, Applied, Credential, NewUser, OpenError, Settings, User};

/// A store of mail. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store;

/// A message on its way into the store. Dropping it forgets what was staged.
#[derive(Debug)]
pub struct Upload {
    size: u64,
}

/// Tells of changes of one mailbox.
#[derive(Debug)]
pub struct Watch;

/// What the store has done, for metrics. All figures only grow, save `queued`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// For each request by name.
    pub requests: Vec<RequestCount>,
    /// Transactions committed.
    pub commits: u64,
    /// Messages linked by them (deliveries and APPENDs).
    pub linked: u64,
    /// Write requests that wait now.
    pub queued: u64,
    /// Transactions run again after a lock, deadlock or serialisation failure.
    pub retries: u64,
    /// Commits whose reply was lost and that were asked about.
    pub asked: u64,
    /// Deliveries recognised as repeats.
    pub repeats: u64,
    /// Messages stored whole because their parts did not go together again.
    pub opaque: u64,
}

/// What requests of one name cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCount {
    /// [`Request::name`].
    pub name: &'static str,
    /// How many were answered.
    pub requests: u64,
    /// Statements that they took.
    pub statements: u64,
    /// Time that they took, in microseconds, waiting in the queue included.
    pub microseconds: u64,
    /// How many were refused as unavailable.
    pub failed: u64,
}

impl Store {
    /// Opens a store.
    ///
    /// # Errors
    /// When the database can't be reached or has another schema version.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        Err(OpenError::Unreachable(settings.url))
    }
    /// Applies the migrations that are missing, or says which they are.
    ///
    /// # Errors
    /// When the database can't be reached or is newer than this program.
    pub async fn migrate(settings: &Settings, _plan_only: bool) -> Result<Vec<Applied>, OpenError> {
        Err(OpenError::Unreachable(settings.url.clone()))
    }
    /// Answers a request; runs to its end even if the returned future is dropped.
    ///
    /// # Errors
    /// The request's refusals, `Unavailable` and `OutcomeUnknown`.
    pub async fn apply(&self, _request: Request, _upload: Option<Upload>) -> Reply {
        Err(Refusal::Unavailable)
    }
    /// Begins an upload.
    #[must_use]
    pub fn upload(&self) -> Upload {
        Upload { size: 0 }
    }
    /// Watches a mailbox from now on.
    #[must_use]
    pub fn watch(&self, _mailbox: MailboxId) -> Watch {
        Watch
    }
    /// Whether the store answers.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub async fn ready(&self) -> Result<(), Refusal> {
        Err(Refusal::Unavailable)
    }
    /// Finishes what is under way and closes the database.
    pub async fn close(&self) {}
    /// What the store has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::default()
    }
    /// Makes a user with INBOX, Drafts, Sent, Junk, Trash and Archive, all subscribed.
    ///
    /// # Errors
    /// When the name or an address is taken.
    pub async fn user_add(&self, _user: NewUser) -> Result<AccountId, AdminError> {
        Err(Refusal::Unavailable.into())
    }
    /// All users by name.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn user_list(&self) -> Result<Vec<User>, AdminError> {
        Err(Refusal::Unavailable.into())
    }
    /// One user.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn user_show(&self, _name: &str) -> Result<Option<User>, AdminError> {
        Err(Refusal::Unavailable.into())
    }
    /// Gives a user another password.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn user_password(&self, _name: &str, _hash: &str) -> Result<(), AdminError> {
        Err(Refusal::Unavailable.into())
    }
    /// Lets a user log in and get mail, or no longer.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn user_enable(&self, _name: &str, _enabled: bool) -> Result<(), AdminError> {
        Err(Refusal::Unavailable.into())
    }
    /// Removes a user and all that is his.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn user_delete(&self, _name: &str) -> Result<(), AdminError> {
        Err(Refusal::Unavailable.into())
    }
    /// Who logs in with a user name, or with one of a user's addresses.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn credential(&self, _name: &str) -> Result<Option<Credential>, Refusal> {
        Err(Refusal::Unavailable)
    }
}

impl Upload {
    /// Takes the next octets.
    ///
    /// # Errors
    /// When they can't be staged; then the upload is of no use any more.
    pub async fn write(&mut self, _bytes: Bytes) -> Result<(), Refusal> {
        Err(Refusal::Unavailable)
    }
    /// Octets so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Watch {
    /// Returns once the mailbox has changed since the last call; once for any number of changes.
    pub async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }
}
