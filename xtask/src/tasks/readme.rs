//! The README does what it says.

use super::Task;
use crate::failure::Failure;
use crate::{run, say, tree};
use std::time::Duration;

pub(crate) const TASK: Task = Task {
    name: "readme",
    arguments: "",
    promise: "the commands of the README work, and its example is the one that is compiled",
    ci: Some(&[]),
    run,
};

/// For one block of commands, builds included.
const DEADLINE: Duration = Duration::from_secs(900);

fn run(_: &[String]) -> Result<(), Failure> {
    let readme = tree::read("README.md")?;
    same_example(&readme, &tree::read("crates/redhanded/src/lib.rs")?)?;
    let commands: Vec<String> = blocks(&readme, &["sh"]).collect();
    if commands.is_empty() {
        return Err(Failure::broken("README.md has no ```sh block"));
    }
    commands.iter().try_for_each(|block| perform(block))
}

fn perform(block: &str) -> Result<(), Failure> {
    // The tests are a promise of their own, and one that takes its time.
    if block.trim() == "cargo test --workspace" {
        say::note("cargo test --workspace: see cargo xtask test");
        return Ok(());
    }
    run::check_within(
        run::program("bash").args(["-euo", "pipefail", "-c", block]),
        DEADLINE,
    )
}

/// The README's first Rust is the first example of the facade's documentation, which is compiled.
fn same_example(readme: &str, facade: &str) -> Result<(), Failure> {
    let documentation: String = facade
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let ours = blocks(readme, &["rust"]).next();
    let ours = ours.ok_or_else(|| Failure::broken("README.md has no ```rust block"))?;
    let compiled = blocks(&documentation, &["", "rust", "no_run", "rust,no_run"]).next();
    let compiled =
        compiled.ok_or_else(|| Failure::broken("the facade's documentation has no example"))?;
    if words(&visible(&compiled)) == words(&visible(&ours)) {
        return Ok(());
    }
    Err(Failure::broken(format!(
        "the example of README.md is not the one of crates/redhanded/src/lib.rs, which is:\n\n{}",
        visible(&compiled)
    )))
}

/// The blocks of code whose first line says one of `languages`.
fn blocks<'a>(markdown: &'a str, languages: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let mut lines = markdown.lines();
    std::iter::from_fn(move || {
        loop {
            let Some(said) = lines.next()?.strip_prefix("```") else {
                continue;
            };
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim_end() != "```")
                .collect();
            if languages.contains(&said.trim()) {
                return Some(block.join("\n"));
            }
        }
    })
}

/// Without the lines that rustdoc hides.
fn visible(code: &str) -> String {
    let hidden = |line: &&str| line.trim() == "#" || line.trim_start().starts_with("# ");
    let shown: Vec<&str> = code.lines().filter(|line| !hidden(line)).collect();
    shown.join("\n")
}

fn words(code: &str) -> Vec<&str> {
    code.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACADE: &str = "//! Words.\n//!\n//! ```no_run\n//! # fn hidden() {}\n//! let a =  1; // why\n//! ```\nmod a;\n";

    #[test]
    fn examples_differ_in_whitespace_only() {
        let said =
            |code: &str| same_example(&format!("```sh\nls\n```\n\n```rust\n{code}\n```\n"), FACADE);
        assert!(said("let a = 1;   // why").is_ok());
        assert!(said("let a = 2; // why").is_err());
        assert!(said("let a = 1; // why\nlet b = 2;").is_err());
    }

    #[test]
    fn blocks_are_found_in_order() {
        let text = "```sh\na\nb\n```\ntext\n```text\n$ no\n```\n```sh\nc\n```";
        assert_eq!(blocks(text, &["sh"]).collect::<Vec<_>>(), ["a\nb", "c"]);
    }
}
