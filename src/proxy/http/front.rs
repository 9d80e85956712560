//! The stream between a caller and the HTTP library: tells the version by the first bytes, and puts our answer in the place of the
//! library's own.
//!
//! The library refuses a malformed request before it asks us, with a bare status line: no correlation id, no reason, no access line. It
//! does so only while no exchange is open, so bytes that it writes then are such a refusal, and a proper one is written instead.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::gate::{Gate, Refused};
use super::reply;
use super::sieve::Sieve;
use crate::failure::Failure;
use crate::telemetry::CorrelationId;
use crate::time::{Alarm, Deadline, now};

/// So much is read at once when a connection wakes: the head of most requests.
const FIRST: usize = 2048;

/// A caller that still sends when we have said our last gets so long to end, and to read why: closed at once, the connection would be
/// reset under our answer (RFC 9112 §9.6). nginx lingers for 5 s, too.
const LINGER: Duration = Duration::from_secs(5);

/// An HTTP/2 caller's end is told so much later than it came. The library forgets the calls that it has read and not handed over when it
/// hears of the end, and those that came with the end are such.
const DELAY: Duration = Duration::from_millis(1);

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The stream of a caller.
pub(super) struct Front<I> {
    io: I,
    gate: Arc<Gate>,
    /// Of an HTTP/1 caller that is read strictly.
    sieve: Option<Sieve>,
    /// Bytes that were read before somebody asked for them, and how far they have been read again.
    head: Vec<u8>,
    reread: usize,
    /// Our answer in the place of the library's, and how far it is written.
    instead: Vec<u8>,
    written: usize,
    /// Set once we have said our last.
    farewell: Alarm,
    /// Over HTTP/2: rings when the caller's end may be told.
    delay: Option<Box<Alarm>>,
}

impl<I: AsyncRead + Unpin> Front<I> {
    pub(super) fn new(io: I, gate: Arc<Gate>) -> Self {
        Self {
            io,
            gate,
            sieve: None,
            head: Vec::new(),
            reread: 0,
            instead: Vec::new(),
            written: 0,
            farewell: Alarm::default(),
            delay: None,
        }
    }

    /// Reads as much as tells whether this is HTTP/2.
    ///
    /// # Errors
    /// When the stream breaks; an end is no error, but HTTP/1 with nothing in it.
    pub(super) async fn read_preface(&mut self) -> io::Result<bool> {
        while self.head.len() < PREFACE.len() && PREFACE.starts_with(&self.head) {
            let wanted = (PREFACE.len() - self.head.len()) as u64;
            if (&mut self.io).take(wanted).read_buf(&mut self.head).await? == 0 {
                break;
            }
        }
        let is_http2 = self.head == PREFACE;
        if is_http2 {
            self.gate.open_for_good();
            self.delay = Some(Box::default());
        }
        Ok(is_http2)
    }

    /// From now on, and for what was read to tell the version, the requests are read strictly.
    pub(super) fn be_strict(&mut self) {
        self.sieve = Some(Sieve::default());
        let head = std::mem::take(&mut self.head);
        self.offer(head);
    }

    /// Has these bytes read next, as far as they may be.
    fn offer(&mut self, mut bytes: Vec<u8>) {
        let count = self.sift(&bytes);
        bytes.truncate(count);
        // What came in the place of others is behind these.
        bytes.append(&mut self.head);
        (self.head, self.reread) = (bytes, 0);
    }

