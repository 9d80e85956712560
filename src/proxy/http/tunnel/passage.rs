//! The bytes of a tunnel, both ways.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::ready;
use std::time::{Duration, Instant};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, split};

use super::super::body::Pace;
use super::super::ending::{BodyEnd, Ending};
use super::super::upgrade::{Tunnelled, over, silence};
use super::course::{Course, Finish, Side, Stop};
use crate::net::{BoxIo, Metered};
use crate::time::now;

/// How much is passed on at once: a record of TLS, about.
const PIECE: usize = 16 * 1024;

/// A tunnel whose two ends are there, or are about to be.
pub(super) struct Passage {
    pub(super) caller: OnUpgrade,
    pub(super) stream: BoxIo,
    /// The longest pause before the upstream's first byte.
    pub(super) patience: Duration,
    pub(super) pace: Pace,
    pub(super) ending: Box<Ending>,
}

/// What is known of a tunnel.
struct Log {
    course: Course,
    /// When the caller said something first.
    asked: Option<Instant>,
    tunnelled: Tunnelled,
}

impl Passage {
    /// Passes on what comes until both sides have ended, one of them breaks off, or it takes too long.
    ///
    /// A half-closed direction stays open the other way. The exchange ends here.
    pub(super) async fn run(self) {
        let Self {
            caller,
            stream,
            patience,
            pace,
            ending,
        } = self;
        let Ok(caller) = caller.await else {
            return;
        };
        let upstream = Metered::new(stream);
        let traffic = upstream.traffic();
        let log = RefCell::new(Log {
            course: Course::default(),
            asked: None,
            tunnelled: Tunnelled::new(ending, &traffic),
        });
        let stop = {
            let (from_caller, to_caller) = split(TokioIo::new(caller));
            let (from_upstream, to_upstream) = split(upstream);
            let limit = || {
                if log.borrow().course.has_answered() {
                    pace.idle_timeout
                } else {
                    patience
                }
            };
            let both = async {
                tokio::try_join!(
                    pass(from_upstream, to_caller, Side::Upstream, &log),
                    pass(from_caller, to_upstream, Side::Caller, &log),
                )
            };
            tokio::select! {
                both = both => match both {
                    Ok(_) => Stop::Ended,
                    Err(side) => Stop::Broken(side),
                },
                () = silence(&traffic, limit) => Stop::Silence,
                () = over(pace.until) => Stop::Over,
            }
        };
        log.into_inner().finish(stop);
    }
}

impl Log {
    fn came(&mut self, side: Side, count: usize) -> Result<(), Side> {
        let before = self.course;
        let result = self.course.came(side, count);
        if self.course.has_asked() && !before.has_asked() {
            self.asked = Some(now());
        }
        if self.course.has_answered() && !before.has_answered() {
            let now = now();
            let asked = self.asked.unwrap_or(now);
            self.tunnelled
                .answered(now.saturating_duration_since(asked), now);
        }
        result
    }

    fn finish(mut self, stop: Stop) {
        let Some(ending) = self.tunnelled.counted() else {
            return;
        };
        match self.course.finish(stop) {
            Finish::Whole => ending.finish(BodyEnd::Whole),
            Finish::Failed(failure) => ending.finish(BodyEnd::Broken(failure)),
            Finish::Cut(failure) => ending.finish(BodyEnd::Cut(failure)),
            Finish::Left => drop(ending),
        }
    }
}

/// Passes on what comes from one side, until that has ended or the other takes nothing more: then what that still says tells why.
///
/// # Errors
/// The side that broke off, so that nothing more will move.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    side: Side,
    log: &RefCell<Log>,
) -> Result<(), Side> {
    loop {
        let piece = read(&mut from).await.map_err(|_| side)?;
        log.borrow_mut().came(side, piece.len())?;
        if piece.is_empty() {
            let _ = to.shutdown().await;
            return Ok(());
        }
        let written = async {
            to.write_all(&piece).await?;
            to.flush().await
        };
        if written.await.is_err() {
            return Ok(());
        }
    }
}

/// Waits for what comes next, empty at the end. Keeps no buffer meanwhile: most tunnels are at rest most of the time.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut room = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut piece))?;
        Ok(piece.filled().to_vec()).into()
    })
    .await
}
