//! Running other programs: shown before they start, never with our stdin, ended with us.

use crate::failure::Failure;
use crate::{say, tree};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The cargo that runs us, in the root of the tree.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// `cargo test` of integration tests by their names, and the programs of their packages, as `cargo test --workspace`
/// builds them: one package alone has other features of its dependencies, and most of them would be built again.
pub(crate) fn cargo_test(names: &[&str]) -> Command {
    let mut command = cargo(&["test", "--workspace"]);
    command.args(names.iter().flat_map(|name| ["--test", name]));
    command
}

/// Some program, in the root of the tree.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(tree::root()).stdin(Stdio::null());
    command
}

/// Runs it to its end, which has to be a good one.
pub(crate) fn check(command: &mut Command) -> Result<(), Failure> {
    say::command(&shown(command));
    let status = command.status().map_err(|e| did_not_start(command, &e))?;
    judged(command, status)
}

/// Runs it to its end, which has to be a good one; returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    say::command(&shown(command));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| did_not_start(command, &e))?;
    judged(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether it starts and ends well; for questions such as "is it there?". Silent.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// As [`check`], and ends it when `deadline` has passed.
pub(crate) fn check_within(command: &mut Command, deadline: Duration) -> Result<(), Failure> {
    say::command(&shown(command));
    let mut guarded = Guarded(command.spawn().map_err(|e| did_not_start(command, &e))?);
    let begun = Instant::now();
    loop {
        let ended = guarded.0.try_wait();
        match ended.map_err(|e| Failure::broken(format!("{}: {e}", shown(command))))? {
            Some(status) => return judged(command, status),
            None if begun.elapsed() < deadline => std::thread::sleep(Duration::from_millis(50)),
            None => {
                return Err(Failure::broken(format!(
                    "{} did not end within {deadline:?}",
                    shown(command)
                )));
            }
        }
    }
}

/// Starts it, and waits for the first line that it writes to stdout. It is ended when what comes back is dropped.
pub(crate) fn start(command: &mut Command) -> Result<(Guarded, String), Failure> {
    say::command(&shown(command));
    let spawned = command.stdout(Stdio::piped()).spawn();
    let mut guarded = Guarded(spawned.map_err(|e| did_not_start(command, &e))?);
    let mut line = String::new();
    if let Some(stdout) = guarded.0.stdout.take() {
        // One that ends without a word has said so on stderr.
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    match line.trim() {
        "" => Err(Failure::broken(format!(
            "{}: no word of it",
            shown(command)
        ))),
        word => Ok((guarded, word.to_owned())),
    }
}

/// A process of ours that does not outlive the reason it was started for.
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Installs a Debian package where that is allowed, else says what to install.
pub(crate) fn provide(name: &str, package: &str) -> Result<(), Failure> {
    if succeeds(program(name).arg("--version")) {
        return Ok(());
    }
    install(name, &[package])
}

/// Installs Debian packages, of which none starts a service; `what` is missing without them.
pub(crate) fn install(what: &str, packages: &[&str]) -> Result<(), Failure> {
    let root = output(program("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || !succeeds(program("apt-get").arg("--version")) {
        let (s, names) = (
            if packages.len() > 1 { "s" } else { "" },
            packages.join(" "),
        );
        return Err(Failure::broken(format!(
            "{what} is missing; install the package{s} {names}"
        )));
    }
    check(program("apt-get").args(["-qq", "update"]))?;
    let _refused = ServicesRefused::here();
    let install = ["-qq", "install", "-y", "--no-install-recommends"];
    check(
        program("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(install)
            .args(packages),
    )
}

/// As long as it lives, Debian's packages start no services; whoever has said so before is not overruled.
struct ServicesRefused(Option<&'static Path>);

impl ServicesRefused {
    fn here() -> Self {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        let refusal = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(policy)
            .and_then(|mut file| file.write_all(b"#!/bin/sh\nexit 101\n"));
        Self(refusal.is_ok().then_some(policy))
    }
}

impl Drop for ServicesRefused {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            // Who has taken it away meanwhile has done the same.
            let _ = std::fs::remove_file(policy);
        }
    }
}

fn judged(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::broken(format!("{}: {status}", shown(command))))
}

fn did_not_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::broken(format!("{} did not start: {error}", shown(command)))
}

/// The line a person would type.
fn shown(command: &Command) -> String {
    let program = tree::file_name(command.get_program().as_ref());
    let environment = command
        .get_envs()
        .filter_map(|(key, value)| Some((key.to_string_lossy(), value?.to_string_lossy())))
        .map(|(key, value)| format!("{key}={}", quoted(&value)));
    let arguments = command
        .get_args()
        .map(|argument| quoted(&argument.to_string_lossy()));
    let words: Vec<String> = environment.chain([program]).chain(arguments).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = cargo(&["test", "--", "it's here"]);
        command.env("RUSTFLAGS", "--cfg model");
        assert_eq!(
            shown(&command),
            r"RUSTFLAGS='--cfg model' cargo test -- 'it'\''s here'"
        );
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let failure = check_within(program("sleep").arg("60"), Duration::from_millis(100));
        assert!(failure.is_err_and(|f| f.to_string().contains("did not end")));
    }
}
