//! A future's memory, followed through its boxes.
//!
//! A boxed trait object is two words, and the second leads to a table whose first words say how to drop the thing, how
//! large it is, and how it is aligned: that is how its extent is known, whatever the allocator. A box of a known type is one
//! word; glibc's allocator writes the size in front of it.

use super::memory;
use super::modules::Modules;
use super::own_stack::POINTERS;
use crate::{Object, Reach};
use std::collections::VecDeque;

const WORD: u64 = size_of::<u64>() as u64;
/// Larger ones are read in part: what a future keeps across an await is smaller.
const MOST_BYTES: u64 = 16 << 10;
const MOST_OBJECTS: usize = 64;
/// Boxes in boxes in boxes.
const MOST_DEPTH: u32 = 12;
/// A trait object of more than this is none.
const LARGEST: u64 = 1 << 20;
const MOST_ALIGNED: u64 = 4096;

/// Something to read.
struct Found {
    address: u64,
    size: u64,
    drop_glue: Option<u64>,
    is_owned: bool,
    depth: u32,
}

/// What the future of `size` bytes at `address` holds.
pub(super) fn of(modules: &Modules, address: u64, size: u64) -> Reach {
    let mut reach = Reach::default();
    let mut queue = VecDeque::from([Found {
        address,
        size,
        drop_glue: None,
        is_owned: true,
        depth: 0,
    }]);
    while let Some(found) = queue.pop_front() {
        if reach.object_at(found.address).is_some() {
            continue;
        }
        if reach.objects.len() == MOST_OBJECTS || found.depth == MOST_DEPTH {
            reach.cut = true;
            break;
        }
        let Some(mut words) = words_at(found.address, found.size.min(MOST_BYTES)) else {
            continue;
        };
        reach.cut |= found.size > MOST_BYTES;
        follow(modules, &mut words, &found, &mut queue);
        reach.objects.push(Object {
            address: found.address,
            words,
            drop_glue: found.drop_glue,
            is_owned: found.is_owned,
        });
    }
    reach
}

fn words_at(address: u64, size: u64) -> Option<Vec<u64>> {
    let address = address.checked_next_multiple_of(WORD)?;
    let bytes = memory::bytes(address, size / WORD * WORD)?;
    let word = |chunk: &[u8]| chunk.try_into().map(u64::from_ne_bytes).unwrap_or_default();
    Some(bytes.chunks_exact(size_of::<u64>()).map(word).collect())
}

/// Notes what the `words` of `of` lead to; the tables of trait objects among them say nothing more and are cleared. From
/// what others may own nothing is followed but boxed trait objects, which they may own as well: it leads to everything.
fn follow(modules: &Modules, words: &mut [u64], of: &Found, queue: &mut VecDeque<Found>) {
    let depth = of.depth + 1;
    let mut at = 0;
    while let Some(&word) = words.get(at) {
        at += 1;
        if !POINTERS.contains(&word) || !word.is_multiple_of(WORD) {
            continue;
        }
        let table = words.get(at).copied().unwrap_or_default();
        if let Some((drop_glue, size, align)) = vtable(modules, table)
            && word.is_multiple_of(align)
        {
            if let Some(table) = words.get_mut(at) {
                *table = 0;
            }
            at += 1;
            if size > 0 && modules.find(word).is_none() {
                queue.push_back(Found {
                    address: word,
                    size,
                    drop_glue,
                    is_owned: of.is_owned,
                    depth,
                });
            }
        } else if of.is_owned
            && modules.find(word).is_none()
            && let Some(size) = allocated(word)
        {
            queue.push_back(Found {
                address: word,
                size,
                drop_glue: None,
                is_owned: false,
                depth,
            });
        }
    }
}