    /// Hands out what was read before.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.head[self.reread..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.reread += count;
        if self.reread == self.head.len() {
            (self.head, self.reread) = (Vec::new(), 0);
        }
    }

    /// The caller sends no more, which may be told now or later.
    fn poll_end(&mut self, cx: &mut Context<'_>, buf: &ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(delay) = &mut self.delay
            && buf.remaining() > 0
        {
            if !delay.is_set() {
                delay.set(Deadline::after(now(), DELAY));
            }
            ready!(delay.poll(cx));
        }
        Poll::Ready(Ok(()))
    }

    /// How many of the bytes that have come may be read.
    fn sift(&mut self, bytes: &[u8]) -> usize {
        let Some(sieve) = &mut self.sieve else {
            return bytes.len();
        };
        let count = sieve.sift(bytes, &self.gate);
        self.head.extend_from_slice(sieve.take_instead());
        count
    }

    /// Takes back what the HTTP library has read and not used.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        let mut head = bytes.to_vec();
        head.extend_from_slice(&self.head[self.reread..]);
        (self.head, self.reread) = (head, 0);
    }

    /// Waits until there is something to read: bytes, an end or an error. Holds no buffer meanwhile.
    pub(super) async fn wake(&mut self) {
        if self.reread < self.head.len() {
            return;
        }
        poll_fn(|cx| {
            let mut room = [0; FIRST];
            let mut first = ReadBuf::new(&mut room);
            // An end or an error is met again by whoever reads next.
            let _ = ready!(Pin::new(&mut self.io).poll_read(cx, &mut first));
            let first = first.filled().to_vec();
            self.offer(first);
            Poll::Ready(())
        })
        .await;
    }
}

impl<I> Front<I> {
    /// Takes the library's refusal apart and prepares ours.
    fn refuse(&mut self, theirs: &[u8]) {
        let status = theirs.get(9..12);
        let failure = match status {
            Some(b"431") => Failure::HeadersTooLarge,
            Some(b"414") => Failure::UriTooLong,
            Some(_) | None => Failure::BadRequest,
        };
        let correlation = CorrelationId::random();
        let flaw = self.gate.flaw();
        let flaw = flaw.filter(|_| failure == Failure::BadRequest);
        self.instead = reply::bare_refusal(failure, flaw, &correlation);
        self.written = 0;
        let bytes = self.instead.len() as u64;
        let refused = Refused {
            failure,
            flaw,
            correlation,
            bytes,
        };
        self.gate.refuse(refused);
    }
}

impl<I: AsyncWrite + Unpin> Front<I> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.instead.len() {
            let count =
                ready!(Pin::new(&mut self.io).poll_write(cx, &self.instead[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> Front<I> {
    /// Reads what the caller still sends, until he closes or it has been long enough.
    ///
    /// To close with unread bytes is to reset the connection: who is told of an open breaker in the middle of his upload would see a
    /// broken pipe and not the answer (RFC 9112 §9.6).
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        loop {
            if self.farewell.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut unread = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut unread)) {
                Ok(()) if !unread.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Front<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.reread < this.head.len() {
                this.hand_out(buf);
                return Poll::Ready(Ok(()));
            }
            if let Some(sieve) = &mut this.sieve {
                // To the library the stream ends behind a refused request, so it reads nothing more of it.
                if this.gate.flaw().is_some() {
                    return Poll::Ready(Ok(()));
                }
                if sieve.is_holding() {
                    let Some(held) = sieve.release(&this.gate) else {
                        sieve.wait(cx.waker());
                        return Poll::Pending;
                    };
                    this.offer(held);
                    continue;
                }
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let came = &buf.filled()[before..];
            if came.is_empty() {
                return this.poll_end(cx, buf);
            }
            let count = this.sift(came);
            buf.set_filled(before + count);
            if count > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Front<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.gate.is_shut() && !buf.is_empty() {
            this.refuse(buf);
        }
        if !this.instead.is_empty() {
            // Theirs counts as written once ours is; more of it never comes, since a refusal is its connection's last word.
            ready!(this.poll_instead(cx))?;
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.gate.is_shut() || !self.instead.is_empty() {
            let first = bufs
                .iter()
                .find(|buf| !buf.is_empty())
                .map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.gate.flushed();
        if let Some(sieve) = &mut self.sieve {
            sieve.stir();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.farewell.is_set() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if this.gate.is_open_for_good() && this.instead.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.farewell.set(Deadline::after(now(), LINGER));
        }
        this.poll_rest(cx).map(Ok)
    }
}
