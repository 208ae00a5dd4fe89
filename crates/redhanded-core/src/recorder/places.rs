//! Where in a slot's arena stands what is recorded.

use crate::copied::kind;
use crate::registry::{ARENA_WORDS, Kind, kept};
use crate::sync::{AtomicU64, Ordering};

/// The words of an arena.
pub(super) type Words = [AtomicU64; ARENA_WORDS];

/// Method, target, and behind them route, host and TLS most often stand together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    /// Where what stands together begins.
    pub(super) begin: usize,
    /// The head of the target.
    pub(super) target: usize,
    /// Bytes that the target has.
    pub(super) target_bytes: usize,
    /// Its end.
    pub(super) target_end: usize,
    /// The end of what stands together.
    pub(super) end: usize,
    /// The heads of what else there is, a byte each: the words before one, and one.
    strays: u64,
}

/// Kinds that are recorded, one bit each.
const RECORDED: u32 = bit(kind::METHOD)
    | bit(kind::TARGET)
    | bit(kind::HOST)
    | bit(kind::ROUTE)
    | bit(kind::TRACEPARENT)
    | bit(kind::HTTPS)
    | bit(kind::JOB)
    | bit(kind::PARAM);

impl Places {
    /// Of facts of these `kinds`, which take `used` words.
    #[inline(always)]
    pub(super) fn of(words: &Words, used: usize, kinds: u32) -> Self {
        let first = head(words, 0);
        let begin = if is(first, kind::CLIENT) {
            after(0, first)
        } else {
            0
        };
        let method = head(words, begin);
        let target = after(begin, method);
        let target_head = head(words, target);
        let target_end = after(target, target_head);
        let mut seen = bit(kind::METHOD) | bit(kind::TARGET);
        let mut end = target_end;
        // What lies behind the last fact may be an earlier request's, and gives a kind that this one does not have.
        let route = head(words, end);
        if is(route, kind::ROUTE) {
            seen |= bit(kind::ROUTE);
            end = after(end, route);
        }
        let host = head(words, end);
        if is(host, kind::HOST) {
            seen |= bit(kind::HOST);
            end = after(end, host);
        }
        let is_right =
            is(method, kind::METHOD) & is(target_head, kind::TARGET) & (kinds & RECORDED == seen);
        if !is_right {
            return Self::sought(words, used);
        }
        Self {
            begin,
            target,
            target_bytes: kept(target_head),
            target_end,
            end,
            strays: 0,
        }
    }

    /// The same for facts that stand in any order.
    #[cold]
    #[inline(never)]
    fn sought(words: &Words, used: usize) -> Self {
        let mut places = Self::default();
        let mut at = 0;
        while at < used.min(ARENA_WORDS) {
            let head = head(words, at);
            places.note(head, at);
            at = after(at, head);
        }
        places
    }

    fn note(&mut self, head: u64, begin: usize) {
        let end = after(begin, head);
        match head as u8 {
            kind::METHOD if self.end == 0 => (self.begin, self.end) = (begin, end),
            kind::TARGET if self.end == begin && self.target_end == 0 => {
                (self.target, self.target_bytes) = (begin, kept(head));
                (self.target_end, self.end) = (end, end);
            }
            kind::ROUTE | kind::HOST | kind::HTTPS if self.end == begin && self.target_end != 0 => {
                self.end = end;
            }
            kind::ROUTE => self.stray(0, begin),
            kind::HOST => self.stray(1, begin),
            kind::HTTPS => self.stray(2, begin),
            kind::TRACEPARENT => self.stray(3, begin),
            kind::JOB => self.stray(4, begin),
            kind::PARAM | kind::METHOD | kind::TARGET => self.stray(5, begin),
            _ => {}
        }
    }

    /// The last of its kind counts.
    fn stray(&mut self, which: u32, begin: usize) {
        let shift = which * 8;
        self.strays = self.strays & !(0xff << shift) | (begin as u64 + 1) << shift;
    }

    /// Whether something does not stand together with the rest.
    #[inline]
    pub(super) fn has_strays(&self) -> bool {
        self.strays != 0
    }

    /// The words of each fact that does not stand with the rest.
    pub(super) fn strays<'a>(&self, words: &'a Words) -> impl Iterator<Item = &'a [AtomicU64]> {
        let places = self.strays.to_le_bytes().into_iter();
        places.filter_map(|place| {
            let at = usize::from(place).checked_sub(1)?;
            words.get(at..after(at, head(words, at)))
        })
    }
}

const fn bit(kind: Kind) -> u32 {
    1 << kind
}

#[inline]
fn is(head: u64, kind: Kind) -> bool {
    head as u8 == kind
}

#[inline]
fn head(words: &Words, at: usize) -> u64 {
    words[at % ARENA_WORDS].load(Ordering::Relaxed)
}

/// Behind the fact with that head.
#[inline]
fn after(at: usize, head: u64) -> usize {
    at + 1 + ((kept(head) + 7) >> 3)
}
