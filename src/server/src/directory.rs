//! Who may come in: user names and passwords, asked of the store.

use std::sync::Arc;
use std::time::Duration;

use dbmail_core::session::{Admitted, Credentials, Denied};
use dbmail_core::store::{AccountId, Refusal};

use crate::password::{Verdict, Verifier};

/// How long a wrong attempt waits for its answer: guessing on one connection is slow, a typing error still bearable.
pub const WRONG_ATTEMPT_DELAY: Duration = Duration::from_secs(1);
/// Longest name of a user, in octets: an address has at most 254 (RFC 5321 §4.5.3.1.3).
const NAME_BYTES_MAX: usize = 254;

/// What the store knows of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: AccountId,
    /// The user's name as stored.
    pub name: String,
    /// The password's hash, as a PHC string; without one nobody can log in.
    pub password_hash: Option<String>,
    /// Whether the user may come in.
    pub enabled: bool,
}

/// Where users are looked up.
pub trait Users: Send + Sync + 'static {
    /// The user of that name or address, ASCII case folded.
    fn credential(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Credential>, Refusal>> + Send;
}

/// Decides who is let in.
#[derive(Debug)]
pub struct Directory<U> {
    users: U,
    verifier: Arc<Verifier>,
    delay: Duration,
}

impl<U: Users> Directory<U> {
    /// A directory over these users.
    pub const fn new(users: U, verifier: Arc<Verifier>, delay: Duration) -> Self {
        Self {
            users,
            verifier,
            delay,
        }
    }

    /// Whether this user comes in. Unknown user, wrong password and disabled user are not told apart, neither by the answer
    /// nor by its time.
    ///
    /// # Errors
    /// [`Denied`]
    pub async fn authenticate(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        let result = self.decide(credentials).await;
        if result == Err(Denied::Credentials) {
            tokio::time::sleep(self.delay).await;
        }
        result
    }

    async fn decide(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        let user = &credentials.user;
        let name = std::str::from_utf8(user).ok().filter(|name| {
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0')
        });
        // Acting for another user needs rights that do not exist yet.
        let for_self = credentials.authorization.is_empty()
            || credentials.authorization.eq_ignore_ascii_case(user);
        let known = match name {
            Some(name) if for_self => match self.users.credential(name).await {
                Ok(known) => known,
                Err(refusal) => {
                    tracing::error!(%refusal, "the directory can't be asked");
                    return Err(Denied::Unavailable);
                }
            },
            Some(_) | None => None,
        };
        let stored = known
            .as_ref()
            .and_then(|known| known.password_hash.as_deref());
        match (
            self.verifier.verify(&credentials.password, stored).await,
            known,
        ) {
            (Verdict::Right, Some(known)) if known.enabled => Ok(Admitted {
                account: known.account,
                name: known.name,
            }),
            (Verdict::Right | Verdict::Wrong, _) => Err(Denied::Credentials),
            (Verdict::Busy, _) => Err(Denied::Unavailable),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::password::{Cost, hash};

    struct Fake(Result<Vec<Credential>, Refusal>);
    impl Users for Fake {
        async fn credential(&self, name: &str) -> Result<Option<Credential>, Refusal> {
            let users = self.0.clone()?;
            Ok(users
                .into_iter()
                .find(|user| user.name.eq_ignore_ascii_case(name)))
        }
    }

    fn user(name: &str, password: Option<&str>, enabled: bool) -> Credential {
        let password_hash = password.map(|p| hash(p.as_bytes(), Cost::CHEAPEST).unwrap());
        Credential {
            account: AccountId(7),
            name: name.to_owned(),
            password_hash,
            enabled,
        }
    }
    fn directory(users: Result<Vec<Credential>, Refusal>) -> Directory<Fake> {
        let verifier = Arc::new(Verifier::new(Cost::CHEAPEST).unwrap());
        Directory::new(Fake(users), verifier, Duration::from_millis(200))
    }
    fn credentials(authorization: &str, user: &str, password: &str) -> Credentials {
        Credentials {
            authorization: authorization.into(),
            user: user.into(),
            password: password.into(),
        }
    }

    #[tokio::test]
    async fn a_right_password_lets_the_user_in_under_the_stored_name() {
        let directory = directory(Ok(vec![user("anna@example.test", Some("geheim"), true)]));
        let admitted = Admitted {
            account: AccountId(7),
            name: "anna@example.test".into(),
        };
        for credentials in [
            credentials("", "anna@example.test", "geheim"),
            credentials("", "ANNA@example.test", "geheim"),
            credentials("anna@example.test", "anna@example.test", "geheim"),
        ] {
            assert_eq!(
                directory.authenticate(&credentials).await,
                Ok(admitted.clone())
            );
        }
    }

    #[tokio::test]
    async fn whatever_is_wrong_gets_one_answer_after_a_delay() {
        let directory = directory(Ok(vec![
            user("anna", Some("geheim"), true),
            user("otto", Some("geheim"), false),
            user("nobody", None, true),
        ]));
        for credentials in [
            credentials("", "anna", "falsch"),
            credentials("", "unknown", "geheim"),
            credentials("", "otto", "geheim"),
            credentials("", "nobody", ""),
            credentials("otto", "anna", "geheim"),
            credentials("", "", "geheim"),
            credentials("", "a\0nna", "geheim"),
            credentials("", "anna", &"x".repeat(5000)),
        ] {
            let begun = Instant::now();
            assert_eq!(
                directory.authenticate(&credentials).await,
                Err(Denied::Credentials)
            );
            assert!(
                begun.elapsed() >= Duration::from_millis(200),
                "{credentials:?}"
            );
        }
    }

    #[tokio::test]
    async fn when_the_store_is_away_nobody_is_called_wrong() {
        let directory = directory(Err(Refusal::Unavailable));
        let credentials = credentials("", "anna", "geheim");
        assert_eq!(
            directory.authenticate(&credentials).await,
            Err(Denied::Unavailable)
        );
    }
}
