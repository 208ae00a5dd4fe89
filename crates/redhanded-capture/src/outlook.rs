//! What stacks of this program will show, before there is one.

use object::read::{Object, ReadCache};
use std::fs::File;

/// What the executable's own file lets a stack say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outlook {
    /// Functions with file and line: there is debug information.
    Lines,
    /// Names of functions that were not inlined: there are only symbols.
    Names,
    /// Modules and offsets: the executable is stripped.
    Addresses,
    /// The file could not be read.
    Unknown,
}

impl std::fmt::Display for Outlook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lines => "names functions, files and lines",
            Self::Names => {
                "names functions only, without lines: build with debug = \"limited\" for more"
            }
            Self::Addresses => {
                "shows addresses only: stripped; build with debug = \"limited\" for names"
            }
            Self::Unknown => "may not name functions: the executable's file cannot be read",
        })
    }
}

/// Looks into the executable's section table; some 100 µs, and no more of it is read.
///
/// ```
/// // A test is built with debug information.
/// assert_eq!(redhanded_capture::outlook(), redhanded_capture::Outlook::Lines);
/// ```
pub fn outlook() -> Outlook {
    let file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?));
    file.map_or(Outlook::Unknown, look)
}

fn look(file: File) -> Outlook {
    let cache = ReadCache::new(file);
    let Ok(object) = object::File::parse(&cache) else {
        return Outlook::Unknown;
    };
    if object.has_debug_symbols() {
        Outlook::Lines
    } else if object.symbol_table().is_some() {
        Outlook::Names
    } else {
        Outlook::Addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_executable_promises_nothing() {
        let manifest = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert_eq!(look(manifest.expect("a file")), Outlook::Unknown);
    }

    #[test]
    fn a_library_without_symbols_gives_addresses() {
        // Debian strips its C library; elsewhere it may have its symbols.
        if let Ok(libc) = File::open("/lib/x86_64-linux-gnu/libc.so.6") {
            assert_ne!(look(libc), Outlook::Lines);
        }
    }
}
