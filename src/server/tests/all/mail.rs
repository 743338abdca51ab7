//! Mail in by LMTP, out by IMAP.

use std::time::Duration;

use dbmail::serve::Served;
use dbmail_core::store::{Answer, Request, Resolved};

use crate::support::{ANNA, PASSWORD, start};

const MESSAGE: &str = "From: a@example.test\r\nSubject: first\r\n\r\nThe text of it.\r\n";

#[tokio::test]
async fn what_lmtp_takes_imap_gives() {
    let running = start("").await;
    assert!(running.deliver(MESSAGE).await.starts_with("250 2.0.0"));
    let mut imap = running.imap().await;
    let selected = imap.ok("SELECT INBOX").await;
    assert!(selected.contains(&"* 1 EXISTS".to_owned()), "{selected:?}");
    let fetched = imap.ok("FETCH 1 BODY.PEEK[]").await.join("\r\n");
    assert!(fetched.contains(MESSAGE.trim_end()), "{fetched}");
    assert!(
        fetched.contains("Return-Path: <sender@example.test>\r\nDelivered-To: anna@example.test")
    );
    imap.ok("LOGOUT").await;
    running.server.stop().await;
}

#[tokio::test]
async fn lmtp_is_served_on_a_unix_socket() {
    let running = start("").await;
    let reply = running.connect_unix().await.deliver(ANNA, MESSAGE).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let mut imap = running.imap().await;
    imap.ok("SELECT INBOX").await;
    let fetched = imap.ok("FETCH 1 BODY.PEEK[HEADER]").await.join("\r\n");
    assert!(fetched.contains("(unix socket)"), "{fetched}");
    running.server.stop().await;
}

#[tokio::test]
async fn an_idle_client_is_told_of_a_delivery_and_of_another_clients_change() {
    let running = start("").await;
    let mut idle = running.imap().await;
    idle.ok("SELECT INBOX").await;
    idle.send("i IDLE").await;
    assert!(idle.line().await.starts_with("+"));
    assert!(running.deliver(MESSAGE).await.starts_with("250"));
    assert_eq!(idle.line().await, "* 1 EXISTS");
    let mut other = running.imap().await;
    other.ok("SELECT INBOX").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    loop {
        let line = idle.line().await;
        if line.contains("FETCH") {
            assert!(line.contains("\\Flagged"), "{line}");
            break;
        }
        assert!(line.starts_with("* "), "{line}");
    }
    idle.send("DONE").await;
    loop {
        let line = idle.line().await;
        if line.starts_with("i ") {
            assert!(line.starts_with("i OK"), "{line}");
            break;
        }
    }
    running.server.stop().await;
}

#[tokio::test]
async fn append_goes_in_and_comes_out_again_byte_for_byte() {
    let running = start("").await;
    let mut imap = running.imap().await;
    // Larger than what is kept in memory, so it is staged.
    let body: String = (0..20_000)
        .map(|n| format!("line {n} of a longer message\r\n"))
        .collect();
    let message = format!("Subject: long\r\n\r\n{body}");
    imap.send(&format!("a APPEND Drafts (\\Draft) {{{}}}", message.len()))
        .await;
    assert!(imap.line().await.starts_with("+"));
    imap.send(&message).await;
    let reply = imap.line().await;
    assert!(reply.starts_with("a OK [APPENDUID "), "{reply}");
    imap.ok("SELECT Drafts").await;
    let fetched = imap
        .ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])")
        .await
        .join("\r\n");
    assert!(fetched.contains(&format!("RFC822.SIZE {}", message.len())));
    assert!(fetched.contains(&message), "other octets came out");
    running.server.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_counted() {
    let running = start("").await;
    let mut imap = running.connect(Served::Imap).await;
    imap.line().await;
    for login in [
        format!("LOGIN {ANNA} wrong"),
        format!("LOGIN nobody@example.test {PASSWORD}"),
    ] {
        let reply = imap.command(&login).await;
        let last = reply.last().unwrap();
        assert!(last.contains(" NO [AUTHENTICATIONFAILED]"), "{last}");
    }
    imap.ok(&format!("LOGIN {ANNA} {PASSWORD}")).await;
    let metrics = running.http("/metrics").await;
    assert!(metrics.contains("dbmail_logins_total{protocol=\"imap\",outcome=\"denied\"} 2"));
    assert!(metrics.contains("dbmail_logins_total{protocol=\"imap\",outcome=\"admitted\"} 1"));
    running.server.stop().await;
}

#[tokio::test]
async fn unknown_and_disabled_users_get_no_mail_and_no_entry() {
    let running = start("").await;
    running.add("otto@example.test").await;
    running
        .server
        .store
        .user_enable("otto@example.test", false)
        .await
        .unwrap();
    let mut lmtp = running.connect(Served::Lmtp).await;
    lmtp.reply().await;
    lmtp.say("LHLO c").await;
    lmtp.say("MAIL FROM:<>").await;
    assert!(
        lmtp.say("RCPT TO:<nobody@example.test>")
            .await
            .starts_with("550 5.1.1")
    );
    assert!(
        lmtp.say("RCPT TO:<otto@example.test>")
            .await
            .starts_with("550 5.2.1")
    );
    let mut imap = running.connect(Served::Imap).await;
    imap.line().await;
    let reply = imap
        .command(&format!("LOGIN otto@example.test {PASSWORD}"))
        .await;
    assert!(reply.last().unwrap().contains(" NO "), "{reply:?}");
    running.server.stop().await;
}

