//! TLS: rustls with ring, always chosen explicitly. The certificate's files are looked at every few
//! seconds and read again when they changed; a broken new pair leaves the old one in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::exit::{Exit, Failure};

/// How often the files are looked at.
pub const LOOK: Duration = Duration::from_secs(5);
/// A longer PEM file is no certificate chain.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// The certificate in use.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

/// What shows that a file changed: time and length of both.
type Marks = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn open(certificate: &Path, key: &Path) -> Result<Arc<Self>, Failure> {
        let config = read(certificate, key).map_err(|why| Failure::new(Exit::Config, why))?;
        if let Some(warning) = key_is_open(key) {
            tracing::warn!("{warning}");
        }
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(config),
        }))
    }

    /// For the next handshake.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self
            .current
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Looks at the files every `period`, for ever.
    pub async fn follow(&self, period: Duration) {
        let mut seen = self.marks().await;
        let mut told_broken = None;
        loop {
            tokio::time::sleep(period).await;
            let marks = self.marks().await;
            if marks == seen {
                continue;
            }
            match self.reload().await {
                Ok(()) => {
                    tracing::info!(certificate = %self.certificate.display(), "certificate read again");
                    seen = marks;
                    told_broken = None;
                }
                // The two files are replaced one after the other: look again each time, tell once.
                Err(why) if told_broken != Some(marks) => {
                    tracing::warn!("{why} The certificate read before stays in use.");
                    told_broken = Some(marks);
                }
                Err(_) => {}
            }
        }
    }

    async fn marks(&self) -> Marks {
        let mut marks = [None, None];
        for (mark, path) in marks.iter_mut().zip([&self.certificate, &self.key]) {
            if let Ok(file) = tokio::fs::metadata(path).await {
                *mark = file.modified().ok().map(|time| (time, file.len()));
            }
        }
        marks
    }

    async fn reload(&self) -> Result<(), String> {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        let config = tokio::task::spawn_blocking(move || read(&certificate, &key))
            .await
            .map_err(|_| "Reading the certificate failed.".to_owned())??;
        *self
            .current
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = config;
        Ok(())
    }
}

/// Reads a chain and its key.
fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let pem = |path: &Path, what: &str| -> Result<Vec<u8>, String> {
        let at = path.display();
        let file = std::fs::metadata(path)
            .map_err(|why| format!("The {what} {at} can't be read: {why}."))?;
        if file.len() > PEM_BYTES_MAX {
            return Err(format!("The {what} {at} is longer than 1 MiB."));
        }
        std::fs::read(path).map_err(|why| format!("The {what} {at} can't be read: {why}."))
    };
    let chain = pem(certificate, "certificate")?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|why| {
            format!(
                "The certificate {} is not PEM: {why}.",
                certificate.display()
            )
        })?;
    if chain.is_empty() {
        return Err(format!(
            "The file {} holds no certificate.",
            certificate.display()
        ));
    }
    let secret = pem(key, "private key")?;
    // The reason is not shown: it could quote the file.
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| {
        format!(
            "The file {} holds no private key that can be read (PEM, without a passphrase).",
            key.display()
        )
    })?;
    config(chain, secret).map_err(|why| {
        format!(
            "Certificate {} and key {} can't be used: {why}.",
            certificate.display(),
            key.display()
        )
    })
}

/// The server's side of TLS 1.2 and 1.3 with this certificate.
fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A warning when others may read the key.
fn key_is_open(key: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(key).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        format!(
            "The private key {} can be read by everybody on this machine.",
            key.display()
        )
    })
}

/// A certificate for `names` that nobody else vouches for, and its key, both in PEM.
///
/// # Errors
/// A sentence.
pub fn self_signed(names: Vec<String>) -> Result<(String, String), Failure> {
    let made = rcgen::generate_simple_self_signed(names).map_err(|why| {
        Failure::new(
            Exit::Software,
            format!("No certificate could be made: {why}."),
        )
    })?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = self_signed(vec![name.to_owned()]).unwrap();
        let paths = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&paths.0, certificate).unwrap();
        std::fs::write(&paths.1, key).unwrap();
        paths
    }

    #[tokio::test]
    async fn a_changed_certificate_is_read_again_and_a_broken_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = write(folder.path(), "a.example");
        let certificates = Certificates::open(&certificate, &key).unwrap();
        let current = |c: &Certificates| Arc::clone(&c.current.read().unwrap());
        let first = current(&certificates);
        let following = Arc::clone(&certificates);
        let task = tokio::spawn(async move { following.follow(Duration::from_millis(20)).await });
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(Arc::ptr_eq(&first, &current(&certificates)));

        std::fs::write(&certificate, "broken").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            Arc::ptr_eq(&first, &current(&certificates)),
            "a broken certificate was taken"
        );

        write(folder.path(), "b.example");
        let mut second = current(&certificates);
        for _ in 0..100 {
            if !Arc::ptr_eq(&first, &second) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            second = current(&certificates);
        }
        assert!(
            !Arc::ptr_eq(&first, &second),
            "the new certificate was not read"
        );
        task.abort();
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = write(folder.path(), "a.example");
        let why = |c: &Path, k: &Path| Certificates::open(c, k).unwrap_err().message;
        assert!(why(&folder.path().join("no"), &key).contains("can't be read"));
        assert!(why(&key, &key).contains("holds no certificate"));
        assert!(why(&certificate, &certificate).contains("holds no private key"));
        let other = folder.path().join("other.pem");
        std::fs::write(&other, self_signed(vec!["x".into()]).unwrap().1).unwrap();
        assert!(why(&certificate, &other).contains("can't be used"));
    }
}
