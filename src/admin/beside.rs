//! Runs what takes long for 10 000 routes on another thread: the control thread also accepts connections.

use http::StatusCode;
use tokio::task::spawn_blocking;

use super::reply::Problem;

/// Runs `work` on another thread.
///
/// # Errors
/// 500 when it panicked.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a defect in sidefuse; its log has the details",
        )
    })
}