#[tokio::test]
async fn metrics_and_health_are_served() {
    let running = start("").await;
    running.deliver(MESSAGE).await;
    assert!(
        running
            .http("/health/live")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(running.http("/health/ready").await.ends_with("ready\n"));
    let metrics = running.http("/metrics").await;
    for line in [
        "dbmail_delivery_messages_total 1",
        "dbmail_delivery_recipients_total{outcome=\"accepted\"} 1",
        "dbmail_request_seconds_count{request=\"deliver\"} 1",
        "dbmail_store_requests_total{request=\"deliver\"} 1",
        "dbmail_commands_total{protocol=\"lmtp\",command=\"DATA\",outcome=\"250\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    running.server.stop().await;
}

#[tokio::test]
async fn at_a_stop_idle_clients_hear_goodbye_and_the_store_is_closed() {
    let running = start("").await;
    let mut imap = running.imap().await;
    imap.ok("SELECT INBOX").await;
    let mut lmtp = running.connect(Served::Lmtp).await;
    lmtp.reply().await;
    let stopping = tokio::spawn(running.server.stop());
    assert!(imap.line().await.starts_with("* BYE"));
    assert!(lmtp.reply().await.starts_with("421 "));
    assert_eq!(imap.line().await, "");
    drop((imap, lmtp));
    tokio::time::timeout(Duration::from_secs(5), stopping)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_configured_for_a_client_in_the_midst_of_a_message() {
    let running = start("[server]\nstop_seconds = 1\n").await;
    let mut lmtp = running.connect(Served::Lmtp).await;
    lmtp.reply().await;
    for line in [
        "LHLO c",
        "MAIL FROM:<>",
        "RCPT TO:<anna@example.test>",
        "DATA",
    ] {
        lmtp.say(line).await;
    }
    lmtp.send("Subject: never ends").await;
    let begun = std::time::Instant::now();
    running.server.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let running = start("").await;
    drop(running);
    let running = {
        let folder = tempfile::tempdir().unwrap();
        let mut config = crate::support::configuration(folder.path(), "");
        config.imap.connections_max = 1;
        config.lmtp.connections_max = 1;
        let server = dbmail::serve::Server::start(&config, crate::support::quick())
            .await
            .unwrap();
        crate::support::Running { server, folder }
    };
    let mut first = running.connect(Served::Imap).await;
    first.line().await;
    let mut second = running.connect(Served::Imap).await;
    assert_eq!(
        second.line().await,
        "* BYE [UNAVAILABLE] too many connections"
    );
    let mut first = running.connect(Served::Lmtp).await;
    first.line().await;
    let mut second = running.connect(Served::Lmtp).await;
    assert_eq!(second.line().await, "421 4.3.2 too many connections");
    running.server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_delivers_leaves_nothing_behind() {
    let running = start("").await;
    let mut lmtp = running.connect(Served::Lmtp).await;
    lmtp.reply().await;
    for line in [
        "LHLO c",
        "MAIL FROM:<>",
        "RCPT TO:<anna@example.test>",
        "DATA",
    ] {
        lmtp.say(line).await;
    }
    for _ in 0..20_000 {
        lmtp.send("Subject: a long header that will be staged, but never ends")
            .await;
    }
    drop(lmtp);
    let mut imap = running.imap().await;
    let selected = imap.ok("SELECT INBOX").await;
    assert!(selected.contains(&"* 0 EXISTS".to_owned()), "{selected:?}");
    let known = Request::Resolve {
        address: ANNA.into(),
    };
    let reply = running.server.store.apply(known, None).await;
    assert!(
        matches!(reply, Ok(Answer::Resolved(Resolved::Account(_)))),
        "{reply:?}"
    );
    running.server.stop().await;
}

#[tokio::test]
async fn who_is_connected_is_shown_and_never_what_they_read() {
    let running = start("").await;
    running.deliver(MESSAGE).await;
    let shown = async || {
        let answer = running.http("/sessions").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(!answer.contains("Subject") && !answer.contains(PASSWORD));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<dbmail::sessions::Report>(body).unwrap()
    };
    assert!(shown().await.sessions.is_empty());
    let mut imap = running.imap().await;
    imap.ok("SELECT INBOX").await;
    imap.ok("FETCH 1 (BODY.PEEK[] FLAGS)").await;
    let report = shown().await;
    let [session] = &report.sessions[..] else {
        panic!("{report:?}")
    };
    assert_eq!(session.user.as_deref(), Some(ANNA));
    assert_eq!(session.mailbox.as_deref(), Some("INBOX"));
    assert!(session.client.starts_with("127.0.0.1:"));
    let command = session.command.as_ref().unwrap();
    assert_eq!((&*command.name, command.under_way), ("FETCH", false));
    assert!(report.figures.statements > 0 && report.figures.counter_locks > 0);
    imap.send("x IDLE").await;
    assert!(imap.line().await.starts_with('+'));
    let idle = shown().await.sessions.remove(0).command.unwrap();
    assert_eq!((&*idle.name, idle.under_way), ("IDLE", true));
    imap.send("DONE").await;
    assert!(imap.line().await.starts_with("x OK"));
    imap.ok("UNSELECT").await;
    assert_eq!(shown().await.sessions.remove(0).mailbox, None);
    drop(imap);
    let begun = std::time::Instant::now();
    while !shown().await.sessions.is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "the session stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.server.stop().await;
}

#[tokio::test]
async fn nobody_sees_who_is_connected_where_it_is_so_configured() {
    let more = "sessions = \"never\"\n";
    let running = start(more).await;
    let answer = running.http("/sessions").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(running.http("/metrics").await.starts_with("HTTP/1.1 200"));
    running.server.stop().await;
}
