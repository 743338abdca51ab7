//! Passwords: argon2id, salted, as PHC strings. Verification runs on a few blocking threads; a verified
//! password is remembered for some minutes by a keyed hash, so that clients which reconnect often cost little.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Verifications at the same time: each takes 19 MiB and a core for tens of milliseconds.
const VERIFICATIONS_MAX: usize = 2;
/// Verifications that may wait. More is answered "unavailable": about 10 seconds of work are waiting then.
const WAITING_MAX: usize = 256;
/// How long a verified password is remembered.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// Passwords remembered: 32 octets of hash and a time each, about 1 MiB.
const REMEMBERED_MAX: usize = 16 * 1024;
/// Longest password, in octets: longer ones are no passwords, but work for the hash.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// What a new hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    memory_kib: u32,
    /// Passes over it.
    passes: u32,
}

impl Cost {
    /// OWASP's recommendation for argon2id: 19 MiB, two passes, one lane.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
    };
    /// The least that argon2 allows. For tests in this process; no key and no variable leads here.
    pub const CHEAPEST: Self = Self {
        memory_kib: 8,
        passes: 1,
    };
}

/// A password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// It is empty.
    #[error("the password is empty")]
    Empty,
    /// It is longer than [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than 1,024 octets")]
    Long,
    /// It holds NUL, CR or LF, which no client can send.
    #[error("the password holds a line end or NUL, which mail clients can't send")]
    Character,
    /// No random numbers, or no memory.
    #[error("the password could not be hashed")]
    Hash,
}

/// The PHC string to store for a password.
///
/// # Errors
/// [`BadPassword`]
pub fn hash(password: &[u8], cost: Cost) -> Result<String, BadPassword> {
    if password.is_empty() {
        return Err(BadPassword::Empty);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(BadPassword::Long);
    }
    if password.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
        return Err(BadPassword::Character);
    }
    let params =
        Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|_| BadPassword::Hash)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2
        .hash_password(password)
        .map_err(|_| BadPassword::Hash)?;
    Ok(hash.to_string())
}

/// Whether the password belongs to the stored hash. Expensive: not on a thread that serves connections.
fn matches(password: &[u8], stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// Octets that nobody can guess.
///
/// # Errors
/// When the system gives none.
pub fn random<const N: usize>() -> Result<[u8; N], BadPassword> {
    let mut octets = [0; N];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut octets)
        .map_err(|_| BadPassword::Hash)?;
    Ok(octets)
}

/// A password for a machine to make and a person to copy: 120 bits without look-alikes.
///
/// # Errors
/// As [`random`].
pub fn generate() -> Result<String, BadPassword> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let octets = random::<24>()?;
    Ok(octets
        .iter()
        .filter_map(|b| LETTERS.get(usize::from(b % 32)))
        .map(|b| char::from(*b))
        .collect())
}

/// What verification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right,
    /// It is not, or there is nothing to compare it with.
    Wrong,
    /// Too many verifications wait.
    Busy,
}

