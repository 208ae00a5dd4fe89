//! Background jobs: notices are delivered to the followers' hosts, and who asked gets a receipt.

use crate::queue::Queue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

/// The followers of this notice's author are on a host that takes everything and confirms nothing.
pub(crate) const NEVER_CONFIRMED: u64 = 313;

/// What is put in the queue and taken out of it by the delivery job.
pub(crate) struct Jobs {
    queue: Queue,
    waiting: Waiting,
    /// A broker outlives us: what an earlier process left in it must not confirm what is ours.
    run: u128,
    deliveries: AtomicU64,
}

/// Who waits for which receipt.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>);

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// Starts the job on this runtime; it lives as long as the queue.
    pub(crate) fn start(queue: Queue, deliveries: UnboundedReceiver<String>) -> Self {
        let waiting = Waiting::default();
        tokio::spawn(run(deliveries, waiting.clone()));
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            queue,
            waiting,
            run: since.unwrap_or_default().as_nanos(),
            deliveries: AtomicU64::new(0),
        }
    }

    /// Has a notice delivered; the receipt comes when it is confirmed.
    pub(crate) async fn deliver(&self, notice: u64) -> std::io::Result<oneshot::Receiver<()>> {
        let number = self.deliveries.fetch_add(1, Ordering::Relaxed);
        let delivery = format!("{}-{number} {notice}", self.run);
        let (receipt, receiver) = oneshot::channel();
        self.waiting.all().insert(delivery.clone(), receipt);
        self.queue.send(&delivery).await?;
        Ok(receiver)
    }
}

/// A loop that waits for ever is what a background job should be: nothing to report.
async fn run(mut deliveries: UnboundedReceiver<String>, waiting: Waiting) {
    let mut tidy = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            delivery = deliveries.recv() => match delivery {
                Some(delivery) => confirm(&delivery, &waiting),
                None => break,
            },
            // Who asked may have gone.
            _ = tidy.tick() => waiting.all().retain(|_, receipt| !receipt.is_closed()),
        }
    }
    // Without a queue no receipt will come, and who waits is told so.
    waiting.all().clear();
}

fn confirm(delivery: &str, waiting: &Waiting) {
    let notice = delivery.rsplit(' ').next().and_then(|id| id.parse().ok());
    if notice == Some(NEVER_CONFIRMED) {
        return;
    }
    let receipt = waiting.all().remove(delivery);
    if let Some(receipt) = receipt {
        let _ = receipt.send(()); // who asked may have gone
    }
}
