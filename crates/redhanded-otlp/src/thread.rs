//! A thread with a runtime of its own.

use crate::error::Error;
use crate::unseen::Unseen;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use tokio::runtime::{Builder, Runtime};

/// A bug of ours that comes back as often is here to stay: the export ends.
const PANICS: usize = 16;

/// Lets `it` do its `work` to the end, unseen; a panic of ours is begun anew after `panicked`.
pub(crate) fn work<T>(
    runtime: &Runtime,
    it: &mut T,
    work: impl AsyncFn(&mut T),
    panicked: impl Fn(&mut T),
) {
    for _ in 0..PANICS {
        let once = AssertUnwindSafe(|| runtime.block_on(Unseen::new(work(it))));
        if catch_unwind(once).is_ok() {
            break;
        }
        panicked(it);
    }
}

/// Starts a thread that does `work` on a runtime of its own, and ends with it.
pub(crate) fn start(name: &str, work: impl FnOnce(&Runtime) + Send + 'static) -> Result<(), Error> {
    let (started, start) = mpsc::sync_channel(1);
    let thread = move || {
        // Made and dropped here: a runtime must not be dropped inside of another one, and the
        // caller may well be inside of one.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("redhanded-dns")
            .max_blocking_threads(1)
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error.to_string()))),
        };
        drop(started.send(Ok(())));
        work(&runtime);
        // A name look-up that hangs is left behind.
        runtime.shutdown_background();
    };
    let spawned = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(thread);
    spawned.map_err(|error| Error::start(error.to_string()))?;
    match start.recv() {
        Ok(started) => started.map_err(Error::start),
        Err(_) => Err(Error::start("its thread ended at once")),
    }
}
