//! Background jobs: notices are delivered to the followers' hosts, and who asked gets a receipt.

use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The followers of this notice's author are on a host that takes everything and confirms nothing.
pub(crate) const NEVER_CONFIRMED: u64 = 313;

struct Delivery {
    notice: u64,
    receipt: oneshot::Sender<()>,
}

/// The queue of the delivery job.
pub(crate) struct Jobs(mpsc::UnboundedSender<Delivery>);

impl Jobs {
    /// Starts the job on this runtime; it lives as long as the queue.
    pub(crate) fn start() -> Self {
        let (queue, deliveries) = mpsc::unbounded_channel();
        tokio::spawn(run(deliveries));
        Self(queue)
    }

    /// Has a notice delivered; the receipt comes when it is confirmed.
    pub(crate) fn deliver(&self, notice: u64) -> oneshot::Receiver<()> {
        let (receipt, receiver) = oneshot::channel();
        // Without a job the receipt is dropped with the delivery, and who waits is told so.
        let _ = self.0.send(Delivery { notice, receipt });
        receiver
    }
}

/// A loop that waits for ever is what a background job should be: nothing to report.
async fn run(mut deliveries: mpsc::UnboundedReceiver<Delivery>) {
    let mut unconfirmed = Vec::new();
    let mut tidy = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            delivery = deliveries.recv() => match delivery {
                // Kept until its host confirms it: which it never does.
                Some(delivery) if delivery.notice == NEVER_CONFIRMED => unconfirmed.push(delivery),
                // Who asked may have gone.
                Some(delivery) => drop(delivery.receipt.send(())),
                None => return,
            },
            _ = tidy.tick() => unconfirmed.retain(|delivery| !delivery.receipt.is_closed()),
        }
    }
}
