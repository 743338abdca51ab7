//! One stream with its queues. Reading goes through a buffer on the stack, so an idle connection owns none;
//! writing takes what is queued, many pieces at a time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Octets read from the peer and not taken by the session yet, at most: a pipelining client is kept busy with this.
pub(super) const READ_BYTES_MAX: usize = 16 * 1024;
/// Octets queued for the peer at most, and what the session is told as its room.
pub(super) const QUEUE_BYTES_MAX: usize = 128 * 1024;
/// Room is told again when the queue is down to this, so that the peer never waits for the store.
const QUEUE_BYTES_LOW: usize = QUEUE_BYTES_MAX / 2;
/// Pieces of one write: the queue's usual length when pages are sent; UIO_MAXIOV allows 1,024.
const SLICES_MAX: usize = 32;
/// Pieces shorter than this are copied together.
const COPY_BYTES_MAX: usize = 2 * 1024;
/// A peer that takes no octet for so long is gone or means harm; RFC 5321 §4.5.3.2 gives a data block 3 minutes,
/// TCP's own retransmissions reach about 15.
pub(super) const STALL: Duration = Duration::from_secs(5 * 60);

/// A stream of octets.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What became of waiting for the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Octets were added to `input`.
    Read,
    /// The peer sends no more.
    End,
    /// The queue has room again.
    Room,
}

