//! The reader: bytes in, requests in flight out.

use super::layout::{
    BYTE_ORDER, Check, HEADER_BYTES, HEADER_WORDS, MAGIC, MOST_RECORDS, RECORD_WORDS, VERSION,
    fact, file_bytes, header, part, word,
};
use super::parse::{Asked, Fact, Found, facts, first, part as read_part, sum};
use super::refused::Refused;
use crate::{Class, Confidence, Culprit, Phase, Role, Service, Verdict};

/// Everything that a flight recorder's file tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recording {
    /// Of which process, and when.
    pub header: Header,
    /// What was in flight, the oldest first.
    pub requests: Vec<InFlight>,
    /// Records that were being written or are damaged, and are left out. Of a process that runs they may be whole
    /// a moment later.
    pub torn: u64,
    /// Parts of whole records for which the same is true; such a request lacks its peer, trace or verdict.
    pub torn_parts: u64,
}

/// Which process wrote it, and when. Times by the monotonic clock count from the machine's boot.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// The service, with the process id.
    pub service: Service,
    /// When the process was started, in clock ticks since the boot, as `/proc/PID/stat` has it; 0 if unknown.
    pub started_ticks: u64,
    /// Which boot of which machine, 32 hex digits; zeros if unknown.
    pub boot_id: String,
    /// When the file was made: monotonic clock, boot clock and wall clock (since 1970), in nanoseconds.
    pub made_ns: u64,
    /// See `made_ns`.
    pub made_boot_ns: u64,
    /// See `made_ns`.
    pub made_wall_ns: u64,
    /// The watchdog's last round, monotonic clock. It sleeps while nothing is in flight.
    pub alive_ns: u64,
    /// The same by the wall clock.
    pub alive_wall_ns: u64,
    /// Whether it was shut down.
    pub state: State,
    /// How many records there are.
    pub records: u64,
    /// Requests that found no free record, since it was started.
    pub unrecorded: u64,
    /// Those of them that were in flight at the end.
    pub unrecorded_now: u64,
    /// When all was on disk last, monotonic clock; 0 if that was not asked for.
    pub synced_ns: u64,
}

/// Whether the process was shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It runs, or was killed.
    Running,
    /// It was shut down in good order; what is in flight all the same did not end before.
    ShutDown,
}

/// A request that was in flight.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct InFlight {
    /// Number of its record, and how often that was used before: tells it from every other of the file.
    pub record: u64,
    /// See `record`.
    pub serial: u64,
    /// Method, or `JOB`.
    pub method: Vec<u8>,
    /// Path and query, redacted, cut at 512 bytes.
    pub target: Vec<u8>,
    /// Length of the whole target in bytes.
    pub target_bytes: u32,
    /// The host that was asked.
    pub host: Option<Vec<u8>>,
    /// It came over TLS.
    pub https: bool,
    /// The matched route, or a job's name.
    pub route: Option<String>,
    /// Parameters of a job.
    pub params: Vec<(String, String)>,
    /// The incoming `traceparent`.
    pub traceparent: Option<Vec<u8>>,
    /// When it began, monotonic clock.
    pub started_ns: u64,
    /// Its threshold in nanoseconds.
    pub slow_after_ns: u64,
    /// Ids, where they were fixed.
    pub trace_id: Option<String>,
    /// See `trace_id`.
    pub span_id: Option<String>,
    /// See `trace_id`.
    pub parent_span_id: Option<String>,
    /// When the watchdog saw it last, monotonic clock; younger ones it has not seen.
    pub seen_ns: Option<u64>,
    /// Where it was then.
    pub phase: Option<Phase>,
    /// The thread that polled it, or had polled it last.
    pub thread: Option<ThreadNow>,
    /// How often it had been polled.
    pub polls: Option<u64>,
    /// An outbound call that was open.
    pub peer: Option<PeerNow>,
    /// What was found, if it was caught.
    pub caught: Option<Caught>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadNow {
    /// Its number.
    pub tid: u32,
    /// Its name.
    pub name: Option<String>,
}

/// A host that a request was calling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerNow {
    /// Kind of call, such as `http`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: Option<u16>,
    /// How far the call had got, where that is told.
    pub phase: Option<String>,
}

