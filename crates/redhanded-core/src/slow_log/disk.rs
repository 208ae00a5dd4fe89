//! One line, one write; a torn one is mended, and a line counts when it is synced.

use super::sys;
use std::fs::File;
use std::io::{self, Write};

/// What appending needs of a file; a test's double refuses at will.
pub(super) trait Disk {
    /// Appends as `write(2)` does: maybe only a part.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;

    /// Shortens the file from `size` to `to` bytes: only if `size` is still its size and nobody
    /// else writes it.
    fn shorten(&mut self, size: u64, to: u64) -> bool;

    /// Returns when every byte is on disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Tells other writers of the file that they are not alone.
    fn announce(&self) {}
}

impl Disk for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn shorten(&mut self, size: u64, to: u64) -> bool {
        sys::while_sole_writer(self, || {
            self.metadata().is_ok_and(|now| now.len() == size) && self.set_len(to).is_ok()
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn announce(&self) {
        sys::announce_writer(self);
    }
}

/// Appends as many of `lines` as fit into `limit` bytes (0: no limit), at least one, and syncs them
/// at once. Says how many are durable now; an error means none.
pub(super) fn append_all<'l>(
    disk: &mut impl Disk,
    lines: impl Iterator<Item = &'l [u8]>,
    limit: u64,
    torn: &mut bool,
) -> io::Result<usize> {
    let start = (disk.size()?, *torn);
    let mut size = start.0;
    let mut written = 0;
    for line in lines {
        size = size.saturating_add(line.len() as u64);
        if written > 0 && limit > 0 && size > limit {
            break;
        }
        match append(disk, line, torn) {
            Ok(()) => written += 1,
            Err(error) if written == 0 => return Err(error),
            Err(_) => break,
        }
    }
    if let Err(error) = disk.sync() {
        // The kernel forgets a page that it failed to write: only a new write can be trusted.
        // Where the lines cannot be taken back, they will be there twice rather than not at all,
        // and behind a newline of its own, for theirs may be forgotten.
        *torn = if disk.size().is_ok_and(|size| disk.shorten(size, start.0)) {
            start.1
        } else {
            true
        };
        return Err(error);
    }
    Ok(written)
}

/// Appends `line`, which ends in a newline, by one write.
///
/// `torn` says that the file ends in the middle of a line: then a newline goes first, so that a
/// reader loses that piece only. After an error the piece that was written is cut off again, or
/// else `torn` is set.
pub(super) fn append(disk: &mut impl Disk, line: &[u8], torn: &mut bool) -> io::Result<()> {
    let before = disk.size()?;
    let mended;
    let bytes = if *torn {
        mended = [b"\n", line].concat();
        mended.as_slice()
    } else {
        line
    };
    match write_all(disk, bytes) {
        (_, Ok(())) => {
            *torn = false;
            Ok(())
        }
        (0, Err(error)) => Err(error),
        (written, Err(error)) => {
            let shortened = disk.shorten(before.saturating_add(written as u64), before);
            *torn |= !shortened;
            Err(error)
        }
    }
}

/// How much was written, and whether that is all.
fn write_all(disk: &mut impl Disk, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match disk.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::{Disk, append, append_all};
    use std::io;

    /// A disk with room for `room` bytes that takes at most `chunk` of them at once.
    #[derive(Default)]
    struct Small {
        bytes: Vec<u8>,
        room: usize,
        chunk: usize,
        interruptions: u32,
        shared: bool,
        syncs_fail: bool,
    }

    impl Disk for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.interruptions > 0 {
                self.interruptions -= 1;
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = bytes
                .len()
                .min(self.chunk)
                .min(self.room - self.bytes.len());
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend(&bytes[..n]);
            Ok(n)
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        fn shorten(&mut self, size: u64, to: u64) -> bool {
            let may = !self.shared && size == self.bytes.len() as u64;
            if may {
                self.bytes.truncate(to as usize);
            }
            may
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.syncs_fail {
                Err(io::ErrorKind::Other.into())
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn a_torn_piece_is_cut_off_again() {
        let mut disk = Small {
            room: 10,
            chunk: 99,
            ..Small::default()
        };
        let mut torn = false;
        append(&mut disk, b"first\n", &mut torn).unwrap();
        append(&mut disk, b"second\n", &mut torn).unwrap_err();
        assert_eq!(
            (disk.bytes.as_slice(), torn),
            (b"first\n".as_slice(), false)
        );
        disk.room = 99;
        append(&mut disk, b"second\n", &mut torn).unwrap();
        assert_eq!(disk.bytes, b"first\nsecond\n");
    }

    #[test]
    fn a_torn_piece_between_other_writers_is_ended_by_a_newline() {
        let mut disk = Small {
            room: 10,
            chunk: 99,
            shared: true,
            ..Small::default()
        };
        let mut torn = false;
        append(&mut disk, b"first\n", &mut torn).unwrap();
        append(&mut disk, b"second\n", &mut torn).unwrap_err();
        assert!(torn);
        disk.room = 99;
        append(&mut disk, b"second\n", &mut torn).unwrap();
        assert_eq!(
            (disk.bytes.as_slice(), torn),
            (b"first\nseco\nsecond\n".as_slice(), false)
        );
    }

    #[test]
    fn a_full_disk_that_takes_nothing_leaves_nothing_torn() {
        let mut disk = Small {
            chunk: 99,
            ..Small::default()
        };
        let mut torn = false;
        append(&mut disk, b"x\n", &mut torn).unwrap_err();
        assert!(!torn);
    }

    #[test]
    fn short_writes_and_interruptions_are_no_errors() {
        let mut disk = Small {
            room: 99,
            chunk: 2,
            interruptions: 3,
            ..Small::default()
        };
        append(&mut disk, b"a whole line\n", &mut false).unwrap();
        assert_eq!(disk.bytes, b"a whole line\n");
    }

    const LINES: [&[u8]; 3] = [b"one\n", b"two\n", b"three\n"];

    #[test]
    fn what_could_not_be_synced_is_taken_back_and_written_again() {
        let mut disk = Small {
            bytes: b"old".to_vec(),
            room: 99,
            chunk: 99,
            syncs_fail: true,
            ..Small::default()
        };
        let mut torn = true;
        append_all(&mut disk, LINES.into_iter(), 0, &mut torn).unwrap_err();
        assert_eq!((disk.bytes.as_slice(), torn), (b"old".as_slice(), true));
        disk.syncs_fail = false;
        assert_eq!(
            append_all(&mut disk, LINES.into_iter(), 0, &mut torn).unwrap(),
            3
        );
        assert_eq!(disk.bytes, b"old\none\ntwo\nthree\n");
    }

    #[test]
    fn what_could_not_be_synced_is_there_twice_rather_than_not_at_all() {
        let mut disk = Small {
            room: 99,
            chunk: 99,
            syncs_fail: true,
            shared: true,
            ..Small::default()
        };
        let mut torn = false;
        append_all(&mut disk, LINES.into_iter().take(1), 0, &mut torn).unwrap_err();
        disk.syncs_fail = false;
        assert_eq!(
            append_all(&mut disk, LINES.into_iter().take(1), 0, &mut torn).unwrap(),
            1
        );
        assert_eq!(disk.bytes, b"one\n\none\n");
    }

    #[test]
    fn only_what_was_taken_counts() {
        let mut disk = Small {
            room: 10,
            chunk: 99,
            ..Small::default()
        };
        assert_eq!(
            append_all(&mut disk, LINES.into_iter(), 0, &mut false).unwrap(),
            2
        );
        assert_eq!(disk.bytes, b"one\ntwo\n");
        let mut disk = Small {
            room: 99,
            chunk: 99,
            ..Small::default()
        };
        assert_eq!(
            append_all(&mut disk, LINES.into_iter(), 5, &mut false).unwrap(),
            1
        );
        assert_eq!(
            append_all(&mut disk, LINES.into_iter(), 5, &mut false).unwrap(),
            1,
            "at least one, whatever the limit"
        );
    }
}
