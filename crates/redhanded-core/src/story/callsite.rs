//! The places in the source that spans and events come from, by small numbers.
//!
//! A callsite is static: it is noted once, and found again by its address without a lock.

use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Room for callsites; a large service has a few thousand.
const TABLE: usize = 1 << 14;
/// So far from its place a callsite is looked for.
const PROBES: usize = 16;

/// `tracing`'s levels, from the least to the most severe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// `TRACE`.
    Trace,
    /// `DEBUG`.
    Debug,
    /// `INFO`.
    #[default]
    Info,
    /// `WARN`.
    Warn,
    /// `ERROR`.
    Error,
}

impl Level {
    /// As people write it: `TRACE` to `ERROR`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// A place in the source that spans or events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callsite {
    /// Of a span its name.
    pub name: &'static str,
    /// The module, unless the user said otherwise.
    pub target: &'static str,
    /// How severe.
    pub level: Level,
    /// Its file, as the compiler was given it.
    pub file: Option<&'static str>,
    /// Its line.
    pub line: Option<u32>,
    /// The names of its fields, in their order.
    pub fields: Vec<&'static str>,
}

/// The number of a callsite; zero is one that there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub(super) u16);

/// Each its address, shifted, and its number; zero where there is none.
static PLACES: [AtomicU64; TABLE] = [const { AtomicU64::new(0) }; TABLE];
/// By number less one. Leaked, as what they are made of is static, and the table bounds them.
static KNOWN: RwLock<Vec<&'static Callsite>> = RwLock::new(Vec::new());

fn place(address: usize, probe: usize) -> &'static AtomicU64 {
    let mixed = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
    &PLACES[(mixed as usize + probe) % TABLE]
}

/// The number of the callsite that lies at `address`; `make` says what it is when it is new.
#[inline]
pub fn number(address: usize, make: impl FnOnce() -> Callsite) -> Number {
    let word = place(address, 0).load(Ordering::Acquire);
    if word >> 16 == address as u64 {
        return Number(word as u16);
    }
    look_further(address, make)
}

#[cold]
fn look_further(address: usize, make: impl FnOnce() -> Callsite) -> Number {
    let at = |probe| place(address, probe).load(Ordering::Acquire);
    let find = || {
        (0..PROBES)
            .map(at)
            .find(|word| word >> 16 == address as u64)
    };
    if let Some(word) = find() {
        return Number(word as u16);
    }
    // The last words of an address are shifted out of sight: such a machine has no numbers.
    if address as u64 >> 48 != 0 {
        return Number(0);
    }
    let mut known = KNOWN.write();
    if let Some(word) = find() {
        return Number(word as u16); // somebody else was faster
    }
    let Some(free) = (0..PROBES).find(|probe| at(*probe) == 0) else {
        return Number(0);
    };
    let Ok(number) = u16::try_from(known.len() + 1) else {
        return Number(0);
    };
    known.push(Box::leak(Box::new(make())));
    let word = (address as u64) << 16 | u64::from(number);
    place(address, free).store(word, Ordering::Release);
    Number(number)
}

/// What is known of a number.
pub(super) fn of(number: u16) -> Option<&'static Callsite> {
    let index = usize::from(number).checked_sub(1)?;
    KNOWN.read().get(index).copied()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn callsite(line: u32) -> Callsite {
        Callsite {
            name: "here",
            target: "app",
            level: Level::Info,
            file: None,
            line: Some(line),
            fields: vec![],
        }
    }

    #[test]
    fn a_callsite_keeps_its_number() {
        let first = number(0x7f00_0000_1000, || callsite(1));
        let other = number(0x7f00_0000_1008, || callsite(2));
        assert_ne!(first, other);
        assert_eq!(
            number(0x7f00_0000_1000, || unreachable!("it is known")),
            first
        );
        assert_eq!(of(first.0).and_then(|c| c.line), Some(1));
        assert_eq!(of(other.0).and_then(|c| c.line), Some(2));
    }

    #[test]
    fn one_that_has_no_room_is_number_zero() {
        assert_eq!(number(1 << 50, || callsite(3)), Number(0));
        assert_eq!(of(0), None);
    }
}
