//! Who keeps the threads of a runtime from everybody else.

use super::standing::{StandingPolls, ms};
use crate::family;
use crate::registry::Slot;
use crate::verdict::{Crowd, Hog};
use crate::worker::Worker;
use redhanded_capture::Sampler;

/// Who keeps the threads of `runtime`, but for the request in `except`, which polled last on `mine`.
pub(super) fn crowd_of(
    runtime: u64,
    mine: Option<&'static Worker>,
    except: Option<&'static Slot>,
    polls: &StandingPolls,
    early_ns: u64,
    now_ns: u64,
) -> Crowd {
    let workers = Worker::all();
    let of_runtime = |w: &&&'static Worker| w.runtime() == runtime && w.thread().is_alive();
    // Those that never polled a watched request count too: they may be free.
    let own = workers.iter().filter(of_runtime);
    let (known, pool) = own.fold((0, 0), |(n, pool), w| (n + 1, w.pool().max(pool)));
    let mut crowd = Crowd {
        workers: pool.max(known),
        ..Crowd::default()
    };
    let mut hog: Option<(Hog, &'static Slot)> = None;
    for (other, standing) in polls.others(except, early_ns, now_ns) {
        if standing.worker.runtime() != runtime {
            continue;
        }
        crowd.standing += 1;
        let same_worker = mine.is_some_and(|mine| std::ptr::eq(standing.worker, mine));
        let stood_ms = ms(now_ns.saturating_sub(standing.since_ns));
        let longer = |(h, _): &(Hog, _)| (same_worker, stood_ms) > (h.same_worker, h.stood_ms);
        if hog.as_ref().is_none_or(longer) {
            let thread = standing.worker.thread();
            let found = Hog {
                id: String::new(),
                thread: thread.name().unwrap_or_else(|| thread.tid().to_string()),
                stood_ms,
                same_worker,
            };
            hog = Some((found, other));
        }
    }
    crowd.hog = hog.map(|(hog, slot)| Hog {
        id: family::id_of(slot),
        ..hog
    });
    crowd
}

/// How many workers of the runtime that `slot` belongs to sleep outside of any watched poll.
pub(super) fn asleep(slot: &Slot, sampler: &mut Sampler) -> u32 {
    let Some(mine) = Worker::at(slot.poll_mark().worker) else {
        return 0;
    };
    let sleeps = |worker: &&'static Worker| {
        let thread = worker.thread();
        worker.runtime() == mine.runtime()
            && thread.is_alive()
            && worker.current().is_none()
            && sampler.activity(&thread).state == Some('S')
    };
    Worker::all().into_iter().filter(sleeps).count() as u32
}
