//! Where everything stands in the file, in words of eight bytes of the machine's own byte order.
//!
//! A header of one page, then records of 2 KiB, none of which crosses a page. Each record has five parts, each with one
//! writer and a checksum of its own, so that nobody waits for anybody:
//!
//! | part | written | by |
//! |---|---|---|
//! | asked | once, when a request begins | the thread that serves it |
//! | trace | once, when its ids are fixed | whoever needs them first |
//! | seen | about once a second, and when it is caught | the watchdog |
//! | verdict | at each look | the watchdog |
//! | named | when the stacks of a look have names | the clerk |
//!
//! What a part says is a sequence of facts: a word of kind (8 bits), bytes kept (24) and bytes there were (32), then the
//! bytes, eight to a word, the first in its lowest bits.

/// The first eight bytes of the file.
pub const MAGIC: [u8; 8] = *b"redhndFR";
/// The second word, in the byte order of the writer.
pub const BYTE_ORDER: u64 = 0x0102_0304_0506_0708;
/// Version of all that is described here.
pub const VERSION: u32 = 1;

/// Words of the header: one page.
pub const HEADER_WORDS: usize = 512;
/// Words of a record.
pub const RECORD_WORDS: usize = 256;
/// Bytes of the header.
pub const HEADER_BYTES: usize = HEADER_WORDS * 8;
/// Bytes of a record.
pub const RECORD_BYTES: usize = RECORD_WORDS * 8;
/// As many records as a file may have.
pub const MOST_RECORDS: usize = 1 << 20;

/// Words of the header.
pub mod header {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// [`BYTE_ORDER`](super::BYTE_ORDER).
    pub const BYTE_ORDER: usize = 1;
    /// Version below, words of the header above.
    pub const VERSION: usize = 2;
    /// Words of a record below, number of records above.
    pub const RECORDS: usize = 3;
    /// Checksum of the words before and of those from [`PID`] on, up to [`FIXED_END`]; two words.
    pub const CHECK: usize = 4;
    /// Process id.
    pub const PID: usize = 6;
    /// When the process was started, in clock ticks since the machine's boot, as `/proc/PID/stat` has it; 0 if unknown.
    pub const STARTED_TICKS: usize = 7;
    /// When the file was made: monotonic clock, boot clock (with suspended time) and wall clock, in nanoseconds.
    pub const MADE_NS: usize = 8;
    /// See [`MADE_NS`].
    pub const MADE_BOOT_NS: usize = 9;
    /// See [`MADE_NS`]; since 1970.
    pub const MADE_WALL_NS: usize = 10;
    /// The boot id, two words; 0 if unknown.
    pub const BOOT_ID: usize = 11;
    /// Words that the facts about the service take.
    pub const SERVICE_USED: usize = 13;
    /// Facts about the service.
    pub const SERVICE: usize = 14;
    /// Here ends what never changes.
    pub const FIXED_END: usize = 256;
    /// The watchdog's last round: monotonic clock, and wall clock.
    pub const ALIVE_NS: usize = 256;
    /// See [`ALIVE_NS`].
    pub const ALIVE_WALL_NS: usize = 257;
    /// 0 while it runs, 1 after a shutdown.
    pub const STATE: usize = 258;
    /// Requests that found no free record, ever.
    pub const UNRECORDED: usize = 259;
    /// Those of them that are in flight.
    pub const UNRECORDED_NOW: usize = 260;
    /// When everything up to then was on disk, by the monotonic clock; 0 if that was never asked for.
    pub const SYNCED_NS: usize = 261;
}

/// The parts of a record, by their first words.
pub mod part {
    use std::ops::Range;

    /// What was asked. Unlike the others it begins with [`asked`](super::asked).
    pub const ASKED: Range<usize> = 0..120;
    /// Its place in its trace.
    pub const TRACE: Range<usize> = 120..132;
    /// Where it was when the watchdog saw it last.
    pub const SEEN: Range<usize> = 132..168;
    /// What was found when it was looked at.
    pub const VERDICT: Range<usize> = 168..208;
    /// The same, with names.
    pub const NAMED: Range<usize> = 208..256;
}

/// Words of the part [`ASKED`](part::ASKED).
pub mod asked {
    /// How often the record was used (62 bits), and a state below.
    pub const STATE: usize = 0;
    /// Words that the facts take.
    pub const USED: usize = 1;
    /// Checksum, two words.
    pub const CHECK: usize = 2;
    /// When it began, on the monotonic clock.
    pub const STARTED_NS: usize = 4;
    /// Its threshold.
    pub const SLOW_AFTER_NS: usize = 5;
    /// The first fact.
    pub const FACTS: usize = 6;

    /// State: nobody's.
    pub const FREE: u64 = 0;
    /// State: being written.
    pub const WRITING: u64 = 1;
    /// State: in flight.
    pub const LIVE: u64 = 2;
    /// Bits of a state.
    pub const STATE_BITS: u32 = 2;
}

