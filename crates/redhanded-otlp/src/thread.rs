//! A thread with a runtime of its own.

use crate::error::Error;
use std::sync::mpsc;
use tokio::runtime::{Builder, Runtime};

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
