//! How each server is started, as Debian installs it.

use crate::ready::answers;
use crate::server::{Server, free_port};
use rustix::process::Signal;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

const POSTGRES: &str = "/usr/lib/postgresql";
const ACTIVEMQ: &str = "/usr/share/activemq/lib";

impl Server {
    /// PostgreSQL, whose database `postgres` the user `test` may enter without a password.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn postgres() -> io::Result<Self> {
        let (directory, port, programs) = (tempfile::tempdir()?, free_port()?, postgres()?);
        let root = rustix::process::geteuid().is_root();
        if root {
            let id = |of: &str| -> io::Result<u32> {
                let said = output(Command::new("id").args([of, "postgres"]))?;
                let id = String::from_utf8_lossy(&said.stdout).trim().parse();
                id.map_err(io::Error::other)
            };
            let (user, group) = (id("-u")?, id("-g")?);
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group))?;
        }
        // It refuses to be root.
        let as_postgres = |program: &str| {
            let program = Path::new(&programs).join(program);
            if !root {
                return Command::new(program);
            }
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
            command.arg("--").arg(program);
            command
        };
        let mut init = as_postgres("initdb");
        init.current_dir(directory.path());
        init.args(["--pgdata=data", "--username=test", "--auth=trust"]);
        init.args(["--no-sync", "--encoding=UTF8", "--locale=C"]);
        output(&mut init)?;
        let mut program = as_postgres("postgres");
        program.args(["-D", "data", "-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
        ] {
            program.args(["-c", setting]);
        }
        // A fast shutdown waits for nobody, and leaves no shared memory.
        Self::start(program, port, Signal::INT, directory, move |port| {
            let mut ask = Command::new(Path::new(&programs).join("pg_isready"));
            ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            ask.status().is_ok_and(|status| status.success())
        })
    }

    /// Redis, which keeps nothing.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn redis() -> io::Result<Self> {
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        let mut program = Command::new("redis-server");
        program.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        program.args(["--save", "", "--appendonly", "no"]);
        Self::start(program, port, Signal::KILL, directory, |port| {
            answers(port, b"PING\r\n", b"+PONG")
        })
    }

    /// memcached.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn memcached() -> io::Result<Self> {
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        let mut program = Command::new("memcached");
        program.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0"]);
        if rustix::process::geteuid().is_root() {
            program.args(["-u", "nobody"]);
        }
        Self::start(program, port, Signal::KILL, directory, |port| {
            answers(port, b"version\r\n", b"VERSION")
        })
    }

    /// A mailer that takes every letter and throws it away: aiosmtpd.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn smtp() -> io::Result<Self> {
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        // Debian's Python, whose modules are Debian's packages; another one may come first in PATH.
        let mut program = Command::new("/usr/bin/python3");
        program.args(["-m", "aiosmtpd", "-n", "-l"]);
        program.arg(format!("127.0.0.1:{port}"));
        program.args(["-c", "aiosmtpd.handlers.Sink"]);
        Self::start(program, port, Signal::KILL, directory, |port| {
            answers(port, b"", b"220 ")
        })
    }

    /// ActiveMQ, which speaks STOMP and keeps nothing.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn activemq() -> io::Result<Self> {
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        let mut program = Command::new("java");
        program.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        program.args(["-Dactivemq.base=.", "-Dactivemq.data=."]);
        program.arg("-cp");
        program.arg(format!("{ACTIVEMQ}/*:{ACTIVEMQ}/optional/*"));
        program.args(["org.apache.activemq.console.command.ShellCommand", "start"]);
        // What a file of XML would say, without Spring that would read it.
        program.arg(format!(
            "broker:(stomp://127.0.0.1:{port})?brokerName=test&persistent=false&useJmx=false"
        ));
        const HELLO: &[u8] = b"CONNECT\naccept-version:1.2\nhost:test\n\n\0";
        Self::start(program, port, Signal::KILL, directory, |port| {
            answers(port, HELLO, b"CONNECTED")
        })
    }
}

/// Where the newest PostgreSQL has its programs.
fn postgres() -> io::Result<String> {
    let versions = std::fs::read_dir(POSTGRES)?;
    let mut found: Vec<u32> = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    let newest = found.last().ok_or(io::ErrorKind::NotFound)?;
    Ok(format!("{POSTGRES}/{newest}/bin"))
}

fn output(command: &mut Command) -> io::Result<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(io::Error::other(format!(
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )))
}