/// Words of the other parts.
pub mod other {
    /// Odd while it is written.
    pub const SEQUENCE: usize = 0;
    /// Which use of the record it is about: the upper bits of [`asked::STATE`](super::asked::STATE).
    pub const SERIAL: usize = 1;
    /// Words that the facts take.
    pub const USED: usize = 2;
    /// Checksum, two words.
    pub const CHECK: usize = 3;
    /// The first fact.
    pub const FACTS: usize = 5;
}

/// Kinds of facts about what was asked; the numbers that the engine has for them.
pub mod fact {
    /// The method.
    pub const METHOD: u8 = 1;
    /// Path and query.
    pub const TARGET: u8 = 2;
    /// The host.
    pub const HOST: u8 = 3;
    /// The matched route.
    pub const ROUTE: u8 = 4;
    /// The incoming `traceparent`.
    pub const TRACEPARENT: u8 = 7;
    /// It came over TLS.
    pub const HTTPS: u8 = 8;
    /// The name of a background job.
    pub const JOB: u8 = 9;
    /// A parameter of a job: the length of its name in one byte, the name, the value.
    pub const PARAM: u8 = 10;
}

/// Kinds of facts of the other parts, and of the header.
pub mod word {
    /// Trace id, 16 bytes.
    pub const TRACE_ID: u8 = 1;
    /// Span id, 8 bytes.
    pub const SPAN_ID: u8 = 2;
    /// The caller's span id, 8 bytes.
    pub const PARENT_ID: u8 = 3;
    /// When it was seen, monotonic clock, 8 bytes.
    pub const AT_NS: u8 = 4;
    /// A word of [`Phase`](crate::Phase).
    pub const PHASE: u8 = 5;
    /// Number of a thread, 8 bytes.
    pub const THREAD: u8 = 6;
    /// Its name.
    pub const THREAD_NAME: u8 = 7;
    /// How often it was polled, 8 bytes.
    pub const POLLS: u8 = 8;
    /// Name of the host that an outbound call is made to.
    pub const PEER: u8 = 9;
    /// Its port, 8 bytes.
    pub const PEER_PORT: u8 = 10;
    /// How far the call has got.
    pub const PEER_PHASE: u8 = 11;
    /// Id of the report.
    pub const ID: u8 = 12;
    /// A word of [`Class`](crate::Class).
    pub const CLASS: u8 = 13;
    /// A word of [`Role`](crate::Role).
    pub const ROLE: u8 = 14;
    /// A word of [`Confidence`](crate::Confidence).
    pub const CONFIDENCE: u8 = 15;
    /// The cause, cut.
    pub const CAUSE: u8 = 16;
    /// The culprit's function, cut.
    pub const CULPRIT: u8 = 17;
    /// The fingerprint, 8 bytes.
    pub const FINGERPRINT: u8 = 18;
    /// What kind of call it is, such as `http`.
    pub const PEER_KIND: u8 = 20;
    /// Its threshold by now, 8 bytes.
    pub const SLOW_AFTER_NS: u8 = 19;
    /// `service.name` and its kin.
    pub const SERVICE_NAME: u8 = 32;
    /// See [`SERVICE_NAME`].
    pub const SERVICE_VERSION: u8 = 33;
    /// See [`SERVICE_NAME`].
    pub const SERVICE_INSTANCE: u8 = 34;
    /// See [`SERVICE_NAME`].
    pub const HOST_NAME: u8 = 35;
}

/// The head of a fact of `kind`, of which `kept` bytes of `total` follow.
#[inline]
pub const fn head(kind: u8, kept: usize, total: usize) -> u64 {
    kind as u64 | ((kept as u64) & 0xff_ffff) << 8 | (total as u64) << 32
}

/// Bytes of a file with so many records.
pub const fn file_bytes(records: usize) -> usize {
    HEADER_BYTES + records * RECORD_BYTES
}

/// A checksum that grows word by word, as Fletcher's: the sum of all words, and the sum of those sums. A change of any single
/// word changes the first; words that have changed places change the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    sum: u64,
    sums: u64,
}

impl Check {
    /// Of nothing but the record's serial.
    #[inline]
    pub const fn new(serial: u64) -> Self {
        Self {
            sum: serial ^ 0x243f_6a88_85a3_08d3,
            sums: 0,
        }
    }

    /// With one word more.
    #[inline]
    #[must_use]
    pub const fn with(self, word: u64) -> Self {
        let sum = self.sum.wrapping_add(word);
        Self {
            sum,
            sums: self.sums.wrapping_add(sum),
        }
    }

    /// Both sums, as they are stored.
    #[inline]
    pub const fn sums(self) -> [u64; 2] {
        [self.sum, self.sums]
    }
}

const _: () = assert!(part::NAMED.end == RECORD_WORDS);
const _: () = assert!(4096 % RECORD_BYTES == 0);
