//! The direction of dependencies.

use super::Task;
use crate::failure::Failure;
use crate::tree;

pub(crate) const TASK: Task = Task {
    name: "imports",
    arguments: "",
    promise: "crates use only those that stand below them in the list of members",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    let root = tree::read("Cargo.toml")?;
    let members: Vec<&str> = members(&root).collect();
    let mut upward = Vec::new();
    for member in &members {
        let manifest = tree::read(&format!("{member}/Cargo.toml"))?;
        upward.extend(against_the_order(member, &manifest, &members));
    }
    if upward.is_empty() {
        return Ok(());
    }
    Err(Failure::broken(upward.join("; ")))
}

/// The crates that we publish, in the order of a request's way.
fn members(root: &str) -> impl Iterator<Item = &str> {
    root.lines()
        .filter(|line| line.trim().starts_with("\"crates/"))
        .filter_map(|line| line.split('"').nth(1))
}

/// What `member` uses and may not.
fn against_the_order(member: &str, manifest: &str, members: &[&str]) -> Vec<String> {
    let place = |of: &str| members.iter().position(|other| *other == of);
    used(manifest)
        .filter(|name| place(&format!("crates/{name}")) <= place(member))
        .map(|name| format!("{member} uses {name}, which is not below it"))
        .collect()
}

/// Our crates among the dependencies of a manifest; those of its tests may be any.
fn used(manifest: &str) -> impl Iterator<Item = &str> {
    let mut counts = false;
    manifest.lines().filter_map(move |line| {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end().trim_end_matches(']');
            counts = section == "dependencies" || section.ends_with(".dependencies");
        }
        let name = line.split([' ', '=', '.']).next()?;
        (counts && (name == "redhanded" || name.starts_with("redhanded-"))).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "members = [\n    \"crates/redhanded\", # a\n    \"crates/redhanded-core\",\n    \"tests\",\n]";
    const MANIFEST: &str = "[package]\nname = \"x\"\n[dependencies]\nredhanded-core = { workspace = true }\n\
        [dev-dependencies]\nredhanded = { workspace = true }\n[target.'cfg(unix)'.dependencies]\nredhanded.workspace = true\n";

    #[test]
    fn a_crate_uses_what_is_below_it() {
        let members: Vec<&str> = members(ROOT).collect();
        assert_eq!(members, ["crates/redhanded", "crates/redhanded-core"]);
        assert_eq!(
            used(MANIFEST).collect::<Vec<_>>(),
            ["redhanded-core", "redhanded"]
        );
        let facade = "[dependencies]\nredhanded-core = \"1\"\n";
        assert!(against_the_order("crates/redhanded", facade, &members).is_empty());
        assert_eq!(
            against_the_order("crates/redhanded-core", MANIFEST, &members).len(),
            2
        );
        let unknown = "[dependencies]\nredhanded-nowhere = \"1\"\n";
        assert_eq!(
            against_the_order("crates/redhanded", unknown, &members).len(),
            1
        );
    }
}
