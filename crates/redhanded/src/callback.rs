//! Reports for the application's own code, on a thread of their own.

use redhanded_core::sink::Sink;
use redhanded_report::{Event, Report};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Reports that may wait for the callback.
const QUEUE: usize = 256;

enum Message {
    Report(Arc<Report>),
    Flush(SyncSender<()>),
}

/// Calls a function for every request that is caught. What the function takes its time for, or
/// panics at, holds up nobody else.
pub(crate) struct Callback {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Callback {
    /// Starts the thread that calls `call`.
    pub(crate) fn start(call: impl Fn(&Report) + Send + 'static) -> Result<Self, std::io::Error> {
        let (queue, messages) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        std::thread::Builder::new()
            .name("redhanded-call".to_owned())
            .spawn(move || run(&messages, &call, &counted))?;
        Ok(Self { queue, lost })
    }

    fn count_loss(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn run(messages: &Receiver<Message>, call: &impl Fn(&Report), lost: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Report(report) => {
                if catch_unwind(AssertUnwindSafe(|| call(&report))).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

impl Sink for Callback {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        let caught = matches!(report.event, Event::Caught);
        if caught
            && self
                .queue
                .try_send(Message::Report(report.clone()))
                .is_err()
        {
            self.count_loss();
        }
    }

    fn flush(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let (done, wait) = sync_channel(1);
        let mut message = Message::Flush(done);
        // A full queue empties as fast as the callback is; asking again is all there is to do.
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= until {
                return false;
            }
            message = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        wait.recv_timeout(until.saturating_duration_since(Instant::now()))
            .is_ok()
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn report(event: Event, id: &str) -> Arc<Report> {
        Arc::new(Report::new(event, id))
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn catches_are_called_for_and_nothing_else() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let callback = Callback::start(move |r| told.lock().unwrap().push(r.id.clone())).unwrap();
        callback.accept(&report(Event::Caught, "a"), None);
        callback.accept(&report(Event::Updated, "a"), None);
        callback.accept(&report(Event::Ended, "a"), None);
        callback.accept(&report(Event::Caught, "b"), None);
        assert!(callback.flush(PATIENCE));
        assert_eq!(*seen.lock().unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_panic_costs_one_call_and_is_counted() {
        let seen = Arc::new(AtomicU64::new(0));
        let told = seen.clone();
        let callback = Callback::start(move |r| {
            assert_ne!(r.id, "bad");
            told.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        for id in ["a", "bad", "b"] {
            callback.accept(&report(Event::Caught, id), None);
        }
        assert!(callback.flush(PATIENCE));
        assert_eq!((seen.load(Ordering::Relaxed), callback.lost()), (2, 1));
    }

    #[test]
    fn a_callback_that_hangs_holds_up_nobody_and_losses_are_counted() {
        let (go, wait) = sync_channel::<()>(0);
        let wait = Mutex::new(wait);
        let callback = Callback::start(move |_| {
            let _ = wait.lock().unwrap().recv();
        })
        .unwrap();
        for i in 0..QUEUE + 10 {
            callback.accept(&report(Event::Caught, &i.to_string()), None);
        }
        assert!(matches!(callback.lost(), 9 | 10), "{}", callback.lost());
        assert!(!callback.flush(Duration::from_millis(20)));
        drop(go);
        assert!(callback.flush(PATIENCE));
    }
}
