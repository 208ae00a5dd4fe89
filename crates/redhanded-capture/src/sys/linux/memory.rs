//! Reads of our own memory that fail instead of faulting: the target may unmap what we look at, at any moment.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Fills `into` from `address`; `false` unless all of it was readable.
pub(super) fn read(address: u64, into: &mut [u8]) -> bool {
    match read_by_syscall(address, into) {
        Ok(complete) => complete,
        // Old container profiles forbid the call; the file needs no more rights than the call does.
        Err(libc::EPERM | libc::ENOSYS) => File::open("/proc/self/mem")
            .is_ok_and(|memory| memory.read_exact_at(into, address).is_ok()),
        Err(_) => false,
    }
}

/// The bytes at `address`, if readable and not absurdly many.
pub(super) fn bytes(address: u64, count: u64) -> Option<Vec<u8>> {
    const MOST: u64 = 256 << 20;
    let count = usize::try_from(count).ok().filter(|_| count <= MOST)?;
    let mut bytes = vec![0; count];
    read(address, &mut bytes).then_some(bytes)
}

/// The bytes at `address`, if readable.
pub(super) fn array<const N: usize>(address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read(address, &mut bytes).then_some(bytes)
}

fn read_by_syscall(address: u64, into: &mut [u8]) -> Result<bool, i32> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address as usize as *mut _,
        iov_len: into.len(),
    };
    // SAFETY: `local` describes `into`, which is ours to write; the kernel checks `remote` and reports what is not mapped.
    let count = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    if count < 0 {
        return Err(std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EFAULT));
    }
    Ok(count.unsigned_abs() == into.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_read_and_what_is_not_fails() {
        let word = 0x0123_4567_89ab_cdef_u64;
        assert_eq!(
            array(&raw const word as u64).map(u64::from_ne_bytes),
            Some(word)
        );
        assert_eq!(array::<8>(8), None);
        assert_eq!(bytes(&raw const word as u64, u64::MAX), None);
    }
}
