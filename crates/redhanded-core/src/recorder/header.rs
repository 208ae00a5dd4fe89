//! The header of the file: who writes it, and its last sign of life.

use redhanded_capture::monotonic_ns;
use redhanded_report::Service;
use redhanded_report::recorder::layout::{
    BYTE_ORDER, Check, HEADER_WORDS, MAGIC, RECORD_WORDS, VERSION, head, header, word,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

type Header = [AtomicU64; HEADER_WORDS];

/// Bytes of each text about the service.
const TEXT_BYTES: usize = 256;

/// Fills the header of a new file; whoever looks at it before sees none.
pub(super) fn write(to: &Header, service: &Service, records: usize) {
    let mut words = [0_u64; header::FIXED_END];
    words[header::MAGIC] = u64::from_ne_bytes(MAGIC);
    words[header::BYTE_ORDER] = BYTE_ORDER;
    words[header::VERSION] = u64::from(VERSION) | (HEADER_WORDS as u64) << 32;
    words[header::RECORDS] = RECORD_WORDS as u64 | (records as u64) << 32;
    words[header::PID] = u64::from(std::process::id());
    words[header::STARTED_TICKS] = started_ticks().unwrap_or_default();
    let now_ns = monotonic_ns();
    words[header::MADE_NS] = now_ns;
    words[header::MADE_BOOT_NS] = now_ns + redhanded_capture::suspended_ns().unwrap_or_default();
    words[header::MADE_WALL_NS] = wall_ns();
    [words[header::BOOT_ID], words[header::BOOT_ID + 1]] = boot_id().unwrap_or_default();
    let texts = [
        (word::SERVICE_NAME, Some(&service.name)),
        (word::SERVICE_VERSION, service.version.as_ref()),
        (word::SERVICE_INSTANCE, service.instance.as_ref()),
        (word::HOST_NAME, service.host.as_ref()),
    ];
    let mut used = header::SERVICE;
    for (kind, text) in texts
        .into_iter()
        .filter_map(|(kind, text)| Some((kind, text?)))
    {
        put(&mut words, &mut used, kind, text);
    }
    words[header::SERVICE_USED] = (used - header::SERVICE) as u64;
    [words[header::CHECK], words[header::CHECK + 1]] = check(&words);
    for (to, word) in to.iter().zip(words) {
        to.store(word, Ordering::Relaxed);
    }
    alive(to, now_ns);
}

fn put(words: &mut [u64], used: &mut usize, kind: u8, text: &str) {
    let kept = text
        .get(..text.floor_char_boundary(TEXT_BYTES))
        .unwrap_or_default();
    let needed = 1 + kept.len().div_ceil(8);
    let Some((first, body)) = words
        .get_mut(*used..*used + needed)
        .and_then(<[_]>::split_first_mut)
    else {
        return;
    };
    *first = head(kind, kept.len(), text.len());
    for (word, eight) in body.iter_mut().zip(kept.as_bytes().chunks(8)) {
        let mut whole = [0; 8];
        whole
            .iter_mut()
            .zip(eight)
            .for_each(|(to, byte)| *to = *byte);
        *word = u64::from_le_bytes(whole);
    }
    *used += needed;
}

fn check(words: &[u64]) -> [u64; 2] {
    let (before, after) = words.split_at(header::CHECK);
    let after = after.get(2..).unwrap_or_default();
    let all = before.iter().chain(after);
    let sum = all.fold(Check::new(0), |check, word| check.with(*word));
    sum.with(after.len() as u64).sums()
}

/// The watchdog is at work.
pub(super) fn alive(header: &Header, now_ns: u64) {
    header[header::ALIVE_NS].store(now_ns, Ordering::Relaxed);
    header[header::ALIVE_WALL_NS].store(wall_ns(), Ordering::Relaxed);
}

/// The process was shut down in good order.
pub(super) fn shut_down(header: &Header, now_ns: u64) {
    alive(header, now_ns);
    header[header::STATE].store(1, Ordering::Release);
}

/// Everything up to then is on disk.
pub(super) fn synced(header: &Header, at_ns: u64) {
    header[header::SYNCED_NS].store(at_ns, Ordering::Relaxed);
}

pub(super) fn wall_ns() -> u64 {
    let age = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
}

/// When this process was started, in clock ticks since the boot: with its number it is told from every other one of this
/// boot. The name before it may have blanks and brackets.
fn started_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(19)?.parse().ok()
}

fn boot_id() -> Option<[u64; 2]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    Some([(number >> 64) as u64, number as u64])
}
