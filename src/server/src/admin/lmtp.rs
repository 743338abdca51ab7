//! The sending end of LMTP, as far as this program delivers to itself: `deliver` and `demo`. The message goes by BDAT
//! (RFC 3030), so its octets need no change.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::sync::mpsc;

/// Longest reply line taken.
const REPLY_BYTES_MAX: usize = 4 * 1024;

/// What the receiving end said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The reply that decided: of the recipient after the message, or the first that refused.
    pub reply: String,
}

impl Delivered {
    /// The reply code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.reply
            .get(..3)
            .and_then(|code| code.parse().ok())
            .unwrap_or(451)
    }

    /// The enhanced status code (RFC 3463), or nothing.
    #[must_use]
    pub fn enhanced(&self) -> &str {
        self.reply
            .split_ascii_whitespace()
            .nth(1)
            .unwrap_or_default()
    }

    /// The reply's text, without codes.
    #[must_use]
    pub fn text(&self) -> &str {
        self.reply.splitn(3, ' ').nth(2).unwrap_or(&self.reply)
    }
}

/// A piece of the message, or why reading it failed. An empty piece is the message's end; without one nothing is delivered.
pub type Piece = io::Result<Vec<u8>>;

/// Sends one message to one recipient. `from` is empty for the null reverse-path.
///
/// # Errors
/// When the connection breaks, what comes is no LMTP, or the message is empty or can't be read to its end.
pub async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    (from, to): (&str, &str),
    mut pieces: mpsc::Receiver<Piece>,
) -> io::Result<Delivered> {
    let mut stream = BufStream::new(stream);
    let utf8 = if from.is_ascii() && to.is_ascii() {
        ""
    } else {
        " SMTPUTF8"
    };
    let mut said = reply(&mut stream).await?;
    for line in [
        "LHLO localhost".to_owned(),
        format!("MAIL FROM:<{from}> BODY=8BITMIME{utf8}"),
        format!("RCPT TO:<{to}>"),
    ] {
        if !said.starts_with('2') {
            break;
        }
        said = command(&mut stream, line.as_bytes(), b"").await?;
    }
    // A chunk is held back until the next one comes, since the last is marked.
    let mut held = next(&mut pieces).await?;
    if held.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the message is empty",
        ));
    }
    while said.starts_with('2') {
        let following = next(&mut pieces).await?;
        let last = if following.is_empty() { " LAST" } else { "" };
        said = command(
            &mut stream,
            format!("BDAT {}{last}", held.len()).as_bytes(),
            &held,
        )
        .await?;
        if following.is_empty() {
            break;
        }
        held = following;
    }
    // Politeness only: the outcome is known.
    let _ = stream.write_all(b"QUIT\r\n").await;
    let _ = stream.flush().await;
    Ok(Delivered { reply: said })
}

/// The next piece.
async fn next(pieces: &mut mpsc::Receiver<Piece>) -> Piece {
    pieces
        .recv()
        .await
        .unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
}

async fn command<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    line: &[u8],
    data: &[u8],
) -> io::Result<String> {
    stream.write_all(line).await?;
    stream.write_all(b"\r\n").await?;
    stream.write_all(data).await?;
    stream.flush().await?;
    reply(stream).await
}

/// The last line of a reply.
async fn reply<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> io::Result<String> {
    loop {
        let mut line = Vec::new();
        loop {
            let read = stream.fill_buf().await?;
            if read.is_empty() || line.len() > REPLY_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = read
                .iter()
                .position(|b| *b == b'\n')
                .map_or(read.len(), |end| end + 1);
            line.extend_from_slice(read.get(..end).unwrap_or_default());
            stream.consume(end);
            if line.ends_with(b"\n") {
                break;
            }
        }
        if line.get(3) != Some(&b'-') {
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Plays the receiving end: answers each expected line.
    async fn talk(script: &[(&str, &str)], chunks: &[&str]) -> io::Result<Delivered> {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (sender, receiver) = mpsc::channel(10);
        for chunk in chunks {
            sender.send(Ok(chunk.as_bytes().to_vec())).await.unwrap();
        }
        drop(sender);
        let sending =
            tokio::spawn(async move { send(ours, ("", "anna@example.org"), receiver).await });
        for (expected, answer) in script {
            let mut got = vec![0; expected.len()];
            theirs.read_exact(&mut got).await.unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), *expected);
            theirs.write_all(answer.as_bytes()).await.unwrap();
        }
        drop(theirs);
        sending.await.unwrap()
    }

    #[tokio::test]
    async fn a_message_goes_out_in_chunks() {
        let delivered = talk(
            &[
                ("", "220 hello\r\n"),
                ("LHLO localhost\r\n", "250-a\r\n250 CHUNKING\r\n"),
                ("MAIL FROM:<> BODY=8BITMIME\r\n", "250 ok\r\n"),
                ("RCPT TO:<anna@example.org>\r\n", "250 ok\r\n"),
                ("BDAT 3\r\none", "250 ok\r\n"),
                ("BDAT 3 LAST\r\ntwo", "250 2.0.0 stored\r\n"),
            ],
            &["one", "two", ""],
        );
        let delivered = delivered.await.unwrap();
        assert_eq!((delivered.code(), delivered.enhanced()), (250, "2.0.0"));
    }

    #[tokio::test]
    async fn the_first_refusal_ends_it() {
        let delivered = talk(
            &[
                ("", "220 hello\r\n"),
                ("LHLO localhost\r\n", "250 a\r\n"),
                ("MAIL FROM:<> BODY=8BITMIME\r\n", "250 ok\r\n"),
                (
                    "RCPT TO:<anna@example.org>\r\n",
                    "550 5.1.1 nobody here\r\n",
                ),
                ("QUIT\r\n", ""),
            ],
            &["one", ""],
        );
        let delivered = delivered.await.unwrap();
        assert_eq!((delivered.code(), delivered.text()), (550, "nobody here"));
    }

    #[tokio::test]
    async fn a_message_that_breaks_off_is_not_delivered() {
        let begin = [
            ("", "220 hello\r\n"),
            ("LHLO localhost\r\n", "250 a\r\n"),
            ("MAIL FROM:<> BODY=8BITMIME\r\n", "250 ok\r\n"),
            ("RCPT TO:<anna@example.org>\r\n", "250 ok\r\n"),
        ];
        // The reader is gone without having said that the message ends.
        assert!(talk(&begin, &["one"]).await.is_err());
        assert_eq!(
            talk(&begin, &[""]).await.unwrap_err().to_string(),
            "the message is empty"
        );
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_an_error() {
        assert!(
            talk(&[("", "220 hello\r\n"), ("LHLO", "")], &["one"])
                .await
                .is_err()
        );
    }
}
