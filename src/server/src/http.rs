//! Metrics, health and sessions by HTTP/1.1: GET and HEAD of four paths, one request for each connection.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest request head: those of browsers and scrapers are under 2 KiB.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// A request that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// The store is called away when it does not answer so long.
const READY: Duration = Duration::from_secs(5);

/// What the pages are made from.
pub trait Pages: Send + Sync {
    /// The metrics, in the OpenMetrics text format.
    fn metrics(&self) -> String;
    /// Who is connected, as JSON.
    fn sessions(&self) -> String;
    /// Whether mail can be served now, or why not.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// Answers one request and closes. Not everybody may see who is connected.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin, P: Pages>(
    mut stream: S,
    pages: &P,
    shows_sessions: bool,
) {
    let answering = async {
        let reply = match head(&mut stream).await {
            Some(head) => reply(&head, pages, shows_sessions).await,
            None => text(
                400,
                "Bad Request",
                "The request is not HTTP, or too long.\n",
                false,
            ),
        };
        stream.write_all(&reply).await?;
        stream.shutdown().await
    };
    // Nobody is left to be told of a failure.
    let _ = tokio::time::timeout(PATIENCE, answering).await;
}

/// The request's head, up to its blank line.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Some(head);
        }
        if head.len() >= HEAD_BYTES_MAX || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
}

async fn reply<P: Pages>(head: &[u8], pages: &P, shows_sessions: bool) -> Vec<u8> {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|v| v.starts_with(b"HTTP/1.")) || words.next().is_some() {
        return text(400, "Bad Request", "The request is not HTTP/1.1.\n", false);
    }
    let is_head = method == Some(b"HEAD");
    if method != Some(b"GET") && !is_head {
        return text(405, "Method Not Allowed", "Only GET and HEAD.\n", false);
    }
    let path = target
        .unwrap_or_default()
        .split(|b| *b == b'?')
        .next()
        .unwrap_or_default();
    match path {
        b"/metrics" => response(
            200,
            "OK",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            &pages.metrics(),
            is_head,
        ),
        b"/sessions" if shows_sessions => response(
            200,
            "OK",
            "application/json",
            &(pages.sessions() + "\n"),
            is_head,
        ),
        b"/sessions" => text(
            403,
            "Forbidden",
            "http.sessions does not let you see who is connected.\n",
            is_head,
        ),
        b"/health/live" => text(200, "OK", "live\n", is_head),
        b"/health/ready" => match tokio::time::timeout(READY, pages.ready()).await {
            Ok(Ok(())) => text(200, "OK", "ready\n", is_head),
            Ok(Err(why)) => text(
                503,
                "Service Unavailable",
                &format!("not ready: {why}\n"),
                is_head,
            ),
            Err(_) => text(
                503,
                "Service Unavailable",
                "not ready: the store does not answer\n",
                is_head,
            ),
        },
        _ => text(
            404,
            "Not Found",
            "There are /metrics, /health/live, /health/ready and /sessions.\n",
            is_head,
        ),
    }
}

fn text(code: u16, reason: &str, body: &str, is_head: bool) -> Vec<u8> {
    response(code, reason, "text/plain; charset=utf-8", body, is_head)
}

fn response(code: u16, reason: &str, kind: &str, body: &str, is_head: bool) -> Vec<u8> {
    let length = body.len();
    let body = if is_head { "" } else { body };
    format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(Result<(), String>);
    impl Pages for Fake {
        fn metrics(&self) -> String {
            "dbmail_x 1\n".to_owned()
        }
        fn sessions(&self) -> String {
            "{}".to_owned()
        }
        async fn ready(&self) -> Result<(), String> {
            self.0.clone()
        }
    }

    async fn ask(request: &str, ready: Result<(), String>) -> String {
        ask_as(request, ready, true).await
    }

    async fn ask_as(request: &str, ready: Result<(), String>, shows_sessions: bool) -> String {
        let (mut peer, ours) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(async move { serve(ours, &Fake(ready), shows_sessions).await });
        let _ = peer.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = peer.read_to_string(&mut answer).await;
        serving.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_three_pages_are_served() {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        insta::assert_snapshot!(ask(&get("/metrics"), Ok(())).await, @"
        HTTP/1.1 200 OK
        Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8
        Content-Length: 11
        Cache-Control: no-store
        Connection: close

        dbmail_x 1
        ");
        assert!(
            ask(&get("/health/live"), Err("x".into()))
                .await
                .ends_with("\r\n\r\nlive\n")
        );
        assert!(
            ask(&get("/health/ready?x"), Ok(()))
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        let away = ask(&get("/health/ready"), Err("away".into())).await;
        assert!(away.starts_with("HTTP/1.1 503 ") && away.ends_with("not ready: away\n"));
        assert!(ask(&get("/"), Ok(())).await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn who_is_connected_is_shown_to_whom_it_may_be() {
        let get = "GET /sessions HTTP/1.1\r\n\r\n";
        let shown = ask_as(get, Ok(()), true).await;
        assert!(shown.starts_with("HTTP/1.1 200 ") && shown.ends_with("\r\n\r\n{}\n"));
        let refused = ask_as(get, Ok(()), false).await;
        assert!(refused.starts_with("HTTP/1.1 403 ") && !refused.contains('{'));
    }

    #[tokio::test]
    async fn head_has_the_length_and_no_body() {
        let answer = ask("HEAD /metrics HTTP/1.0\r\n\r\n", Ok(())).await;
        assert!(answer.contains("Content-Length: 11\r\n") && answer.ends_with("\r\n\r\n"));
    }

    #[tokio::test]
    async fn what_is_no_such_request_is_refused() {
        for (request, code) in [
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("a LOGIN x y\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
        ] {
            let answer = ask(request, Ok(())).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
        }
        let long = format!(
            "GET /metrics HTTP/1.1\r\nX: {}",
            "x".repeat(2 * HEAD_BYTES_MAX)
        );
        assert!(ask(&long, Ok(())).await.starts_with("HTTP/1.1 400 "));
    }
}
