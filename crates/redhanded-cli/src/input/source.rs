//! A file, a packed file or standard input, as one stream of text.

use flate2::read::MultiGzDecoder;
use redhanded_report::shown;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Chain, Cursor, Read};
use std::path::Path;

/// One log that is open for reading.
pub(crate) struct Source {
    /// As it may be shown.
    pub(crate) name: String,
    pub(crate) reader: Box<dyn Read>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// How a path is called in messages.
pub(crate) fn name_of(path: &Path) -> String {
    if is_stdin(path) {
        return "standard input".to_owned();
    }
    shown(&path.to_string_lossy())
}

pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Source {
    /// Opens `path`; an error says what is wrong with it and what would be accepted.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let raw: Box<dyn Read> = if is_stdin(path) {
            Box::new(io::stdin())
        } else {
            Box::new(open_file(path)?)
        };
        Ok(Self {
            name: name_of(path),
            reader: unpacked(raw).map_err(|error| error.to_string())?,
        })
    }
}

fn open_file(path: &Path) -> Result<File, String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if found.is_dir() {
        return Err(
            "is a directory; name log files, such as DIRECTORY/slow-requests.jsonl*".to_owned(),
        );
    }
    File::open(path).map_err(|error| error.to_string())
}

/// By the first bytes, because rotated files are called anything.
fn unpacked(mut raw: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut magic = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut magic)?;
    let kind = magic.clone();
    let whole: Chain<Cursor<Vec<u8>>, Box<dyn Read>> = Cursor::new(magic).chain(raw);
    match kind.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd] => Err(packed("zstd", "zstdcat")),
        [0xfd, b'7', b'z', b'X'] => Err(packed("xz", "xzcat")),
        [b'B', b'Z', b'h', ..] => Err(packed("bzip2", "bzcat")),
        _ => Ok(Box::new(whole)),
    }
}

fn packed(by: &str, with: &str) -> io::Error {
    io::Error::other(format!(
        "is packed by {by}; unpacked are only files of gzip, so: {with} FILE | redhanded … -"
    ))
}
