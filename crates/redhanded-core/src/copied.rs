//! What the hot path copied, read back.

use crate::facts::Facts;
use crate::keep::Rule;
use crate::registry::{Fact, Kind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

/// The kinds of records in a slot's arena.
pub(crate) mod kind {
    use super::Kind;
    pub(crate) const METHOD: Kind = 1;
    pub(crate) const TARGET: Kind = 2;
    pub(crate) const HOST: Kind = 3;
    pub(crate) const ROUTE: Kind = 4;
    pub(crate) const CLIENT: Kind = 5;
    pub(crate) const REQUEST_ID: Kind = 6;
    pub(crate) const TRACEPARENT: Kind = 7;
    pub(crate) const HTTPS: Kind = 8;
    /// The name of a background job.
    pub(crate) const JOB: Kind = 9;
    /// A parameter of a job: the length of its name in one byte, the name, the value.
    pub(crate) const PARAM: Kind = 10;
    /// The name of a child that is a task or future, and of one that is a blocking closure.
    pub(crate) const TASK: Kind = 11;
    pub(crate) const CLOSURE: Kind = 12;
    /// Where a child was made: file, line and column.
    pub(crate) const SPAWNED_AT: Kind = 13;
    /// The first header of the allow-list; the others follow.
    pub(crate) const HEADER: Kind = 16;
}

/// Turns records into [`Facts`]; `headers` is the allow-list that gave the records their numbers.
pub(crate) fn facts(records: &[Fact], headers: &[String], started: SystemTime) -> Facts {
    let mut facts = Facts {
        started: Some(started),
        ..Facts::default()
    };
    for record in records {
        let bytes = record.bytes.clone();
        match record.kind {
            kind::METHOD => facts.method = bytes,
            kind::TARGET => (facts.target, facts.target_bytes) = (bytes, record.total),
            kind::HOST => facts.host = Some(bytes),
            kind::ROUTE => facts.route = Some(String::from_utf8_lossy(&bytes).into_owned()),
            kind::CLIENT => facts.client = client(&bytes),
            kind::REQUEST_ID => facts.request_id = Some(bytes),
            kind::HTTPS => facts.https = true,
            kind::JOB => {
                facts.method = b"JOB".to_vec();
                facts.route = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            kind::PARAM => facts.job.extend(param(&bytes)),
            kind::TASK | kind::CLOSURE | kind::SPAWNED_AT => {}
            header => {
                if let Some(name) = header
                    .checked_sub(kind::HEADER)
                    .and_then(|i| headers.get(i as usize))
                {
                    facts.headers_cut += record.total.saturating_sub(bytes.len() as u32);
                    facts.headers.push((name.clone(), bytes));
                }
            }
        }
    }
    facts
}

/// A job's parameter, as [`kind::PARAM`] has it.
fn param(bytes: &[u8]) -> Option<(String, String)> {
    let (length, rest) = bytes.split_first()?;
    let (name, value) = rest.split_at_checked(usize::from(*length))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((text(name), text(value)))
}

/// A client's address as [`kind::CLIENT`] has it.
pub(crate) fn client_bytes(client: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    let (ip, port) = bytes.split_at_mut(16);
    let v6 = match client.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    ip.copy_from_slice(&v6.octets());
    port.copy_from_slice(&client.port().to_be_bytes());
    bytes
}

/// The client's address among what was copied.
pub(crate) fn client_of(records: &[Fact]) -> Option<SocketAddr> {
    let record = records.iter().find(|record| record.kind == kind::CLIENT)?;
    client(&record.bytes)
}

fn client(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_at_checked(16)?;
    let ip = Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?);
    let port = u16::from_be_bytes(port.try_into().ok()?);
    let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
    Some(SocketAddr::new(ip, port))
}

/// The request's place in its trace (W3C Trace Context, level 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    /// The flags of the incoming `traceparent`, and 1 for sampled if it is one of the baseline.
    pub(crate) flags: u8,
}

/// A span id that nobody has.
pub(crate) fn new_span_id() -> String {
    format!("{:016x}", rand::random_range(1..=u64::MAX))
}

impl TraceIds {
    /// Trace and parent of an incoming `traceparent`; `None` if it is not valid.
    pub(crate) fn incoming(traceparent: &[u8]) -> Option<(String, String)> {
        parse(traceparent).map(|(trace_id, parent, _)| (trace_id, parent))
    }

    /// From the incoming `traceparent`, else random and such that `rule` says whether it is `kept`; the span id is
    /// always ours.
    pub(crate) fn of(records: &[Fact], rule: Rule, kept: bool) -> Self {
        let incoming = records
            .iter()
            .find(|r| r.kind == kind::TRACEPARENT)
            .and_then(|r| parse(&r.bytes));
        let span_id = new_span_id();
        match incoming {
            Some((trace_id, parent, flags)) => Self {
                trace_id,
                span_id,
                parent_span_id: Some(parent),
                flags: flags | u8::from(kept),
            },
            None => Self {
                trace_id: rule.new_id(kept),
                span_id,
                parent_span_id: None,
                flags: kept.into(),
            },
        }
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; all-zero ids and version ff are invalid by the standard.
pub(crate) fn parse(bytes: &[u8]) -> Option<(String, String, u8)> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |s: &str, n: usize| {
        s.len() == n && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |s: &str| s.bytes().any(|b| b != b'0');
    let valid =
        hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let alone = version != "00" || parts.next().is_none();
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (valid && alone && nonzero(trace) && nonzero(parent))
        .then(|| (trace.to_owned(), parent.to_owned(), flags))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use crate::keep::NONE;

    #[test]
    fn a_traceparent_is_honoured_and_a_bad_one_is_not() {
        let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let facts = [Fact {
            kind: kind::TRACEPARENT,
            bytes: good.to_vec(),
            total: 55,
        }];
        let ids = TraceIds::of(&facts, NONE, false);
        assert_eq!(ids.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(ids.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
        assert_ne!(ids.span_id, "b7ad6b7169203331");
        assert_eq!(ids.flags, 1);
        for bad in [
            "",
            "00",
            "00-0-0-0",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn clients_come_back() {
        for text in ["127.0.0.1:80", "[2001:db8::1]:65535"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(client(&client_bytes(address)), Some(address));
        }
        assert_eq!(client(b"short"), None);
    }
}
