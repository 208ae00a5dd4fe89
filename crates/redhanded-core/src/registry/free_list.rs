//! The free slots of one shard: a lock-free stack of indices.
//!
//! A slot goes home to the shard it came from, wherever its request ended; so a shard never holds
//! more slots than were in flight from it at once. The head carries a tag that grows with every
//! push and pop, so that an index that left and came back is not mistaken for never having moved.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct FreeList(AtomicU64);

/// The link that every member of the list has room for.
#[derive(Debug)]
pub(crate) struct Link(AtomicU32);

/// Something that can be in a [`FreeList`].
pub(crate) trait Linked {
    fn link(&self) -> &Link;
}

impl Link {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(NONE))
    }
}

fn pack(tag: u32, index: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(index)
}

fn unpack(head: u64) -> (u32, u32) {
    ((head >> 32) as u32, head as u32)
}

impl FreeList {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(pack(0, NONE)))
    }

    /// Takes a member; `find` finds it by the index that it was pushed with.
    #[inline]
    pub(crate) fn pop<'a, T: Linked>(&self, find: impl Fn(u32) -> Option<&'a T>) -> Option<&'a T> {
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            let (tag, index) = unpack(head);
            if index == NONE {
                return None;
            }
            let member = find(index)?;
            let next = member.link().0.load(Ordering::Relaxed);
            let new = pack(tag.wrapping_add(1), next);
            match self
                .0
                .compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some(member),
                Err(now) => head = now,
            }
        }
    }

    /// Puts an index back that nobody else has.
    #[inline]
    pub(crate) fn push(&self, index: u32, link: &Link) {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            let (tag, first) = unpack(head);
            link.0.store(first, Ordering::Relaxed);
            let new = pack(tag.wrapping_add(1), index);
            match self
                .0
                .compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

#[cfg(all(test, redhanded_loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    struct Member {
        index: u32,
        link: Link,
    }

    impl Linked for Member {
        fn link(&self) -> &Link {
            &self.link
        }
    }

    #[test]
    fn no_index_is_given_to_two() {
        loom::model(|| {
            let members = [0, 1].map(|index| Member {
                index,
                link: Link::new(),
            });
            let list = Arc::new((FreeList::new(), members));
            list.0.push(0, &list.1[0].link);
            list.0.push(1, &list.1[1].link);
            let other = {
                let list = list.clone();
                thread::spawn(move || {
                    if let Some(taken) = list.0.pop(|i| list.1.get(i as usize)) {
                        list.0.push(taken.index, &taken.link);
                    }
                })
            };
            let pop = || list.0.pop(|i| list.1.get(i as usize)).map(|m| m.index);
            let (a, b) = (pop(), pop());
            assert!(a.is_none() || a != b, "{a:?} given twice");
            other.join().unwrap();
        });
    }
}