/// Verifies passwords.
pub struct Verifier {
    /// Compared with when a user is unknown, so that the answer takes as long.
    dummy: String,
    /// Key of the remembered hashes, of this process alone.
    key: [u8; 32],
    running: Semaphore,
    waiting: AtomicUsize,
    remembered: Mutex<BTreeMap<[u8; 32], Instant>>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// A verifier. Costs one hash.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn new(cost: Cost) -> Result<Self, BadPassword> {
        Ok(Self {
            dummy: hash(&random::<16>()?.map(|b| b | 0x80), cost)?,
            key: random()?,
            running: Semaphore::new(VERIFICATIONS_MAX),
            waiting: AtomicUsize::new(0),
            remembered: Mutex::new(BTreeMap::new()),
        })
    }

    /// Whether `password` belongs to `stored`. Without a stored hash it takes as long and says `Wrong`.
    pub async fn verify(&self, password: &[u8], stored: Option<&str>) -> Verdict {
        if password.len() > PASSWORD_BYTES_MAX {
            return Verdict::Wrong;
        }
        let digest = stored.map(|stored| self.digest(password, stored));
        if digest.is_some_and(|digest| self.recall(&digest, Instant::now())) {
            return Verdict::Right;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Verdict::Busy;
        }
        let waiting = Waiting(&self.waiting);
        let permit = self.running.acquire().await;
        drop(waiting);
        let (password, hash) = (password.to_vec(), stored.unwrap_or(&self.dummy).to_owned());
        let right = tokio::task::spawn_blocking(move || matches(&password, &hash)).await;
        drop(permit);
        match (right, digest) {
            (Ok(true), Some(digest)) => {
                self.remember(digest, Instant::now());
                Verdict::Right
            }
            (Ok(_), _) => Verdict::Wrong,
            (Err(_), _) => Verdict::Busy,
        }
    }

    /// Names a pair of password and stored hash: another stored hash is another digest, so a changed password is
    /// forgotten by itself. The stored hash holds a salt of its own for each user.
    fn digest(&self, password: &[u8], stored: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(
            &u64::try_from(password.len())
                .unwrap_or(u64::MAX)
                .to_le_bytes(),
        );
        hasher.update(password);
        hasher.update(stored.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn recall(&self, digest: &[u8; 32], now: Instant) -> bool {
        let mut remembered = self.locked();
        match remembered.get(digest) {
            Some(until) if *until > now => true,
            Some(_) => {
                remembered.remove(digest);
                false
            }
            None => false,
        }
    }

    fn remember(&self, digest: [u8; 32], now: Instant) {
        let mut remembered = self.locked();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, until| *until > now);
        }
        if remembered.len() >= REMEMBERED_MAX {
            // The digests are random, so this forgets somebody at random.
            remembered.pop_first();
        }
        remembered.insert(digest, now + REMEMBERED);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<[u8; 32], Instant>> {
        // A panic elsewhere leaves the map whole: each change is one call.
        self.remembered
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Counts one that waits, also when its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_salted_and_of_the_recommended_cost() {
        let first = hash(b"secret", Cost::RECOMMENDED).unwrap();
        assert!(
            first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{first}"
        );
        assert_ne!(first, hash(b"secret", Cost::RECOMMENDED).unwrap());
        assert!(matches(b"secret", &first) && !matches(b"Secret", &first));
    }

    #[test]
    fn what_is_no_password_is_not_hashed() {
        assert_eq!(hash(b"", Cost::CHEAPEST), Err(BadPassword::Empty));
        assert_eq!(hash(b"a\nb", Cost::CHEAPEST), Err(BadPassword::Character));
        assert_eq!(hash(&[b'x'; 1025], Cost::CHEAPEST), Err(BadPassword::Long));
    }

    #[test]
    fn a_damaged_stored_hash_matches_nothing() {
        for stored in [
            "",
            "x",
            "$argon2id$",
            "$argon2id$v=19$m=8,t=1,p=1$AAAA",
            "{CRYPT}x",
        ] {
            assert!(!matches(b"x", stored), "{stored}");
        }
    }

    #[tokio::test]
    async fn a_verified_password_is_remembered_until_it_changes_or_time_passes() {
        let verifier = Verifier::new(Cost::CHEAPEST).unwrap();
        let stored = hash(b"one", Cost::CHEAPEST).unwrap();
        assert_eq!(verifier.verify(b"two", Some(&stored)).await, Verdict::Wrong);
        assert!(verifier.locked().is_empty());
        assert_eq!(verifier.verify(b"one", Some(&stored)).await, Verdict::Right);
        let digest = verifier.digest(b"one", &stored);
        assert!(verifier.recall(&digest, Instant::now()));
        // Another password stored: the old one is not recalled.
        let changed = hash(b"three", Cost::CHEAPEST).unwrap();
        assert_eq!(
            verifier.verify(b"one", Some(&changed)).await,
            Verdict::Wrong
        );
        // Five minutes later it is forgotten.
        assert!(!verifier.recall(&digest, Instant::now() + REMEMBERED));
        assert!(verifier.locked().is_empty());
    }

    #[tokio::test]
    async fn without_a_stored_hash_the_same_work_is_done_and_the_answer_is_wrong() {
        let verifier = Verifier::new(Cost::CHEAPEST).unwrap();
        assert_eq!(verifier.verify(b"one", None).await, Verdict::Wrong);
        assert!(verifier.dummy.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    }

    #[tokio::test]
    async fn when_too_many_wait_the_next_is_told_at_once() {
        let verifier = Verifier::new(Cost::CHEAPEST).unwrap();
        verifier.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert_eq!(verifier.verify(b"one", None).await, Verdict::Busy);
        assert_eq!(verifier.waiting.load(Ordering::Relaxed), WAITING_MAX);
    }

    #[test]
    fn the_memory_of_passwords_is_bounded() {
        let verifier = Verifier::new(Cost::CHEAPEST).unwrap();
        let now = Instant::now();
        for n in 0..REMEMBERED_MAX + 10 {
            verifier.remember(*blake3::hash(&n.to_le_bytes()).as_bytes(), now);
        }
        assert_eq!(verifier.locked().len(), REMEMBERED_MAX);
    }

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert_eq!(a.len(), 24);
        assert_ne!(a, b);
    }
}
