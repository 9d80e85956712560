//! Confines a panic to its exchange, which is answered with 500.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future panicked; the panic hook has reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

pin_project_lite::pin_project! {
    /// A future whose panic is an error.
    pub(super) struct Shielded<F> {
        #[pin]
        future: F,
    }
}

/// Shields `future`. It must leave nothing half-changed that outlives it.
pub(super) fn shield<F: Future>(future: F) -> Shielded<F> {
    Shielded { future }
}

impl<F: Future> Future for Shielded<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_a_result_is_itself() {
        assert_eq!(shield(async { 7 }).await, Ok(7));
        assert_eq!(shield(async { assert_eq!(1, 2) }).await, Err(Panicked));
    }
}
