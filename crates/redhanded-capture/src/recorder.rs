//! A file's bytes as words of memory: what is stored in them outlives the process.

use memmap2::MmapOptions;
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

/// Maps the first `words` words of `file`, shared, for as long as the process lives. What is stored in them is in the
/// kernel's page cache at once: any death of the process leaves it there.
///
/// The file must be that long, with its space allocated: a store to a page for which the disk has no room would be a
/// `SIGBUS`. So would be one to a file that somebody has truncated meanwhile.
///
/// # Errors
///
/// When the file is shorter than that or cannot be mapped.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::sync::atomic::Ordering;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("words");
/// let file = std::fs::File::options().create_new(true).read(true).write(true).open(&path)?;
/// file.set_len(4096)?;
/// redhanded_capture::map_words(&file, 512)?[1].store(7, Ordering::Relaxed);
/// assert_eq!(std::fs::read(&path)?[8..16], 7u64.to_ne_bytes());
/// # Ok(()) }
/// ```
pub fn map_words(file: &File, words: usize) -> io::Result<&'static [AtomicU64]> {
    let bytes = words
        .checked_mul(size_of::<AtomicU64>())
        .filter(|bytes| *bytes > 0)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let length = file.metadata()?.len();
    if length < bytes as u64 {
        let short = format!("the file has {length} bytes, and {bytes} are to be mapped");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, short));
    }
    let map = MmapOptions::new().len(bytes).map_raw(file)?;
    let start = map.as_mut_ptr().cast::<AtomicU64>().cast_const();
    // Never unmapped: whoever holds a word may outlive everything else.
    std::mem::forget(map);
    // SAFETY: `start` is the beginning of a shared mapping of `bytes` bytes, readable and writable, which is never
    // unmapped: valid for 'static. It begins at a page, which is aligned for a word. Any bits are an `AtomicU64`. No
    // `&mut` and no plain reference to this memory exists: it was made here and is reached by these atomics only; other
    // processes that map the file are outside of the program, whose atomics give whatever bits are there. That the pages
    // are backed by the file was checked above.
    Ok(unsafe { std::slice::from_raw_parts(start, words) })
}

#[cfg(test)]
mod tests {
    use super::map_words;

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4095).unwrap();
        let error = map_words(&file, 512).unwrap_err().to_string();
        assert!(error.contains("4095") && error.contains("4096"), "{error}");
        assert!(map_words(&file, 0).is_err() && map_words(&file, usize::MAX).is_err());
    }
}
