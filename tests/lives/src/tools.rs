//! Clients of others, run as processes.

use std::process::Stdio;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a tool may take.
const LONG: std::time::Duration = std::time::Duration::from_secs(120);

/// Starts a tool; its process is killed when the answer is dropped.
fn start(tool: &str, package: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(tool);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            panic!("{tool} is not here; on Debian: apt-get install {package}")
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// Runs a tool; what it says on stdout, and after it what on stderr.
///
/// # Panics
///
/// If the tool is not here, with the package that has it; if it fails or takes too long.
pub async fn run(tool: &str, package: &str, arguments: &[&str]) -> String {
    let output = start(tool, package, arguments).wait_with_output();
    let Ok(output) = timeout(LONG, output).await else {
        panic!("{tool} {arguments:?} takes longer than {LONG:?}")
    };
    let output = output.expect("a process can be waited for");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    said
}

const USUAL: [&str; 4] = ["--silent", "--show-error", "--noproxy", "*"];

/// Runs curl.
pub async fn curl(arguments: &[&str]) -> String {
    run("curl", "curl", &[&USUAL, arguments].concat()).await
}

/// Starts curl, to kill it by dropping it.
pub fn curl_to_kill(arguments: &[&str]) -> Child {
    start("curl", "curl", &[&USUAL, arguments].concat())
}

/// Runs h2load, and sees to it that `count` requests have succeeded.
pub async fn h2load(count: u64, arguments: &[&str]) {
    let number = count.to_string();
    let said = run(
        "h2load",
        "nghttp2-client",
        &[&["-n", &number], arguments].concat(),
    )
    .await;
    let done = format!("{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(said.contains(&done), "h2load: {said}");
}

/// Runs nghttp.
pub async fn nghttp(arguments: &[&str]) -> String {
    run("nghttp", "nghttp2-client", arguments).await
}
