//! Tells the crate which compiler makes it: `process.runtime.version` of what it exports.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(compiler) = env::var_os("RUSTC") else {
        return;
    };
    let version = Command::new(compiler).arg("--version").output();
    // "rustc 1.95.0 (…)"; where it says something else the attribute is left out.
    let said = version.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    if let Some(version) = said.ok().as_deref().and_then(|said| said.split(' ').nth(1)) {
        println!("cargo::rustc-env=REDHANDED_RUSTC={version}");
    }
}
