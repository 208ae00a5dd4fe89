//! The call that this thread works on, for what it makes use of: a connector finds it here.

use crate::calls::CallState;
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    // Empty whenever no call is being polled, so that there is nothing to drop at a thread's end.
    static HERE: Cell<Option<Arc<CallState>>> = const { Cell::new(None) };
}

/// Runs `work` as part of `call`.
pub(super) fn within<R>(call: &Arc<CallState>, work: impl FnOnce() -> R) -> R {
    let outer = replace(Some(call.clone()));
    let _restore = Restore(Some(outer));
    work()
}

/// The innermost call that this thread works on.
pub(super) fn current() -> Option<Arc<CallState>> {
    let here = replace(None);
    replace(here.clone());
    here
}

fn replace(call: Option<Arc<CallState>>) -> Option<Arc<CallState>> {
    // At the very end of a thread there is no place to keep it, and nobody who would ask.
    HERE.try_with(|here| here.replace(call)).ok().flatten()
}

/// Puts the outer call back, also when a panic passes.
struct Restore(Option<Option<Arc<CallState>>>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            replace(outer);
        }
    }
}
