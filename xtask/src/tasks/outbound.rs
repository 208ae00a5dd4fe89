//! Real servers that are called and hang.

use super::Task;
use crate::failure::Failure;
use crate::run;
use std::path::Path;

pub(crate) const TASK: Task = Task {
    name: "outbound",
    arguments: "",
    promise: "a call to a real database, cache, mailer or queue that hangs is caught with its host, port and phase",
    // A minute, once the servers are installed.
    ci: Some(&[]),
    run,
};

/// A server, whether it is there, and the Debian package that has it.
struct Needed {
    package: &'static str,
    is_there: fn() -> bool,
}

const NEEDED: [Needed; 5] = [
    Needed {
        package: "postgresql",
        is_there: || has_postgres(Path::new("/usr/lib/postgresql")),
    },
    Needed {
        package: "redis-server",
        is_there: || run::succeeds(run::program("redis-server").arg("--version")),
    },
    Needed {
        package: "memcached",
        is_there: || run::succeeds(run::program("memcached").arg("--version")),
    },
    Needed {
        package: "python3-aiosmtpd",
        // A module of Debian's own Python, whatever comes first in PATH.
        is_there: || {
            let arguments = ["-m", "aiosmtpd", "--version"];
            run::succeeds(run::program("/usr/bin/python3").args(arguments))
        },
    },
    Needed {
        package: "activemq",
        is_there: || {
            Path::new("/usr/share/activemq/lib/activemq-stomp.jar").exists()
                && run::succeeds(run::program("java").arg("-version"))
        },
    },
];

fn run(_: &[String]) -> Result<(), Failure> {
    let missing = NEEDED.iter().filter(|needed| !(needed.is_there)());
    let missing: Vec<&str> = missing.map(|needed| needed.package).collect();
    if !missing.is_empty() {
        run::install("a server", &missing)?;
    }
    run::check(run::cargo_test(&["caught", "ends"]).args(["--", "--ignored"]))
}

/// Each of its versions has a directory of its own, outside of PATH.
fn has_postgres(versions: &Path) -> bool {
    let has = |version: std::fs::DirEntry| version.path().join("bin/postgres").exists();
    std::fs::read_dir(versions).is_ok_and(|versions| versions.flatten().any(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_its_server_is_none() {
        let versions = std::env::temp_dir().join(format!("postgres-{}", std::process::id()));
        let bin = versions.join("15/bin");
        std::fs::create_dir_all(&bin).expect("a directory for this test");
        assert!(!has_postgres(&versions), "its client alone");
        std::fs::write(bin.join("postgres"), "").expect("it is ours");
        assert!(has_postgres(&versions));
        std::fs::remove_dir_all(&versions).expect("it is ours");
        assert!(!has_postgres(&versions));
    }
}
