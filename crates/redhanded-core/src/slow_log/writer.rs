//! The thread that touches the disk, and what the clerk sees of it.

use super::queue::{Line, Queue};
use super::{Sink, Written};
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long somebody waits for the disk before going on without it.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

/// How often lines that the disk refused are tried again, and the file is looked at after a line.
const RETRY: Duration = Duration::from_secs(1);

/// What the clerk and the writer share. Nobody holds the lock while touching the disk.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// For the writer: there is something to do.
    work: Condvar,
    /// For those who wait: the disk has answered.
    answer: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    lost: u64,
    /// Since when the writer is at the disk.
    at_disk: Option<Instant>,
    /// How often it has begun to write, and how often the disk has answered.
    begun: u64,
    answered: u64,
    /// Up to which line the disk was asked when it last refused.
    refused: u64,
    /// The disk has refused, and is asked again after a pause...
    pausing: bool,
    /// ... or at once, for somebody waits.
    hurry: bool,
    /// No more lines come.
    closed: bool,
}

/// What the writer is to do next.
enum Work {
    Put(Vec<Line>),
    /// Nothing to write: see whether the file still has what was written lately.
    Look,
    End,
}

impl Desk {
    pub(super) fn new(memory_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                queue: Queue::new(memory_bytes),
                lost: 0,
                at_disk: None,
                begun: 0,
                answered: 0,
                refused: 0,
                pausing: false,
                hurry: false,
                closed: false,
            }),
            work: Condvar::new(),
            answer: Condvar::new(),
        })
    }

    /// Hands in a record and waits for the disk, for [`PATIENCE`] at most; not at all for a disk that
    /// has been silent for longer than that.
    pub(super) fn append(&self, record: &[u8]) -> Written {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        if !state.queue.has_room(record.len()) {
            // An attempt that has begun may have found the disk as it was before.
            let attempt = state.begun + 1;
            self.hurry(&mut state);
            self.wait(&mut state, until, |state| {
                state.queue.has_room(record.len()) || state.answered >= attempt
            });
        }
        let Some(number) = state.queue.push(record) else {
            state.lost += 1;
            return Written::Lost;
        };
        self.hurry(&mut state);
        self.wait(&mut state, until, |state| {
            state.queue.durable() >= number || state.refused >= number
        });
        if state.queue.durable() >= number {
            Written::Durable
        } else {
            Written::Waiting(number)
        }
    }

    /// Hands in records, all or none, and waits for the disk once; the number of the last one. The queue need not be
    /// empty for them, but they never take the last of the room, which is for what happens now.
    pub(super) fn append_all(&self, records: &[Vec<u8>]) -> Option<u64> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        let bytes: usize = records.iter().map(|record| record.len() + 1).sum();
        if !state.queue.is_empty() && !state.queue.has_room(bytes.saturating_mul(2)) {
            self.hurry(&mut state);
            return None;
        }
        for record in records {
            if record.len() > super::LONGEST_LINE || state.queue.push(record).is_none() {
                state.lost += 1;
            }
        }
        let last = state.queue.last();
        self.hurry(&mut state);
        self.wait(&mut state, until, |state| {
            state.queue.durable() >= last || state.refused >= last
        });
        Some(last)
    }

    pub(super) fn is_durable(&self, number: u64) -> bool {
        self.state.lock().queue.durable() >= number
    }

    /// Waits until `enough`, not beyond `until`, and not for a disk that is silent for too long.
    fn wait(
        &self,
        state: &mut parking_lot::MutexGuard<'_, State>,
        until: Instant,
        enough: impl Fn(&State) -> bool,
    ) {
        while !enough(state) {
            let silent = state.at_disk.map_or(until, |since| since + PATIENCE);
            let until = until.min(silent);
            if self.answer.wait_until(state, until).timed_out() && Instant::now() >= until {
                return;
            }
        }
    }

    fn hurry(&self, state: &mut State) {
        state.hurry = true;
        self.work.notify_one();
    }

    /// Writes a line that waits anew; see [`Queue::replace`].
    pub(super) fn replace(&self, number: u64, record: &[u8]) -> bool {
        self.state.lock().queue.replace(number, record)
    }

    /// Waits until every line that came so far is durable, at most until `until`.
    pub(super) fn flush(&self, until: Instant) -> bool {
        let mut state = self.state.lock();
        let last = state.queue.last();
        if state.queue.durable() < last {
            self.hurry(&mut state);
        }
        while state.queue.durable() < last {
            if self.answer.wait_until(&mut state, until).timed_out() {
                return state.queue.durable() >= last;
            }
        }
        true
    }

    pub(super) fn count_loss(&self) {
        self.state.lock().lost += 1;
    }

    pub(super) fn lost(&self) -> u64 {
        self.state.lock().lost
    }

    pub(super) fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// No more lines come: the writer ends when the disk has taken or refused the last one.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_one();
    }

    /// Waits for work.
    fn next(&self, may_look: bool) -> Work {
        let mut state = self.state.lock();
        loop {
            let paused = state.pausing && !state.hurry;
            if !state.queue.is_empty() && !paused {
                break;
            }
            if state.closed {
                return Work::End;
            }
            if state.queue.is_empty() && !may_look {
                self.work.wait(&mut state);
            } else if self.work.wait_for(&mut state, RETRY).timed_out() {
                break;
            }
        }
        state.hurry = false;
        state.at_disk = Some(Instant::now());
        state.begun += 1;
        if state.queue.is_empty() {
            Work::Look
        } else {
            Work::Put(state.queue.take_in_hand())
        }
    }

    /// The disk has taken so many lines of what it was asked; `None` is a refusal.
    fn answered(&self, durable: Option<usize>) {
        let mut state = self.state.lock();
        let asked = state.queue.put_back(durable.unwrap_or_default());
        let took_some = durable.is_some_and(|lines| lines > 0);
        state.pausing = !took_some && asked > state.queue.durable();
        if state.pausing {
            state.refused = asked;
        }
        state.at_disk = None;
        state.answered = state.begun;
        self.answer.notify_all();
    }
}

