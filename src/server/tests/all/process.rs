//! The program as a process: command line, exit codes, signals, logs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "swordfish-in-the-log?";

pub(crate) struct Place {
    pub(crate) folder: TempDir,
    config: PathBuf,
    pub(crate) imap: u16,
    lmtp: u16,
    http: u16,
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(crate) fn place(more: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (imap, lmtp, http) = (free_port(), free_port(), free_port());
    let config = folder.path().join("dbmail.toml");
    let text = format!(
        "[database]\nurl = \"sqlite:{}/data/mail.db\"\n[imap]\nlisten = \"127.0.0.1:{imap}\"\n[lmtp]\nlisten = \"127.0.0.1:{lmtp}\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n{more}",
        folder.path().display()
    );
    std::fs::write(&config, text).unwrap();
    Place {
        folder,
        config,
        imap,
        lmtp,
        http,
    }
}

fn program(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbmail"));
    command
        .env_remove("DBMAIL_CONFIG")
        .arg("--config")
        .arg(config);
    command
}

impl Place {
    pub(crate) fn run(&self, words: &[&str], input: &str) -> Output {
        let mut child = program(&self.config)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses early does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str], input: &str) -> String {
        let output = self.run(words, input);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{words:?}: {out}{err}");
        out
    }

    /// Runs and expects this exit code; what was said on standard error.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str], input: &str, code: i32) -> String {
        let output = self.run(words, input);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {out}{err}");
        err
    }

    pub(crate) fn serve(&self) -> Serving {
        let mut child = program(&self.config)
            .arg("serve")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("ready") {
            let read = log.read_line(&mut seen).unwrap();
            assert!(read > 0, "the server did not start: {seen}");
        }
        Serving { child, log, seen }
    }
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

pub(crate) struct Serving {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Serving {
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Stops the server; its exit code and its whole log.
    pub(crate) fn stop(self) -> (Option<i32>, String) {
        self.signal("-TERM");
        self.end()
    }

