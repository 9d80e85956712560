//! Work that would hold up the control thread, which accepts callers: done beside it.

use tokio::task::{JoinError, spawn_blocking};

/// The work panicked, which the log tells already, or the process is ending.
#[derive(Debug, thiserror::Error)]
#[error("a defect in sidefuse; its log has the details")]
pub(super) struct Undone(#[from] JoinError);

/// Does it on a thread of its own: reading from a disk that is slow, and whatever takes long for 10 000 routes.
///
/// # Errors
/// When it could not be done to its end.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    Ok(spawn_blocking(work).await?)
}
