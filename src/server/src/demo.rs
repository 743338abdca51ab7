//! `dbmail demo`: a store of its own with a user and sample mail, served until Ctrl-C.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::admin::{self, send};
use crate::clock;
use crate::config::{Address, Config, Loaded};
use crate::exit::{Exit, Failure};
use crate::password::{self, Cost};
use crate::serve::{Options, Served, Server, Signals};
use crate::tls;

/// The user of the demonstration.
const USER: &str = "demo@example.test";

/// Runs the demonstration.
///
/// # Errors
/// When the folder, the certificate or the server can't be made.
pub async fn demo(loaded: &Loaded) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let folder = tempfile::Builder::new()
        .prefix("dbmail-demo-")
        .tempdir()
        .map_err(|why| {
            Failure::new(
                Exit::CantCreate,
                format!("No temporary folder can be made: {why}."),
            )
        })?;
    let config = prepare(loaded, folder.path())?;
    let server = Server::start(&config, Options::default()).await?;
    let password = password::generate()
        .map_err(|why| Failure::new(Exit::Software, format!("No password can be made: {why}.")))?;
    fill(&server, &password).await?;
    say(&introduction(&server, &password, folder.path()))?;
    signals.stop().await;
    say("\nStopping; everything of the demonstration is removed.\n")?;
    server.stop().await;
    Ok(())
}

/// A configuration in the folder, on free loopback ports: the configured ones where they are free.
fn prepare(loaded: &Loaded, folder: &Path) -> Result<Config, Failure> {
    let mut config = loaded.config.clone();
    // Nothing of the demonstration touches a configured database or certificate.
    config.database.url = format!("sqlite:{}/mail.db", folder.display());
    config.managesieve.listen = Vec::new();
    for (what, listen) in [
        ("IMAP", &mut config.imap.listen),
        ("IMAPS", &mut config.imap.tls_listen),
        ("LMTP", &mut config.lmtp.listen),
        ("HTTP", &mut config.http.listen),
    ] {
        *listen = vec![Address::Tcp(free(what, listen)?)];
    }
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let (certificate, key) = tls::self_signed(names)?;
    let paths = (folder.join("certificate.pem"), folder.join("key.pem"));
    for (path, text) in [(&paths.0, certificate), (&paths.1, key)] {
        write_private(path, &text).map_err(|why| {
            Failure::new(
                Exit::CantCreate,
                format!("{} can't be written: {why}.", path.display()),
            )
        })?;
    }
    (config.tls.certificate, config.tls.key) = (Some(paths.0), Some(paths.1));
    Ok(config)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// The first configured loopback address if it is free, else any free port.
fn free(what: &str, listen: &[Address]) -> Result<SocketAddr, Failure> {
    let configured = listen.iter().find_map(|address| match address {
        Address::Tcp(address) if address.ip().is_loopback() => Some(*address),
        Address::Tcp(_) | Address::Unix(_) => None,
    });
    if let Some(address) = configured {
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
        say(&format!(
            "Port {} is taken, so {what} gets another one.\n",
            address.port()
        ))?;
    }
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// A user with mail.
async fn fill(server: &Server, password: &str) -> Result<(), Failure> {
    let failed = |what: &str, why: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Software,
            format!("The demonstration's {what} failed: {why}."),
        )
    };
    let hash = password::hash(password.as_bytes(), Cost::RECOMMENDED)
        .map_err(|why| failed("password", &why))?;
    let user = admin::new_user(USER.to_owned(), Some(hash), None, Vec::new());
    server
        .store
        .user_add(user)
        .await
        .map_err(|why| failed("user", &why))?;
    let Some(Address::Tcp(lmtp)) = server.address(Served::Lmtp) else {
        return Err(failed("delivery", &"LMTP is not served"));
    };
    for message in samples() {
        let stream = TcpStream::connect(lmtp)
            .await
            .map_err(|why| failed("delivery", &why))?;
        let (pieces, receiver) = mpsc::channel(2);
        for piece in [message.into_bytes(), Vec::new()] {
            // The channel has room for both.
            let _ = pieces.send(Ok(piece)).await;
        }
        let delivered = send(stream, ("welcome@example.test", USER), receiver)
            .await
            .map_err(|why| failed("delivery", &why))?;
        if delivered.code() != 250 {
            return Err(failed("delivery", &delivered.reply));
        }
    }
    Ok(())
}