    /// Awaits the end of a server that was told to stop: a second signal would end it at once.
    fn end(mut self) -> (Option<i32>, String) {
        self.log.read_to_string(&mut self.seen).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends lines to a port and returns all that comes until the peer closes.
pub(crate) fn talk(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    let place = place("[log]\nlevle = \"info\"\n");
    for command in ["serve", "check-config"] {
        let said = place.fails(&[command], "", 78);
        assert!(
            said.contains("there is no key log.levle. Did you mean log.level?"),
            "{said}"
        );
    }
}

#[test]
fn check_config_shows_what_is_in_effect_and_where_from() {
    let place = place("[server]\nhostname = \"mail.example.test\"\n");
    let output = program(&place.config)
        .arg("check-config")
        .env("DBMAIL_LOG_LEVEL", "debug")
        .output()
        .unwrap();
    let (out, _) = texts(&output);
    assert!(
        out.contains("hostname = \"mail.example.test\"  # "),
        "{out}"
    );
    assert!(out.contains("dbmail.toml"), "{out}");
    assert!(
        out.contains("level = \"debug\"  # environment variable DBMAIL_LOG_LEVEL"),
        "{out}"
    );
    assert!(out.contains("stop_seconds = \"10\"  # default"), "{out}");
}

#[test]
fn a_wrong_command_line_and_a_missing_file_have_their_exit_codes() {
    let place = place("");
    place.fails(&["frobnicate"], "", 64);
    place.fails(&["user", "add", "x"], "", 64);
    let output = program(Path::new("/nonexistent.toml"))
        .arg("serve")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(66));
    assert!(place.ok(&["--help"], "").contains("dbmail demo"));
}

#[test]
fn a_taken_port_is_told_in_one_sentence() {
    let place = place("");
    let taken = TcpListener::bind(("127.0.0.1", place.imap)).unwrap();
    let said = place.fails(&["serve"], "", 69);
    assert!(
        said.contains(&format!("Port {} on 127.0.0.1 is taken", place.imap)),
        "{said}"
    );
    assert!(said.contains("imap.listen"), "{said}");
    drop(taken);
}

#[test]
fn after_a_restore_the_plan_is_shown_and_nothing_done_without_a_yes() {
    let place = place("");
    place.ok(&["user", "add", "anna@example.org", "--no-password"], "");
    let list = ["mailbox", "list", "anna@example.org", "--json"];
    let before = place.ok(&list, "");
    let plan = place.ok(&["restored", "--plan"], "");
    assert!(plan.contains("6 mailboxes of 1 users"), "{plan}");
    let said = place.fails(&["restored"], "", 77);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(place.ok(&list, ""), before);
    let said = place.ok(&["restored", "--yes"], "");
    let since = said.split("--since ").nth(1).unwrap();
    let since = since.lines().next().unwrap();
    let after = place.ok(&list, "");
    assert_ne!(after, before);
    let said = place.ok(&["restored", "--yes", "--json", "--since", since], "");
    assert!(
        said.contains("\"users\": 0") && said.contains("\"users_done_before\": 1"),
        "{said}"
    );
    assert_eq!(place.ok(&list, ""), after);
}

#[test]
fn without_a_database_commands_say_how_to_make_one() {
    let place = place("");
    let said = place.fails(&["user", "list"], "", 69);
    assert!(said.contains("dbmail migrate"), "{said}");
    assert!(
        place
            .ok(&["migrate", "--plan"], "")
            .contains("would apply 0001_mail.sql")
    );
    assert!(place.ok(&["migrate"], "").contains("applied 0001_mail.sql"));
    assert!(place.ok(&["migrate"], "").contains("is up to date"));
    use std::os::unix::fs::PermissionsExt as _;
    let data = place.folder.path().join("data");
    assert_eq!(
        std::fs::metadata(data).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_file_that_is_no_database_is_left_alone_and_named() {
    let place = place("");
    let file = place.folder.path().join("data/mail.db");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "Dear diary, ".repeat(100)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let said = place.fails(&["serve"], "", 69);
    assert!(said.contains("mail.db is no database"), "{said}");
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("Dear diary")
    );
}

#[test]
fn users_and_mailboxes_are_administered_beside_a_running_server() {
    let place = place("");
    let serving = place.serve();
    let add = [
        "user",
        "add",
        "anna@example.test",
        "--password-stdin",
        "--quota",
        "1G",
        "--alias",
        "a@example.test",
    ];
    place.ok(&add, &format!("{PASSWORD}\n"));
    let said = place.fails(&add, PASSWORD, 73);
    assert!(
        said.contains("There is already a user anna@example.test."),
        "{said}"
    );
    let shown = place.ok(&["user", "show", "anna@example.test", "--json"], "");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown["addresses"],
        serde_json::json!(["anna@example.test", "a@example.test"])
    );
    assert_eq!(shown["quota_bytes"], 1 << 30);
    assert_eq!(shown["enabled"], true);

    place.ok(&["mailbox", "create", "anna@example.test", "Work/2026"], "");
    let mailboxes = place.ok(&["mailbox", "list", "anna@example.test", "--json"], "");
    let mailboxes: serde_json::Value = serde_json::from_str(&mailboxes).unwrap();
    let names: Vec<&str> = mailboxes
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "Archive",
            "Drafts",
            "INBOX",
            "Junk",
            "Sent",
            "Trash",
            "Work",
            "Work/2026"
        ]
    );
    place.fails(
        &["mailbox", "delete", "anna@example.test", "Work/2026"],
        "",
        77,
    );
    place.ok(
        &[
            "mailbox",
            "delete",
            "anna@example.test",
            "Work/2026",
            "--yes",
        ],
        "",
    );
    place.fails(
        &[
            "mailbox",
            "delete",
            "anna@example.test",
            "Work/2026",
            "--yes",
        ],
        "",
        67,
    );

