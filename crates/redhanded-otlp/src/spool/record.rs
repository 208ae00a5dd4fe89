//! What a file of the spool looks like: a header, then an OTLP request in protobuf.

use crate::outbox::Request;
use std::io;

const MAGIC: [u8; 8] = *b"RHSPOOL\x01";
/// Bytes of a header.
pub(crate) const HEADER: usize = 28;

/// Magic, reports, spans, length, checksum; numbers are little-endian.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) reports: u32,
    pub(crate) spans: u32,
    pub(crate) length: u64,
    /// CRC-32 of the three numbers and of the request.
    checksum: u32,
}

impl Header {
    pub(crate) fn of(request: &Request) -> Self {
        let mut header = Self {
            reports: request.reports,
            spans: request.spans,
            length: request.body.len() as u64,
            checksum: 0,
        };
        header.checksum = header.sum(&request.body);
        header
    }

    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.numbers());
        bytes[24..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// `InvalidData` where it is none.
    pub(crate) fn decode(bytes: &[u8; HEADER]) -> io::Result<Self> {
        let [
            m @ ..,
            r0,
            r1,
            r2,
            r3,
            s0,
            s1,
            s2,
            s3,
            l0,
            l1,
            l2,
            l3,
            l4,
            l5,
            l6,
            l7,
            c0,
            c1,
            c2,
            c3,
        ] = *bytes;
        if m != MAGIC {
            return Err(torn());
        }
        Ok(Self {
            reports: u32::from_le_bytes([r0, r1, r2, r3]),
            spans: u32::from_le_bytes([s0, s1, s2, s3]),
            length: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// The request, if `body` is what was written.
    pub(crate) fn request(&self, body: Vec<u8>) -> io::Result<Request> {
        if body.len() as u64 != self.length || self.sum(&body) != self.checksum {
            return Err(torn());
        }
        Ok(Request {
            body: body.into(),
            reports: self.reports,
            spans: self.spans,
        })
    }

    fn numbers(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.reports.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.spans.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    fn sum(&self, body: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.numbers());
        sum.update(body);
        sum.finalize()
    }
}

/// What is no whole file of ours.
pub(crate) fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no whole file of a spool")
}