/// A stream and its queues.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// Read and not taken yet.
    pub(super) input: Vec<u8>,
    queue: VecDeque<Bytes>,
    /// Small pieces behind the queue.
    tail: BytesMut,
    queued: usize,
    /// The session sent something since it was told the room.
    spent: bool,
    /// Written, but the stream may hold it back (TLS).
    unflushed: bool,
    stall: Option<Pin<Box<Sleep>>>,
    stall_after: Duration,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, stall_after: Duration) -> Self {
        Self {
            stream,
            input: Vec::new(),
            queue: VecDeque::new(),
            tail: BytesMut::new(),
            queued: 0,
            spent: false,
            unflushed: false,
            stall: None,
            stall_after,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The stream itself, for wrapping it. What was read ahead is gone.
    pub(super) fn take_stream(&mut self) -> Box<dyn Stream> {
        self.input = Vec::new();
        std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()))
    }

    pub(super) fn put_stream(&mut self, stream: Box<dyn Stream>) {
        self.stream = stream;
    }

    /// So many octets were taken from the front of `input`.
    pub(super) fn taken(&mut self, octets: usize) {
        if octets >= self.input.len() {
            // An idle connection keeps no buffer.
            self.input = Vec::new();
        } else {
            self.input.drain(..octets);
        }
    }

    /// Queues octets for the peer.
    pub(super) fn send(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.queued += bytes.len();
        self.spent = true;
        if bytes.len() < COPY_BYTES_MAX {
            if self.tail.is_empty() {
                self.tail.reserve(COPY_BYTES_MAX);
            }
            self.tail.put(bytes);
        } else {
            if !self.tail.is_empty() {
                self.queue.push_back(self.tail.split().freeze());
            }
            self.queue.push_back(bytes);
        }
    }

    /// Octets that may be queued now.
    pub(super) const fn room(&mut self) -> usize {
        self.spent = false;
        QUEUE_BYTES_MAX.saturating_sub(self.queued)
    }

    pub(super) const fn is_drained(&self) -> bool {
        self.queued == 0 && !self.unflushed
    }

    /// Writes what is queued and, if wanted, reads; returns when something happened that concerns the session.
    pub(super) async fn turn(&mut self, read: bool) -> io::Result<Turn> {
        std::future::poll_fn(|context| self.poll_turn(context, read)).await
    }

    /// Writes all that is queued.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| {
            self.poll_write(context)?;
            if self.is_drained() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_stall(context))?;
            Poll::Pending
        })
        .await
    }

    /// Says that no more will be sent, and reads on for a moment: closing with octets unread would make the system
    /// reset the connection, and the peer could miss the last reply.
    pub(super) async fn finish(&mut self, patience: Duration) {
        let finishing = std::future::poll_fn(|context| {
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
            loop {
                match ready!(self.poll_read(context)) {
                    Ok(0) | Err(_) => return Poll::Ready(()),
                    Ok(_) => self.input.clear(),
                }
            }
        });
        let _ = tokio::time::timeout(patience, finishing).await;
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, read: bool) -> Poll<io::Result<Turn>> {
        self.poll_write(context)?;
        if self.spent && self.queued <= QUEUE_BYTES_LOW {
            return Poll::Ready(Ok(Turn::Room));
        }
        if read && self.input.len() < READ_BYTES_MAX {
            match self.poll_read(context)? {
                Poll::Ready(0) => return Poll::Ready(Ok(Turn::End)),
                Poll::Ready(_) => return Poll::Ready(Ok(Turn::Read)),
                Poll::Pending => {}
            }
        }
        ready!(self.poll_stall(context))?;
        Poll::Pending
    }

    /// Writes until the stream takes no more, or all is written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.queued > 0 {
            if !self.tail.is_empty() {
                self.queue.push_back(self.tail.split().freeze());
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut filled = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
                filled += 1;
            }
            let slices = slices.get(..filled).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write_vectored(context, slices)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.unflushed = true;
                    self.stall = None;
                    self.written(written);
                }
                Poll::Pending => return Ok(()),
            }
        }
        if self.unflushed
            && let Poll::Ready(done) = Pin::new(&mut self.stream).poll_flush(context)
        {
            done?;
            self.unflushed = false;
            self.stall = None;
            // Nothing is left that a deep queue would be kept for.
            self.queue = VecDeque::new();
            self.tail = BytesMut::new();
        }
        Ok(())
    }

    /// So many octets have left the queue.
    fn written(&mut self, octets: usize) {
        self.queued = self.queued.saturating_sub(octets);
        self.bytes_out += octets as u64;
        let mut left = octets;
        while left > 0 {
            let Some(first) = self.queue.front_mut() else {
                break;
            };
            if first.len() > left {
                first.advance(left);
                break;
            }
            left -= first.len();
            self.queue.pop_front();
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
        let room = READ_BYTES_MAX.saturating_sub(self.input.len());
        let mut buffer = ReadBuf::uninit(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        self.input.extend_from_slice(read);
        self.bytes_in += read.len() as u64;
        Poll::Ready(Ok(read.len()))
    }

    /// An error when octets wait and the peer has taken none for too long.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_drained() {
            self.stall = None;
            return Poll::Pending;
        }
        let after = self.stall_after;
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + after)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not read what it is sent",
        )))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair(buffer: usize) -> (Wire, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(buffer);
        (
            Wire::new(Box::new(ours), Duration::from_millis(100)),
            theirs,
        )
    }

    #[tokio::test]
    async fn pieces_of_all_sizes_arrive_in_order() {
        let (mut wire, mut peer) = pair(1000);
        let mut all = Vec::new();
        for n in 0..300u32 {
            let size = if n % 7 == 0 { 3000 } else { 10 };
            let piece = vec![(n % 251) as u8; size];
            all.extend_from_slice(&piece);
            wire.send(piece.into());
        }
        assert_eq!(wire.room(), QUEUE_BYTES_MAX.saturating_sub(all.len()));
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).await.unwrap();
            got
        });
        wire.drain().await.unwrap();
        assert!(wire.is_drained());
        assert_eq!(wire.bytes_out, all.len() as u64);
        drop(wire);
        assert_eq!(reading.await.unwrap(), all);
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_buffer_holds() {
        let (mut wire, mut peer) = pair(1 << 20);
        peer.write_all(&vec![b'x'; 100_000]).await.unwrap();
        while wire.input.len() < READ_BYTES_MAX {
            assert_eq!(wire.turn(true).await.unwrap(), Turn::Read);
        }
        let more = tokio::time::timeout(Duration::from_millis(30), wire.turn(true)).await;
        assert!(more.is_err(), "read past the bound");
        assert_eq!(wire.input.len(), READ_BYTES_MAX);
        wire.taken(10_000);
        assert_eq!(wire.input.len(), READ_BYTES_MAX - 10_000);
        assert_eq!(wire.turn(true).await.unwrap(), Turn::Read);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (mut wire, _peer) = pair(10);
        wire.send(vec![b'x'; QUEUE_BYTES_MAX].into());
        let error = wire.turn(true).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_is_not_given_up() {
        let (mut wire, mut peer) = pair(10);
        wire.send(vec![b'x'; 100].into());
        let reading = tokio::spawn(async move {
            let mut got = [0; 100];
            for piece in got.chunks_mut(10) {
                tokio::time::sleep(Duration::from_millis(30)).await;
                peer.read_exact(piece).await.unwrap();
            }
        });
        wire.drain().await.unwrap();
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_keeps_no_buffers() {
        let (mut wire, mut peer) = pair(1 << 20);
        peer.write_all(&vec![b'x'; 10_000]).await.unwrap();
        assert_eq!(wire.turn(true).await.unwrap(), Turn::Read);
        wire.taken(10_000);
        wire.send(vec![b'x'; 10_000].into());
        wire.send(vec![b'x'; 100].into());
        assert_eq!(wire.turn(true).await.unwrap(), Turn::Room);
        assert_eq!(
            wire.input.capacity() + wire.queue.capacity() + wire.tail.capacity(),
            0
        );
    }
}