/// Drop function, size and alignment, if there is a table of a trait object at `address`.
fn vtable(modules: &Modules, address: u64) -> Option<(Option<u64>, u64, u64)> {
    if !POINTERS.contains(&address) || !address.is_multiple_of(WORD) {
        return None;
    }
    let loaded = modules.find(address)?;
    if loaded.text.contains(&address) {
        return None;
    }
    let table: [u8; 32] = memory::array(address)?;
    let number = |at: usize| {
        let bytes = table
            .get(at * 8..at * 8 + 8)
            .and_then(|b| b.try_into().ok());
        bytes.map(u64::from_ne_bytes)
    };
    let (drop, size, align, method) = (number(0)?, number(1)?, number(2)?, number(3)?);
    let is_code = |at: u64| {
        modules
            .find(at)
            .is_some_and(|loaded| loaded.text.contains(&at))
    };
    let is_table = (drop == 0 || is_code(drop))
        && size <= LARGEST
        && align.is_power_of_two()
        && align <= MOST_ALIGNED
        && size.is_multiple_of(align)
        && is_code(method);
    is_table.then_some((Some(drop).filter(|drop| *drop != 0), size, align))
}

/// How many bytes glibc's allocator gave out at `address`, if it did: it writes that in front of them, and in front of the
/// next chunk that this one is in use.
pub(super) fn allocated(address: u64) -> Option<u64> {
    const FLAGS: u64 = 7;
    const IN_USE: u64 = 1;
    const SMALLEST: u64 = 32;
    if !address.is_multiple_of(16) {
        return None;
    }
    let size_at = |address: u64| memory::array(address.checked_sub(WORD)?).map(u64::from_ne_bytes);
    let head = size_at(address)?;
    let size = head & !FLAGS;
    let is_plausible =
        (SMALLEST..=MOST_BYTES).contains(&size) && size.is_multiple_of(16) && head & 2 == 0;
    if !is_plausible {
        return None;
    }
    let next = size_at(address.checked_add(size)?)?;
    (next & IN_USE != 0 && next & !FLAGS >= SMALLEST / 2).then_some(size - WORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::sync::{Mutex, MutexGuard};

    fn modules() -> Modules {
        let mut modules = Modules::default();
        modules.refresh();
        modules
    }

    fn reach_of<T>(value: &T) -> Reach {
        of(
            &modules(),
            std::ptr::from_ref(value) as u64,
            size_of::<T>() as u64,
        )
    }

    fn holds(reach: &Reach, word: u64, owned: bool) -> bool {
        let mut objects = reach.objects.iter().filter(|o| o.is_owned || !owned);
        objects.any(|object| object.words.contains(&word))
    }

    #[expect(clippy::await_holding_lock, reason = "that is what is found")]
    #[test]
    fn a_guard_in_a_boxed_future_refers_to_its_lock() {
        static LOCK: Mutex<u64> = Mutex::new(0);
        async fn hold(guard: MutexGuard<'_, u64>) {
            std::future::pending::<()>().await;
            drop(guard);
        }
        let lock = &raw const LOCK as u64;
        let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(hold(LOCK.lock().expect("free")));
        let around = async move {
            boxed.await;
            true
        };
        assert!(holds(&reach_of(&around), lock, true));
        drop(around);
        let other: Pin<Box<dyn Future<Output = ()>>> = Box::pin(std::future::ready(()));
        assert!(!holds(&reach_of(&other), lock, true));
    }

    #[test]
    fn a_box_of_a_known_type_is_found_and_may_be_shared() {
        let inner = Box::new([0x1234_5678_9abc_u64; 8]);
        let around = (1_u64, inner);
        let reach = reach_of(&around);
        assert!(holds(&reach, 0x1234_5678_9abc, false));
        assert!(!holds(&reach, 0x1234_5678_9abc, true));
    }

    #[test]
    fn what_is_no_memory_is_nothing() {
        let wild = [u64::MAX, 8, 0x1_0000, 0x7fff_ffff_fff8, 1 << 63];
        let reach = reach_of(&wild);
        assert_eq!(reach.objects.len(), 1, "{reach:?}");
        assert_eq!(of(&modules(), 16, 64), Reach::default());
        assert_eq!(of(&modules(), u64::MAX - 8, 64), Reach::default());
    }

    #[test]
    fn a_ring_of_boxes_ends() {
        let mut words = Box::new([0_u64; 4]);
        words[1] = &raw const *words as u64;
        let around = (&raw const *words as u64, words);
        assert!(reach_of(&around).objects.len() <= 3);
    }
}