/// What was found of a request that was caught.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Caught {
    /// The id that its lines in the log have.
    pub id: String,
    /// Class, role, confidence, and cause and culprit as far as there was room.
    pub verdict: Verdict,
    /// Its fingerprint.
    pub fingerprint: Option<u64>,
}

/// Reads a whole file's bytes. Never panics, whatever they are.
///
/// # Errors
///
/// What is not a whole file of this format and byte order is refused, and the error says what was found.
pub fn read(bytes: &[u8]) -> Result<Recording, Refused> {
    let head = bytes.get(..HEADER_BYTES).unwrap_or(bytes);
    let words: Vec<u64> = words_in(head).collect();
    let header = read_header(&words, bytes.len() as u64)?;
    let mut recording = Recording {
        header,
        requests: Vec::new(),
        torn: 0,
        torn_parts: 0,
    };
    let (records, _) = bytes
        .get(HEADER_BYTES..)
        .unwrap_or_default()
        .as_chunks::<{ RECORD_WORDS * 8 }>();
    for (number, bytes) in (0..).zip(records) {
        let mut record = [0; RECORD_WORDS];
        record
            .iter_mut()
            .zip(words_in(bytes))
            .for_each(|(to, word)| *to = word);
        match first(&record) {
            Found::Free => {}
            Found::Torn => recording.torn += 1,
            Found::Live(asked) => {
                let request = request(number, &record, &asked, &mut recording.torn_parts);
                recording.requests.push(request);
            }
        }
    }
    recording
        .requests
        .sort_by_key(|request| (request.started_ns, request.record));
    Ok(recording)
}

fn words_in(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_ne_bytes(*word))
}

fn read_header(words: &[u64], bytes: u64) -> Result<Header, Refused> {
    let truncated = |needed: usize| Refused::Truncated {
        bytes,
        needed: needed as u64,
    };
    let at = |index: usize| words.get(index).copied().unwrap_or_default();
    let Some(magic) = words.first() else {
        return Err(truncated(HEADER_BYTES));
    };
    if magic.to_ne_bytes() != MAGIC {
        let begins = magic.to_ne_bytes();
        return Err(Refused::Foreign { begins });
    }
    if words.len() > header::BYTE_ORDER && at(header::BYTE_ORDER) == BYTE_ORDER.swap_bytes() {
        return Err(Refused::OtherByteOrder);
    }
    // A version that does not fit its checksum may be a damaged one: it is refused in any case.
    let version = at(header::VERSION) as u32;
    if words.len() > header::VERSION && at(header::BYTE_ORDER) == BYTE_ORDER && version != VERSION {
        return Err(Refused::OtherVersion { found: version });
    }
    if words.len() < HEADER_WORDS {
        return Err(truncated(HEADER_BYTES));
    }
    let fixed = words.get(..header::FIXED_END).unwrap_or_default();
    let (before, after) = fixed.split_at(header::CHECK);
    let check = before
        .iter()
        .fold(Check::new(0), |check, word| check.with(*word));
    let both = [at(header::CHECK), at(header::CHECK + 1)];
    if sum(check, after.get(2..).unwrap_or_default()) != both {
        return Err(Refused::Damaged {
            what: "its checksum is wrong",
        });
    }
    let (record_words, records) = (at(header::RECORDS) as u32, at(header::RECORDS) >> 32);
    let records = usize::try_from(records).unwrap_or(usize::MAX);
    if record_words as usize != RECORD_WORDS || records > MOST_RECORDS {
        return Err(Refused::Damaged {
            what: "its records have an impossible size or number",
        });
    }
    let needed = file_bytes(records) as u64;
    if bytes < needed {
        return Err(truncated(file_bytes(records)));
    }
    if bytes > needed {
        return Err(Refused::TooLong { bytes, needed });
    }
    Ok(parse_header(words, records as u64))
}

