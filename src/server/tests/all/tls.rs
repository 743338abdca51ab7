//! STARTTLS, IMAPS, and certificates that change.

use std::time::Duration;

use dbmail::serve::Served;

use crate::support::{ANNA, PASSWORD, new_certificate, start_with_tls};

#[tokio::test]
async fn imaps_and_starttls_lead_to_the_same_mail() {
    let running = start_with_tls().await;
    let certificate = running.folder.path().join("c.pem");
    let imaps = running.connect(Served::Imaps).await;
    let mut imaps = imaps.secure(&certificate).await.unwrap();
    assert!(imaps.line().await.starts_with("* OK"));
    imaps.ok(&format!("LOGIN {ANNA} {PASSWORD}")).await;

    let mut plain = running.connect(Served::Imap).await;
    plain.line().await;
    assert!(plain.ok("CAPABILITY").await.join(" ").contains(" STARTTLS"));
    plain.ok("STARTTLS").await;
    let mut secure = plain.secure(&certificate).await.unwrap();
    assert!(
        !secure
            .ok("CAPABILITY")
            .await
            .join(" ")
            .contains(" STARTTLS")
    );
    secure.ok(&format!("LOGIN {ANNA} {PASSWORD}")).await;
    secure.ok("SELECT INBOX").await;

    let mut lmtp = running.connect(Served::Lmtp).await;
    lmtp.reply().await;
    lmtp.say("LHLO c").await;
    assert!(lmtp.say("STARTTLS").await.starts_with("220 "));
    let mut lmtp = lmtp.secure(&certificate).await.unwrap();
    assert!(lmtp.say("LHLO c").await.starts_with("250 "));
    lmtp.say("MAIL FROM:<>").await;
    assert!(
        lmtp.say("RCPT TO:<anna@example.test>")
            .await
            .starts_with("250 ")
    );
    running.server.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let running = start_with_tls().await;
    let certificate = running.folder.path().join("c.pem");
    let old = running
        .connect(Served::Imaps)
        .await
        .secure(&certificate)
        .await;
    let mut old = old.unwrap();
    old.line().await;
    // File times may be as coarse as a tick: the renewal comes later.
    tokio::time::sleep(Duration::from_millis(50)).await;
    new_certificate(running.folder.path());
    let mut renewed = false;
    for _ in 0..100 {
        if running
            .connect(Served::Imaps)
            .await
            .secure(&certificate)
            .await
            .is_ok()
        {
            renewed = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(renewed, "the new certificate is not shown");
    // The connection made before goes on.
    old.ok(&format!("LOGIN {ANNA} {PASSWORD}")).await;
    running.server.stop().await;
}
