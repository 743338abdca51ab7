//! A server in this process on free ports, and clients that speak line by line.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dbmail::config::{self, Address, Config};
use dbmail::password::{Cost, hash};
use dbmail::serve::{Options, Served, Server};
use dbmail::shell::Stream;
use dbmail::{admin, tls};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpStream, UnixStream};

pub(crate) const ANNA: &str = "anna@example.test";
pub(crate) const PASSWORD: &str = "correct-horse-9";
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

/// A configuration on free ports over a database in the folder.
pub(crate) fn configuration(folder: &Path, more: &str) -> Config {
    let sockets = "[imap]\nlisten = \"127.0.0.1:0\"\n[lmtp]\nlisten = [\"127.0.0.1:0\", \"unix:FOLDER/lmtp.sock\"]\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let text = format!("[database]\nurl = \"sqlite:FOLDER/data/mail.db\"\n{sockets}{more}")
        .replace("FOLDER", &folder.display().to_string());
    config::load_text(&text, Path::new("test.toml"), [])
        .unwrap()
        .config
}

pub(crate) fn quick() -> Options {
    Options {
        cost: Cost::CHEAPEST,
        wrong_attempt_delay: Duration::from_millis(100),
        certificate_look: Duration::from_millis(50),
        ..Options::default()
    }
}

/// A server with one user.
pub(crate) async fn start(more: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path(), more);
    let server = Server::start(&config, quick()).await.unwrap();
    let running = Running { server, folder };
    running.add(ANNA).await;
    running
}

/// A server with a certificate for localhost, whose files are `c.pem` and `k.pem`.
pub(crate) async fn start_with_tls() -> Running {
    let folder = tempfile::tempdir().unwrap();
    new_certificate(folder.path());
    let more = "[tls]\ncertificate = \"FOLDER/c.pem\"\nkey = \"FOLDER/k.pem\"\n";
    let mut config = configuration(folder.path(), more);
    config.imap.tls_listen = vec![Address::Tcp("127.0.0.1:0".parse().unwrap())];
    let server = Server::start(&config, quick()).await.unwrap();
    let running = Running { server, folder };
    running.add(ANNA).await;
    running
}

pub(crate) fn new_certificate(folder: &Path) {
    let (certificate, key) = tls::self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(folder.join("c.pem"), certificate).unwrap();
    std::fs::write(folder.join("k.pem"), key).unwrap();
}

impl Running {
    pub(crate) async fn add(&self, name: &str) {
        let hash = hash(PASSWORD.as_bytes(), Cost::CHEAPEST).unwrap();
        let user = admin::new_user(name.into(), Some(hash), None, vec![]);
        self.server.store.user_add(user).await.unwrap();
    }

    pub(crate) async fn connect(&self, served: Served) -> Client {
        let Some(Address::Tcp(address)) = self.server.address(served) else {
            panic!("{served:?} is not served by TCP")
        };
        Client::new(Box::new(TcpStream::connect(address).await.unwrap()))
    }

    pub(crate) async fn connect_unix(&self) -> Client {
        let path = self.folder.path().join("lmtp.sock");
        Client::new(Box::new(UnixStream::connect(path).await.unwrap()))
    }

    /// An IMAP client that is logged in.
    pub(crate) async fn imap(&self) -> Client {
        let mut client = self.connect(Served::Imap).await;
        assert!(client.line().await.starts_with("* OK"));
        let reply = client.command(&format!("LOGIN {ANNA} {PASSWORD}")).await;
        assert!(reply.last().unwrap().contains(" OK "), "{reply:?}");
        client
    }

    /// Delivers a message to Anna by LMTP.
    pub(crate) async fn deliver(&self, message: &str) -> String {
        self.connect(Served::Lmtp)
            .await
            .deliver(ANNA, message)
            .await
    }

    pub(crate) async fn http(&self, path: &str) -> String {
        let mut client = self.connect(Served::Http).await;
        client
            .send(&format!("GET {path} HTTP/1.1\r\nHost: localhost"))
            .await;
        client.send("").await;
        let mut text = String::new();
        client.0.read_to_string(&mut text).await.unwrap();
        text
    }
}

/// A connection, line by line.
pub(crate) struct Client(pub(crate) BufStream<Box<dyn Stream>>, u32);

impl Client {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self(BufStream::new(stream), 0)
    }

    pub(crate) async fn send(&mut self, line: &str) {
        self.0.write_all(line.as_bytes()).await.unwrap();
        self.0.write_all(b"\r\n").await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next line, without its end; empty at the end of the connection.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.0.read_line(&mut line))
            .await
            .expect("no line came")
            .unwrap();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Sends an IMAP command and returns all lines up to its tagged reply.
    pub(crate) async fn command(&mut self, command: &str) -> Vec<String> {
        self.1 += 1;
        let tag = format!("tag{}", self.1);
        self.send(&format!("{tag} {command}")).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let last = line.starts_with(&tag);
            assert!(
                last || !line.is_empty() || lines.len() < 10_000,
                "{lines:?}"
            );
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// As `command`, which must be answered OK.
    pub(crate) async fn ok(&mut self, command: &str) -> Vec<String> {
        let lines = self.command(command).await;
        let word = lines.last().unwrap().split(' ').nth(1);
        assert_eq!(word, Some("OK"), "{command}: {lines:?}");
        lines
    }

    /// The last line of an LMTP reply.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await;
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// Sends an LMTP command.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.send(line).await;
        self.reply().await
    }

    /// A whole LMTP transaction; the reply after DATA.
    pub(crate) async fn deliver(&mut self, to: &str, message: &str) -> String {
        assert!(self.reply().await.starts_with("220 "));
        for (line, code) in [
            ("LHLO client.example".to_owned(), "250 "),
            ("MAIL FROM:<sender@example.test>".to_owned(), "250 "),
            (format!("RCPT TO:<{to}>"), "250 "),
            ("DATA".to_owned(), "354 "),
        ] {
            let reply = self.say(&line).await;
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
        self.0.write_all(message.as_bytes()).await.unwrap();
        self.say(".").await
    }

    /// Starts TLS as the client's side, trusting the certificate in the file.
    pub(crate) async fn secure(self, certificate: &Path) -> Result<Self, std::io::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(certificate).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let name = "localhost".try_into().unwrap();
        let stream = connector.connect(name, self.0.into_inner()).await?;
        Ok(Self(BufStream::new(Box::new(stream)), self.1))
    }
}
