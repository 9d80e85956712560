//! The stream between a caller and the HTTP library: detects the version by the first bytes, and replaces the library's own
//! refusals by ours.
//!
//! The library refuses a malformed request by itself, with a bare status line: no correlation id, no reason, no access line. It
//! does so only while no exchange is open, so bytes that it writes then are such a refusal, and a proper one is written
//! instead.

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

/// How much is read at once when a connection wakes: the head of most requests.
const FIRST: usize = 2048;

/// How long a caller that still sends after our last answer has to end, and to read it: if the connection were closed at once,
/// it would be reset under the answer (RFC 9112 §9.6). nginx lingers for 5 s, too.
const LINGER: Duration = Duration::from_secs(5);

/// How much later the library is told of the end of an HTTP/2 caller's stream. On the end it drops calls that it has read and
/// not handed over, such as those that came together with the end.
const DELAY: Duration = Duration::from_millis(1);

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The stream of a caller.
pub(super) struct Front<I> {
    io: I,
    gate: Arc<Gate>,
    /// Checks the bytes of an HTTP/1 caller that is read strictly.
    sieve: Option<Sieve>,
    /// Bytes that were read ahead, and how far they have been handed out.
    head: Vec<u8>,
    reread: usize,
    /// Our refusal in place of the library's, and how far it is written.
    instead: Vec<u8>,
    written: usize,
    /// Set once our last answer is written.
    farewell: Alarm,
    /// Over HTTP/2: fires when the library may be told of the end of the stream.
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

    /// Reads until it is certain whether this is HTTP/2.
    ///
    /// # Errors
    /// When the stream breaks. An end is no error: it counts as HTTP/1 without a request.
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

    /// From now on the requests are read strictly, with what was read to detect the version.
    pub(super) fn be_strict(&mut self) {
        self.sieve = Some(Sieve::default());
        let head = std::mem::take(&mut self.head);
        self.offer(head);
    }

    /// Puts bytes in front of what is read next, as far as the sieve lets them pass.
    fn offer(&mut self, mut bytes: Vec<u8>) {
        let count = self.sift(&bytes);
        bytes.truncate(count);
        // Replacement bytes follow these.
        bytes.append(&mut self.head);
        (self.head, self.reread) = (bytes, 0);
    }

    /// Hands out what was read ahead.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.head[self.reread..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.reread += count;
        if self.reread == self.head.len() {
            (self.head, self.reread) = (Vec::new(), 0);
        }
    }

    /// The end of the caller's stream; over HTTP/2 it is told a little later.
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

    /// How many of these bytes the library may read.
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

    /// Waits until there is something to read: bytes, an end or an error. Keeps no buffer meanwhile.
    pub(super) async fn wake(&mut self) {
        if self.reread < self.head.len() {
            return;
        }
        poll_fn(|cx| {
            let mut room = [0; FIRST];
            let mut first = ReadBuf::new(&mut room);
            // The next read meets the same end or error again.
            let _ = ready!(Pin::new(&mut self.io).poll_read(cx, &mut first));
            let first = first.filled().to_vec();
            self.offer(first);
            Poll::Ready(())
        })
        .await;
    }
}

impl<I> Front<I> {
    /// Parses the library's refusal and prepares ours.
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
    /// Reads what the caller still sends, until it closes or the time to linger is over.
    ///
    /// Closing with unread bytes resets the connection: a caller that is told of an open breaker in the middle of its upload
    /// would see a broken pipe and not the answer (RFC 9112 §9.6).
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
                // For the library the stream ends behind a refused request, so it reads no more.
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
            // The library's refusal counts as written once ours is. No more of it comes: a refusal is the last that is written.
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
            // Nothing is served any more: what still comes is no call.
            this.gate.open_for_good();
            this.farewell.set(Deadline::after(now(), LINGER));
        }
        this.poll_rest(cx).map(Ok)
    }
}