/// The only one who touches the log's path once it is open.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) desk: Arc<Desk>,
    pub(super) sink: Sink,
}

impl Writer {
    /// Writes until the log is dropped. Whatever the disk does, only this thread waits for it.
    pub(crate) fn run(mut self) {
        let desk = self.desk.clone();
        loop {
            let sink = &mut self.sink;
            let durable = match desk.next(sink.may_look()) {
                Work::Put(lines) => ask(|| sink.put(&lines).ok()),
                Work::Look => ask(|| {
                    sink.look();
                    Some(0)
                }),
                Work::End => return,
            };
            desk.answered(durable);
        }
    }
}

/// A panic of ours is a refusal: the lines are tried again.
fn ask(disk: impl FnOnce() -> Option<usize>) -> Option<usize> {
    catch_unwind(AssertUnwindSafe(disk)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Desk, PATIENCE, Work};
    use crate::slow_log::Written;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// Takes what there is to write, as a disk that does not answer does.
    fn hang(desk: &Desk) -> Vec<String> {
        match desk.next(false) {
            Work::Put(lines) => lines
                .iter()
                .map(|line| String::from_utf8_lossy(line).trim_end().to_owned())
                .collect(),
            Work::Look => vec!["a look".to_owned()],
            Work::End => vec!["the end".to_owned()],
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(30)
    }

    #[test]
    fn a_disk_that_hangs_is_waited_for_once_and_its_lines_keep_their_order() {
        let desk = Desk::new(99);
        let hung = std::thread::scope(|scope| {
            let writer = scope.spawn(|| hang(&desk));
            assert_eq!(desk.append(b"one"), Written::Waiting(1));
            writer.join().unwrap()
        });
        assert_eq!(hung, ["one"]);
        desk.state.lock().at_disk = Instant::now().checked_sub(PATIENCE);
        let begun = Instant::now();
        for number in 2..=9 {
            assert_eq!(desk.append(b"more"), Written::Waiting(number));
        }
        assert!(begun.elapsed() < PATIENCE, "nobody waits for it again");
        assert!(!desk.replace(1, b"ONE") && desk.replace(2, b"two"));
        assert!(!desk.flush(soon()), "deadlines hold");
        desk.answered(Some(1));
        assert_eq!((desk.waiting(), desk.lost()), (8, 0));
        assert_eq!(hang(&desk)[..2], ["two", "more"]);
        desk.answered(Some(8));
        assert!(desk.flush(soon()));
    }

    #[test]
    fn a_refusal_is_told_at_once_and_what_has_no_room_is_counted() {
        let desk = Desk::new(10);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..3 {
                    hang(&desk);
                    desk.answered(None);
                }
            });
            let begun = Instant::now();
            assert_eq!(desk.append(b"12345"), Written::Waiting(1));
            assert_eq!(desk.append(b"678"), Written::Waiting(2));
            assert_eq!(desk.append(b"9"), Written::Lost);
            assert!(begun.elapsed() < PATIENCE, "the disk has answered");
        });
        assert_eq!((desk.waiting(), desk.lost()), (2, 1));
    }

    #[test]
    fn the_writer_ends_with_the_log() {
        let desk: Arc<Desk> = Desk::new(99);
        desk.close();
        assert_eq!(hang(&desk), ["the end"]);
    }
}