    // By its own login the user sees what was done.
    let login = |password: &str| {
        talk(
            place.imap,
            &format!("a LOGIN anna@example.test {password}\r\nb LIST \"\" *\r\nc LOGOUT\r\n"),
        )
    };
    let listed = login(PASSWORD);
    assert!(
        listed.contains("a OK") && listed.contains("Work") && !listed.contains("2026"),
        "{listed}"
    );
    place.ok(
        &["user", "passwd", "anna@example.test", "--password-stdin"],
        "another-one\n",
    );
    assert!(
        login(PASSWORD).contains("a NO"),
        "the old password is still good"
    );
    assert!(login("another-one").contains("a OK"));
    place.ok(&["user", "disable", "anna@example.test"], "");
    assert!(login("another-one").contains("a NO"));
    place.ok(&["user", "enable", "anna@example.test"], "");
    assert!(login("another-one").contains("a OK"));
    place.fails(&["user", "delete", "anna@example.test"], "", 77);
    place.ok(&["user", "delete", "anna@example.test", "--yes"], "");
    place.fails(&["user", "show", "anna@example.test"], "", 67);
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn deliver_puts_standard_input_into_a_mailbox() {
    let place = place("");
    place.ok(&["migrate"], "");
    place.ok(
        &["user", "add", "anna@example.test", "--password-stdin"],
        PASSWORD,
    );
    let message = "Subject: by tool\n\nline one\nline two\n";
    place.ok(
        &[
            "deliver",
            "anna@example.test",
            "--from",
            "cron@example.test",
        ],
        message,
    );
    place.ok(
        &["deliver", "anna@example.test", "--mailbox", "Archive"],
        message,
    );
    place.fails(&["deliver", "nobody@example.test"], message, 67);
    place.fails(
        &["deliver", "anna@example.test", "--mailbox", "Nowhere"],
        message,
        67,
    );
    place.fails(&["deliver", "anna@example.test"], "", 65);
    place.fails(&["deliver", "a@b> RET=HDRS"], message, 64);
    place.fails(
        &["deliver", "anna@example.test", "--from", "x y"],
        message,
        64,
    );
    let serving = place.serve();
    let read = |mailbox: &str| {
        talk(
            place.imap,
            &format!(
                "a LOGIN anna@example.test {PASSWORD}\r\nb EXAMINE {mailbox}\r\nc FETCH 1:* BODY.PEEK[]\r\nd LOGOUT\r\n"
            ),
        )
    };
    let inbox = read("INBOX");
    assert!(inbox.contains("* 1 EXISTS"), "{inbox}");
    assert!(
        inbox.contains("Return-Path: <cron@example.test>"),
        "{inbox}"
    );
    assert!(
        inbox.contains("Subject: by tool\r\n\r\nline one\r\nline two\r\n"),
        "{inbox}"
    );
    let archive = read("Archive");
    assert!(
        archive.contains("* 1 EXISTS") && archive.contains("Return-Path: <>"),
        "{archive}"
    );
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn a_delivery_by_another_process_wakes_an_idle_client() {
    let place = place("");
    let serving = place.serve();
    place.ok(
        &["user", "add", "anna@example.test", "--password-stdin"],
        PASSWORD,
    );
    let mut idle = TcpStream::connect(("127.0.0.1", place.imap)).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut lines = BufReader::new(idle.try_clone().unwrap());
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.starts_with(wanted) {
            line.clear();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "{wanted} did not come"
            );
        }
    };
    let login = format!("a LOGIN anna@example.test {PASSWORD}\r\nb SELECT INBOX\r\nc IDLE\r\n");
    idle.write_all(login.as_bytes()).unwrap();
    until("+ ");
    place.ok(
        &["deliver", "anna@example.test"],
        "Subject: from outside\n\nx\n",
    );
    until("* 1 EXISTS");
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let place = place("");
    let mut serving = place.serve();
    serving.log = {
        let mut nobody = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
        nobody.wait().unwrap();
        BufReader::new(nobody.stderr.take().unwrap())
    };
    for _ in 0..3 {
        let said = talk(place.imap, "a LOGIN x y\r\nb LOGOUT\r\n");
        assert!(said.contains("a NO") && said.contains("b OK"), "{said}");
    }
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn no_log_line_holds_a_password_or_the_text_of_a_message() {
    for format in ["text", "json"] {
        let place = place(&format!(
            "[log]\nlevel = \"trace\"\nformat = \"{format}\"\n"
        ));
        let serving = place.serve();
        place.ok(
            &["user", "add", "anna@example.test", "--password-stdin"],
            PASSWORD,
        );
        let base64 = "AGFubmFAZXhhbXBsZS50ZXN0AHdyb25nLXNlY3JldA==";
        let delivered = talk(
            place.lmtp,
            "LHLO c\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\nSubject: hush-hush\r\n\r\nprivate-matter\r\n.\r\nQUIT\r\n",
        );
        assert!(delivered.contains("250 2.0.0"), "{delivered}");
        let read = talk(
            place.imap,
            &format!(
                "a LOGIN anna@example.test {PASSWORD}x\r\nb AUTHENTICATE PLAIN {base64}\r\nc LOGIN anna@example.test {PASSWORD}\r\nd SELECT INBOX\r\ne FETCH 1 BODY[]\r\nf LOGOUT\r\n"
            ),
        );
        assert!(read.contains("private-matter"), "{read}");
        let (code, log) = serving.stop();
        assert_eq!(code, Some(0));
        for secret in [
            PASSWORD,
            base64,
            "wrong-secret",
            "hush-hush",
            "private-matter",
            "argon2",
        ] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
        // What should be there is.
        for told in [
            "login refused",
            "login",
            "delivery",
            "connection ended",
            "anna@example.test",
        ] {
            assert!(log.contains(told), "{told} is not in the log:\n{log}");
        }
        if format == "json" {
            for line in log.lines() {
                assert!(
                    serde_json::from_str::<serde_json::Value>(line).is_ok(),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn sigterm_lets_clients_hear_goodbye_and_the_program_ends_with_0() {
    let place = place("");
    let serving = place.serve();
    let mut idle = TcpStream::connect(("127.0.0.1", place.imap)).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut lines = BufReader::new(idle.try_clone().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serving.signal("-HUP");
    idle.write_all(b"a NOOP\r\n").unwrap();
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("a OK"), "{line}");
    let begun = Instant::now();
    serving.signal("-TERM");
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("* BYE"), "{line}");
    drop((idle, lines));
    let (code, log) = serving.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert!(TcpStream::connect(("127.0.0.1", place.http)).is_err());
}

#[test]
fn the_demonstration_can_be_tried_as_it_says() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dbmail"))
        .arg("demo")
        .env("DBMAIL_IMAP_LISTEN", "127.0.0.1:0")
        .env("DBMAIL_LMTP_LISTEN", "127.0.0.1:0")
        .env("DBMAIL_HTTP_LISTEN", "127.0.0.1:0")
        .env("DBMAIL_IMAP_TLS_LISTEN", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C") {
        assert!(out.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let after = |label: &str| {
        let line = said.lines().find(|line| line.starts_with(label)).unwrap();
        line[label.len()..].trim().to_owned()
    };
    let password = after("password");
    let imap: u16 = {
        let line = after("IMAP ");
        let port = line.split("port ").nth(1).unwrap();
        port.split(',').next().unwrap().parse().unwrap()
    };
    let read = talk(
        imap,
        &format!(
            "a LOGIN demo@example.test {password}\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\nd LOGOUT\r\n"
        ),
    );
    assert!(
        read.contains("* 3 EXISTS") && read.contains("Subject: Welcome"),
        "{read}"
    );
    let folder = said.split("The database is ").nth(1).unwrap();
    let folder = folder.split("/mail.db").next().unwrap().to_owned();
    assert!(Path::new(&folder).join("mail.db").exists());
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(
        !Path::new(&folder).exists(),
        "the demonstration left its folder behind"
    );
}

#[test]
fn the_first_user_sets_an_empty_database_up() {
    let place = place("");
    let said = place.fails(&["user", "list"], "", 69);
    assert!(said.contains("dbmail migrate"), "{said}");
    place.ok(
        &["user", "add", "anna@example.test", "--password-stdin"],
        PASSWORD,
    );
    assert!(
        place
            .ok(&["user", "list"], "")
            .contains("anna@example.test")
    );
}

#[test]
fn top_shows_a_running_server_and_says_when_there_is_none() {
    let place = place("");
    let said = place.fails(&["top", "--once"], "", 69);
    assert!(said.contains("Start dbmail serve"), "{said}");
    place.ok(
        &["user", "add", "anna@example.org", "--password-stdin"],
        "long-enough-4\n",
    );
    let serving = place.serve();
    let mut lmtp = TcpStream::connect(("127.0.0.1", place.lmtp)).unwrap();
    let mut greeting = [0; 4];
    lmtp.read_exact(&mut greeting).unwrap();
    let shown = place.ok(&["top", "--once"], "");
    assert!(
        shown.contains("sessions: 1") && shown.contains("lmtp"),
        "{shown}"
    );
    let json = place.ok(&["top", "--once", "--json"], "");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["sessions"][0]["protocol"], "lmtp");
    let other = format!("127.0.0.1:{}", free_port());
    let own = format!("127.0.0.1:{}", place.http);
    let both = place.ok(&["top", "--once", "--server", &own, "--server", &other], "");
    assert!(both.contains(&format!("{other}  away: ")), "{both}");
    drop(lmtp);
    assert_eq!(serving.stop().0, Some(0));
}
