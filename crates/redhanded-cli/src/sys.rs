//! What differs between systems.

#[cfg(not(unix))]
pub(crate) use self::other::{Identity, become_it, identity, wait};
#[cfg(unix)]
pub(crate) use self::unix::{Identity, become_it, identity, wait};

#[cfg(unix)]
mod unix {
    use crate::exit::Exit;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::fs::Metadata;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::Duration;

    /// This process becomes `command`, whose exit code is then its own; returns if that fails.
    pub(crate) fn become_it(command: &mut Command) -> io::Result<Exit> {
        Err(command.exec())
    }

    /// What tells one file from another, whatever their names.
    pub(crate) type Identity = (u64, u64);

    pub(crate) fn identity(of: &Metadata) -> Option<Identity> {
        Some((of.dev(), of.ino()))
    }

    /// Waits; an error when the reader of standard output goes away meanwhile, so that
    /// `redhanded tail | head` ends although nothing more is written.
    pub(crate) fn wait(duration: Duration) -> io::Result<()> {
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let timeout = Timespec {
            tv_sec: duration.as_secs().try_into().unwrap_or(1),
            tv_nsec: duration.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) if polled[0].revents().intersects(PollFlags::ERR) => {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            // A closed terminal, or a standard output that cannot be polled: no reason to spin.
            Ok(_) | Err(_) => {
                std::thread::sleep(duration);
                Ok(())
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use crate::exit::Exit;
    use std::fs::Metadata;
    use std::io;
    use std::process::Command;
    use std::time::Duration;

    /// Runs `command` to its end and ends as it does.
    pub(crate) fn become_it(command: &mut Command) -> io::Result<Exit> {
        let code = command.status()?.code();
        Ok(match code {
            Some(0) => Exit::Fine,
            Some(2) => Exit::Usage,
            Some(3) => Exit::Unreadable,
            _ => Exit::Nothing,
        })
    }

    /// Not known here.
    pub(crate) type Identity = ();

    pub(crate) fn identity(_: &Metadata) -> Option<Identity> {
        None
    }

    pub(crate) fn wait(duration: Duration) -> io::Result<()> {
        std::thread::sleep(duration);
        Ok(())
    }
}
