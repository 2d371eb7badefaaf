//! The trace that this thread works for at the moment: what log lines carry the ids of, and what commands to the store belong to.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::field::{DisplayValue, display};

use crate::domain::trace::{Hex, TraceContext};

thread_local! {
    static CURRENT: Cell<TraceContext> = const { Cell::new(TraceContext::NONE) };
}

/// The trace that this thread works for.
pub fn current() -> TraceContext {
    CURRENT.get()
}

/// This thread works for a trace until the guard is dropped.
#[must_use = "it ends with the guard"]
pub fn enter(context: TraceContext) -> Entered {
    Entered { before: CURRENT.replace(context) }
}

/// See [`enter`].
#[derive(Debug)]
pub struct Entered {
    before: TraceContext,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// A future that works for a trace whenever it is polled.
pub fn within<F: Future + Unpin>(context: TraceContext, future: F) -> Within<F> {
    Within { context, future }
}

/// See [`within`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Within<F> {
    context: TraceContext,
    future: F,
}

impl<F: Future + Unpin> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _working = enter(self.context);
        Pin::new(&mut self.future).poll(cx)
    }
}

/// The field `trace_id` of a log line, where there is one.
pub(in crate::telemetry) fn trace_id() -> Option<DisplayValue<Hex<32>>> {
    let context = current();
    (!context.is_none()).then(|| display(context.trace_hex()))
}

/// The field `span_id` of a log line, where there is one.
pub(in crate::telemetry) fn span_id() -> Option<DisplayValue<Hex<16>>> {
    let context = current();
    (!context.is_none()).then(|| display(context.span_hex()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    fn place(trace_id: u128) -> TraceContext {
        TraceContext { trace_id, span_id: 7, sampled: false }
    }

    #[test]
    fn a_thread_works_for_one_trace_at_a_time_and_goes_back_to_the_one_before() {
        let outer = enter(place(1));
        {
            let _inner = enter(place(2));
            assert_eq!(current(), place(2));
        }
        assert_eq!(current(), place(1));

        drop(outer);
        assert_eq!(current(), TraceContext::NONE);
    }

    #[test]
    fn a_future_works_for_its_trace_only_while_it_is_polled() {
        let mut polled = 0;
        let mut future = within(
            place(3),
            std::future::poll_fn(|_| {
                assert_eq!(current(), place(3));
                polled += 1;
                if polled == 2 { Poll::Ready(()) } else { Poll::Pending }
            }),
        );
        let cx = &mut Context::from_waker(Waker::noop());

        assert!(pin!(&mut future).poll(cx).is_pending());
        assert_eq!(current(), TraceContext::NONE);
        assert!(pin!(&mut future).poll(cx).is_ready());
    }
}
