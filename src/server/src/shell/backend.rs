//! What the shell needs of the rest: the store and the directory. A trait, so that tests can stand in for both.

use std::sync::Arc;

use bytes::Bytes;
use dbmail_core::session::{Admitted, Credentials, Denied};
use dbmail_core::store::{AccountId, MailboxId, Refusal, Reply, Request};

use crate::directory::{self, Directory};

/// Store and directory.
pub trait Backend: Clone + Send + Sync + 'static {
    /// A message on its way in.
    type Upload: Upload;
    /// News of one mailbox.
    type Watch: Watch;

    /// Answers a request, with the upload it uses up; whose it is, when somebody is logged in. Runs to its end even when the
    /// future is dropped.
    fn apply(
        &self,
        who: Option<AccountId>,
        request: Request,
        upload: Option<Self::Upload>,
    ) -> impl Future<Output = Reply> + Send;
    /// Begins an upload.
    fn upload(&self) -> Self::Upload;
    /// Watches a mailbox from now on.
    fn watch(&self, mailbox: MailboxId) -> Self::Watch;
    /// Asks the directory.
    fn authenticate(
        &self,
        credentials: Credentials,
    ) -> impl Future<Output = Result<Admitted, Denied>> + Send;
}

/// A message on its way in. Dropping it abandons it.
pub trait Upload: Send + 'static {
    /// Takes the next octets.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// News of one mailbox.
pub trait Watch: Send + 'static {
    /// Returns once the mailbox changed since the last call.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// The real ones.
#[derive(Clone, Debug)]
pub struct Services {
    /// The store.
    pub store: dbmail_store::Store,
    /// The directory, over the same store.
    pub directory: Arc<Directory<dbmail_store::Store>>,
}

impl Backend for Services {
    type Upload = dbmail_store::Upload;
    type Watch = dbmail_store::Watch;

    async fn apply(
        &self,
        who: Option<AccountId>,
        request: Request,
        upload: Option<Self::Upload>,
    ) -> Reply {
        self.store.apply_for(who, request, upload).await
    }
    fn upload(&self) -> Self::Upload {
        self.store.upload()
    }
    fn watch(&self, mailbox: MailboxId) -> Self::Watch {
        self.store.watch(mailbox)
    }
    async fn authenticate(&self, credentials: Credentials) -> Result<Admitted, Denied> {
        self.directory.authenticate(&credentials).await
    }
}

impl Upload for dbmail_store::Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        Self::write(self, bytes).await
    }
}

impl Watch for dbmail_store::Watch {
    async fn changed(&mut self) {
        Self::changed(self).await;
    }
}

impl directory::Users for dbmail_store::Store {
    async fn credential(&self, name: &str) -> Result<Option<directory::Credential>, Refusal> {
        let known = Self::credential(self, name).await?;
        Ok(known.map(|known| directory::Credential {
            account: known.account,
            name: known.name,
            password_hash: known.password_hash,
            enabled: known.enabled,
        }))
    }
}