/// The header of a file whose checksum and size are right.
fn parse_header(words: &[u64], records: u64) -> Header {
    let at = |index: usize| words.get(index).copied().unwrap_or_default();
    let used = usize::try_from(at(header::SERVICE_USED)).unwrap_or(usize::MAX);
    let room = words
        .get(header::SERVICE..header::FIXED_END)
        .unwrap_or_default();
    let mut service = Service {
        pid: u32::try_from(at(header::PID)).ok(),
        ..Service::default()
    };
    for fact in facts(room.get(..used).unwrap_or_default()) {
        match fact.kind {
            word::SERVICE_NAME => service.name = fact.text(),
            word::SERVICE_VERSION => service.version = Some(fact.text()),
            word::SERVICE_INSTANCE => service.instance = Some(fact.text()),
            word::HOST_NAME => service.host = Some(fact.text()),
            _ => {}
        }
    }
    let boot_id = [at(header::BOOT_ID), at(header::BOOT_ID + 1)];
    Header {
        service,
        started_ticks: at(header::STARTED_TICKS),
        boot_id: boot_id.iter().map(|half| format!("{half:016x}")).collect(),
        made_ns: at(header::MADE_NS),
        made_boot_ns: at(header::MADE_BOOT_NS),
        made_wall_ns: at(header::MADE_WALL_NS),
        alive_ns: at(header::ALIVE_NS),
        alive_wall_ns: at(header::ALIVE_WALL_NS),
        state: if at(header::STATE) == 0 {
            State::Running
        } else {
            State::ShutDown
        },
        records,
        unrecorded: at(header::UNRECORDED),
        unrecorded_now: at(header::UNRECORDED_NOW),
        synced_ns: at(header::SYNCED_NS),
    }
}

fn request(
    number: u64,
    record: &[u64; RECORD_WORDS],
    asked: &Asked<'_>,
    torn_parts: &mut u64,
) -> InFlight {
    let mut request = InFlight {
        record: number,
        serial: asked.serial,
        started_ns: asked.started_ns,
        slow_after_ns: asked.slow_after_ns,
        ..InFlight::default()
    };
    facts(asked.facts).for_each(|fact| note_asked(&mut request, &fact));
    let mut of = |range| {
        let read = read_part(record, range, asked.serial);
        *torn_parts += u64::from(read.is_err());
        read.ok().flatten().unwrap_or_default()
    };
    facts(of(part::TRACE)).for_each(|fact| note_trace(&mut request, &fact));
    facts(of(part::SEEN)).for_each(|fact| note_seen(&mut request, &fact));
    let (verdict, named) = (caught(of(part::VERDICT)), caught(of(part::NAMED)));
    request.caught = match (verdict, named) {
        // What has names is the last word, if it is about the same catch.
        (Some(verdict), Some(named)) if verdict.id == named.id => Some(Caught {
            fingerprint: named.fingerprint.or(verdict.fingerprint),
            ..named
        }),
        (Some(verdict), _) => Some(verdict),
        (None, named) => named,
    };
    request
}

fn note_asked(request: &mut InFlight, fact: &Fact<'_>) {
    match fact.kind {
        fact::METHOD => request.method = fact.bytes(),
        fact::TARGET => (request.target, request.target_bytes) = (fact.bytes(), fact.total),
        fact::HOST => request.host = Some(fact.bytes()),
        fact::ROUTE => request.route = Some(fact.text()),
        fact::TRACEPARENT => request.traceparent = Some(fact.bytes()),
        fact::HTTPS => request.https = true,
        fact::JOB => {
            request.method = b"JOB".to_vec();
            request.route = Some(fact.text());
        }
        fact::PARAM => request.params.extend(param(&fact.bytes())),
        _ => {}
    }
}

fn param(bytes: &[u8]) -> Option<(String, String)> {
    let (length, rest) = bytes.split_first()?;
    let (name, value) = rest.split_at_checked(usize::from(*length))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((text(name), text(value)))
}

fn note_trace(request: &mut InFlight, fact: &Fact<'_>) {
    match fact.kind {
        word::TRACE_ID => request.trace_id = fact.hex(16),
        word::SPAN_ID => request.span_id = fact.hex(8),
        word::PARENT_ID => request.parent_span_id = fact.hex(8),
        _ => {}
    }
}

