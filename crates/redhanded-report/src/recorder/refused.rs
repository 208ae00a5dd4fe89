//! Why bytes are not read as a flight recorder's.

use super::layout::{MAGIC, VERSION};

/// What was found in place of a flight recorder's file that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It begins otherwise.
    Foreign {
        /// With what it begins.
        begins: [u8; 8],
    },
    /// Written by a machine of the other byte order.
    OtherByteOrder,
    /// Written by a version of redhanded with another format.
    OtherVersion {
        /// The version found.
        found: u32,
    },
    /// It is shorter than it should be.
    Truncated {
        /// Bytes there are.
        bytes: u64,
        /// Bytes there should be.
        needed: u64,
    },
    /// It is longer than its header says.
    TooLong {
        /// Bytes there are.
        bytes: u64,
        /// Bytes there should be.
        needed: u64,
    },
    /// The checksum of its header is wrong, or a number in it is impossible.
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign { begins } => write!(
                f,
                "no flight recorder of redhanded: it begins with \"{}\", and such a file begins with \"{}\"",
                begins.escape_ascii(),
                MAGIC.escape_ascii()
            ),
            Self::OtherByteOrder => f.write_str(
                "a flight recorder of a machine with the other byte order; it is read on a machine like its own",
            ),
            Self::OtherVersion { found } => write!(
                f,
                "a flight recorder of format {found}, and this version reads format {VERSION}; take the redhanded that wrote it"
            ),
            Self::Truncated { bytes, needed } => write!(
                f,
                "a flight recorder that was cut: {bytes} bytes of {needed}"
            ),
            Self::TooLong { bytes, needed } => write!(
                f,
                "a flight recorder with something behind it: {bytes} bytes, and its header says {needed}"
            ),
            Self::Damaged { what } => write!(f, "a flight recorder whose header is damaged: {what}"),
        }
    }
}

impl std::error::Error for Refused {}
