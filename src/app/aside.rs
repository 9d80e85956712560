//! Work that would block the control thread, which accepts connections: done on another thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, mpsc};
use std::thread;

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// The work panicked, which is logged already, or the system gives no thread.
#[derive(Debug, thiserror::Error)]
#[error("a defect in sidefuse; its log has the details")]
pub(super) struct Undone;

/// Runs `work` on a thread of its own: reading from a slow disk, and what takes long for 10 000 routes. It is the same thread
/// each time, since the allocator keeps a heap per thread, and configurations scattered over several would fill them all.
///
/// # Errors
/// When the work was not done to its end.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    static THREAD: OnceLock<Option<mpsc::Sender<Work>>> = OnceLock::new();
    let (done, result) = oneshot::channel();
    let work = move || {
        // The receiver is gone when the process ends.
        let _ = done.send(work());
    };
    let thread = THREAD.get_or_init(start).as_ref().ok_or(Undone)?;
    thread.send(Box::new(work)).map_err(|_| Undone)?;
    result.await.map_err(|_| Undone)
}

fn start() -> Option<mpsc::Sender<Work>> {
    let (sender, works) = mpsc::channel::<Work>();
    let work_off = move || {
        for work in works {
            // The waiting task learns of a panic by the end of its channel.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    };
    let started = thread::Builder::new()
        .name("aside".to_owned())
        .spawn(work_off);
    started.ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_by_one_thread_which_outlives_a_panic() {
        let who = || aside(|| thread::current().id());
        let before = who().await.unwrap();
        assert_ne!(before, thread::current().id());
        assert!(aside(|| assert_eq!(1, 2)).await.is_err());
        assert_eq!(who().await.unwrap(), before);
    }
}