fn note_seen(request: &mut InFlight, fact: &Fact<'_>) {
    match fact.kind {
        word::AT_NS => request.seen_ns = Some(fact.number()),
        word::SLOW_AFTER_NS => request.slow_after_ns = fact.number(),
        word::PHASE => request.phase = fact.word(),
        word::THREAD => {
            let tid = u32::try_from(fact.number()).unwrap_or_default();
            request.thread.get_or_insert_default().tid = tid;
        }
        word::THREAD_NAME => {
            request.thread.get_or_insert_default().name =
                Some(fact.text()).filter(|text| !text.is_empty());
        }
        word::POLLS => request.polls = Some(fact.number()),
        word::PEER => request.peer.get_or_insert_default().name = fact.text(),
        word::PEER_KIND => request.peer.get_or_insert_default().kind = fact.text(),
        word::PEER_PORT => {
            request.peer.get_or_insert_default().port =
                u16::try_from(fact.number()).ok().filter(|port| *port != 0);
        }
        word::PEER_PHASE => {
            request.peer.get_or_insert_default().phase =
                Some(fact.text()).filter(|text| !text.is_empty());
        }
        _ => {}
    }
}

/// What was found; a word that this version does not know becomes the least that can be claimed.
fn caught(words: &[u64]) -> Option<Caught> {
    let mut id = None;
    let mut fingerprint = None;
    let mut verdict = Verdict::new(Class::Unknown, Role::Bystander, Confidence::Suspected, "");
    for fact in facts(words) {
        match fact.kind {
            word::ID => id = Some(fact.text()).filter(|id| is_ulid(id)),
            word::CLASS => verdict.class = fact.word().unwrap_or(Class::Unknown),
            word::ROLE => verdict.role = fact.word().unwrap_or(Role::Bystander),
            word::CONFIDENCE => verdict.confidence = fact.word().unwrap_or(Confidence::Suspected),
            word::CAUSE => verdict.cause = cut(&fact),
            word::CULPRIT => {
                let culprit = Culprit::new(cut(&fact), None, None, None);
                verdict.culprit = Some(culprit);
            }
            word::FINGERPRINT => fingerprint = Some(fact.number()),
            _ => {}
        }
    }
    Some(Caught {
        id: id?,
        verdict,
        fingerprint,
    })
}

/// A text, with a word on what there was no room for.
fn cut(fact: &Fact<'_>) -> String {
    let bytes = fact.bytes();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if (bytes.len() as u64) < u64::from(fact.total) {
        // The cut may have gone through a character.
        while text.ends_with('\u{fffd}') {
            text.pop();
        }
        text.push('…');
    }
    text
}

fn is_ulid(id: &str) -> bool {
    id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Header {
    /// A time of the monotonic clock as nanoseconds since 1970, reckoned from the watchdog's last round.
    pub fn wall_ns(&self, monotonic_ns: u64) -> u64 {
        let (alive_ns, alive_wall_ns) = if self.alive_wall_ns == 0 {
            (self.made_ns, self.made_wall_ns)
        } else {
            (self.alive_ns, self.alive_wall_ns)
        };
        if monotonic_ns <= alive_ns {
            alive_wall_ns.saturating_sub(alive_ns - monotonic_ns)
        } else {
            alive_wall_ns.saturating_add(monotonic_ns - alive_ns)
        }
    }
}

impl Recording {
    /// The last that is known of the process, monotonic clock: the watchdog's last round, or the beginning of a
    /// request after that.
    pub fn last_sign_ns(&self) -> u64 {
        let begun = self.requests.iter().map(|request| request.started_ns);
        let header = &self.header;
        begun.fold(header.alive_ns.max(header.made_ns), u64::max)
    }

    /// How long a request had been in flight at the last sign of the process.
    pub fn elapsed_ns(&self, request: &InFlight) -> u64 {
        self.last_sign_ns().saturating_sub(request.started_ns)
    }
}

impl InFlight {
    /// Absolute URL where the host is known, else path and query; a job's name. Every byte may be in it:
    /// [`shown`](crate::shown) makes it fit for a terminal.
    pub fn url(&self) -> String {
        if self.method == b"JOB" {
            return self.route.clone().unwrap_or_default();
        }
        let target = String::from_utf8_lossy(&self.target);
        let lost = u64::from(self.target_bytes).saturating_sub(self.target.len() as u64);
        let cut = if lost > 0 { "…" } else { "" };
        match &self.host {
            Some(host) if target.starts_with('/') => {
                let scheme = if self.https { "https" } else { "http" };
                let host = String::from_utf8_lossy(host);
                format!("{scheme}://{host}{target}{cut}")
            }
            _ => format!("{target}{cut}"),
        }
    }

    /// Method and URL.
    pub fn asked(&self) -> String {
        format!("{} {}", String::from_utf8_lossy(&self.method), self.url())
    }
}