/// Messages of the kinds that mail has: plain, with alternatives, with an attachment.
fn samples() -> [String; 3] {
    let date = jiff::Timestamp::from_microsecond(clock::now().0)
        .unwrap_or_default()
        .strftime("%a, %d %b %Y %H:%M:%S +0000");
    let header = |subject: &str, number: u32| {
        format!(
            "Date: {date}\nFrom: DBMail <welcome@example.test>\nTo: <{USER}>\nSubject: {subject}\n\
             Message-ID: <{number}.{}@example.test>\nMIME-Version: 1.0\n",
            clock::now().0
        )
    };
    let plain = format!(
        "{}Content-Type: text/plain; charset=utf-8\n\n\
         This message came in by LMTP, lies in an SQL database, and you read it by IMAP.\n\n\
         Flag it, copy it, move it, delete it: another client sees it at once.\n",
        header("Welcome", 1)
    );
    let alternative = format!(
        "{}Content-Type: multipart/alternative; boundary=\"alternative\"\n\n\
         --alternative\nContent-Type: text/plain; charset=utf-8\n\n\
         Grüße, 你好, здравствуйте: text in two forms.\n\
         --alternative\nContent-Type: text/html; charset=utf-8\n\n\
         <p>Grüße, 你好, здравствуйте: <b>text in two forms</b>.</p>\n\
         --alternative--\n",
        header("=?utf-8?Q?Gr=C3=BC=C3=9Fe_in_two_forms?=", 2)
    );
    let rows: String = (1..=400)
        .map(|n| format!("{n},{},{}\n", n * n, n * n * n))
        .collect();
    let attachment = format!(
        "{}Content-Type: multipart/mixed; boundary=\"mixed\"\n\n\
         --mixed\nContent-Type: text/plain; charset=utf-8\n\nA table is attached.\n\
         --mixed\nContent-Type: text/csv; name=\"cubes.csv\"\n\
         Content-Disposition: attachment; filename=\"cubes.csv\"\n\nn,square,cube\n{rows}\
         --mixed--\n",
        header("A message with an attachment", 3)
    );
    [plain, alternative, attachment].map(|message| message.replace('\n', "\r\n"))
}

/// How to connect.
fn introduction(server: &Server, password: &str, folder: &Path) -> String {
    let at = |served| {
        server
            .address(served)
            .map(ToString::to_string)
            .unwrap_or_else(|| "not served".to_owned())
    };
    let port = |served| match server.address(served) {
        Some(Address::Tcp(address)) => address.port(),
        Some(Address::Unix(_)) | None => 0,
    };
    let (imap, imaps) = (at(Served::Imap), at(Served::Imaps));
    format!(
        "DBMail is running, with three messages in a store of its own.\n\
         \n\
         user       {USER}\n\
         password   {password}\n\
         IMAP       host 127.0.0.1, port {}, no encryption (this machine only) or STARTTLS\n\
         IMAPS      host 127.0.0.1, port {}, TLS; the certificate is self-signed, so accept it once\n\
         LMTP       {}\n\
         metrics    http://{}/metrics\n\
         \n\
         Try:\n\
         \x20 curl --user '{USER}:{password}' 'imap://{imap}/INBOX;UID=1'\n\
         \x20 curl --insecure --user '{USER}:{password}' 'imaps://{imaps}/' --request 'STATUS INBOX (MESSAGES UNSEEN)'\n\
         \n\
         The database is {}/mail.db. Ctrl-C ends the demonstration and removes it.\n",
        port(Served::Imap),
        port(Served::Imaps),
        at(Served::Lmtp),
        at(Served::Http),
        folder.display(),
    )
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|why| {
            Failure::new(
                Exit::Io,
                format!("Standard output can't be written: {why}."),
            )
        })
}
