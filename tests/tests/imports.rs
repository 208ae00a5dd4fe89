//! Imports run down the list of crates and never up; stages do not import each other; `unsafe`
//! lives in one crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates from the top to the bottom; those of one line do not know each other.
const LIST: [&[&str]; 5] = [
    &["redhanded"],
    &[
        "redhanded-tower",
        "redhanded-connect",
        "redhanded-trace",
        "redhanded-otlp",
        "redhanded-cli",
    ],
    &["redhanded-core"],
    &["redhanded-capture"],
    &["redhanded-report"],
];

/// Stages of `redhanded-core`, and the stages that each may import besides.
///
/// The watchdog runs ③ to ⑤ and the clerk ⑥ and ⑦; what the two say to each other is `case`.
const STAGES: [(&str, &[&str]); 9] = [
    ("registry", &[]),
    ("health", &[]),
    ("verdict", &[]),
    ("slow_log", &[]),
    ("redact", &[]),
    ("ask", &["redact"]),
    ("recorder", &["redact", "registry"]),
    ("watchdog", &["health", "registry", "verdict", "recorder"]),
    ("clerk", &["ask", "redact", "slow_log", "recorder"]),
];

/// What a stage may not know of the crates below.
const OUTSIDE: [(&str, &[&str]); 7] = [
    ("health", &["redhanded_capture"]),
    (
        "registry",
        &[
            "redhanded_capture::Sampler",
            "redhanded_capture::Symbolizer",
        ],
    ),
    ("verdict", &["redhanded_capture"]),
    ("slow_log", &["redhanded_capture", "redhanded_report"]),
    ("redact", &["redhanded_capture", "redhanded_report"]),
    ("ask", &["redhanded_capture"]),
    ("clerk", &["redhanded_capture::Sampler"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// Every file of Rust below `dir`, without what was built.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a source is text");
            found.push((path, text));
        }
    }
    found
}

/// Names under every `[dependencies]`, those of targets and of builds among them; not those of tests.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
            if let Some((table, name)) = section.rsplit_once("dependencies.") {
                names.extend((!table.ends_with("dev-")).then(|| name.to_owned()));
            }
        } else if inside && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            names.push(name.trim_matches('"').to_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn rank(name: &str) -> Option<usize> {
    LIST.iter().position(|line| line.contains(&name))
}

/// What is wrong with the dependencies of the crate `name`.
fn upward(name: &str, manifest: &str) -> Vec<String> {
    let ours = rank(name).expect("it is in the list");
    let wrong = |used: &String| {
        rank(used).is_some_and(|theirs| theirs <= ours)
            || (used.starts_with("redhanded") && rank(used).is_none())
    };
    dependencies(manifest)
        .into_iter()
        .filter(wrong)
        .map(|used| format!("{name} -> {used}"))
        .collect()
}

#[test]
fn crates_import_downwards() {
    for name in LIST.into_iter().flatten() {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
        assert_eq!(upward(name, &text), [""; 0]);
    }
}

/// What of ours the command line uses and may not: it reads what others wrote, and never links code
/// that watches, signals or unwinds.
fn beyond_the_vocabulary(manifest: &str) -> Vec<String> {
    let ours = |name: &String| name.starts_with("redhanded") && name != "redhanded-report";
    dependencies(manifest).into_iter().filter(ours).collect()
}

#[test]
fn the_command_line_knows_the_vocabulary_only() {
    let manifest = root().join("crates/redhanded-cli/Cargo.toml");
    let text = fs::read_to_string(manifest).expect("the command line");
    assert!(dependencies(&text).contains(&"redhanded-report".to_owned()));
    assert_eq!(beyond_the_vocabulary(&text), [""; 0]);
    let wrong = text.replace(
        "[dependencies]\n",
        "[dependencies]\nredhanded-core.workspace = true\n",
    );
    assert_eq!(beyond_the_vocabulary(&wrong), ["redhanded-core"]);
}

#[test]
fn every_crate_stands_in_the_list() {
    let crates = fs::read_dir(root().join("crates"))
        .expect("crates")
        .flatten();
    for name in crates.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        assert!(
            rank(&name).is_some(),
            "{name} is in crates/ and not in the list of imports: where does it stand?"
        );
    }
}

#[test]
fn an_import_upwards_is_seen() {
    let core = "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\nredhanded-report = { workspace = true }\n";
    assert_eq!(upward("redhanded-core", core), [""; 0]);
    for wrong in [
        "redhanded-tower = { path = \"../t\" }",
        "redhanded.workspace = true",
        "redhanded-new = \"1\"",
    ] {
        assert_eq!(
            upward("redhanded-core", &format!("{core}{wrong}\n")).len(),
            1,
            "{wrong}"
        );
    }
    let target = format!("{core}[target.'cfg(unix)'.dependencies]\nredhanded-otlp = \"1\"\n");
    assert_eq!(
        upward("redhanded-core", &target),
        ["redhanded-core -> redhanded-otlp"]
    );
    let table = format!("{core}[dependencies.redhanded-tower]\nworkspace = true\n");
    assert_eq!(
        upward("redhanded-core", &table),
        ["redhanded-core -> redhanded-tower"]
    );
    let tests = format!("{core}[dev-dependencies]\nredhanded-tower = \"1\"\n");
    assert_eq!(upward("redhanded-core", &tests), [""; 0]);
}

/// Code without comments, strings and characters, line by line.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = literal_or_comment(rest);
        match skip {
            0 => code.push(first),
            bytes => code.extend(rest[..bytes].chars().filter(|c| *c == '\n')),
        }
        rest = &rest[skip.max(first.len_utf8())..];
    }
    code
}

/// How many bytes a comment, string or character takes that begins here; 0 for code.
fn literal_or_comment(text: &str) -> usize {
    let through = |end: &str, from: usize| {
        text[from..]
            .find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return through("*/", 2);
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.bytes().take_while(|b| *b == b'#').count();
        if raw[hashes..].starts_with('"') {
            return through(&format!("\"{}", "#".repeat(hashes)), hashes + 2);
        }
    }
    let bytes = text.as_bytes();
    match bytes {
        [b'"', ..] => quoted(bytes, b'"'),
        [b'\'', b'\\', ..] => quoted(bytes, b'\''),
        [b'\'', _, b'\'', ..] => 3,
        _ => 0,
    }
}

fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// `crate::…` and what is taken out of it: `use crate::{a::B, c}` gives `a` and `c`.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => vec![head(rest)],
        };
        found.extend(names.into_iter().map(|name| (line, name)));
    }
    found
}

fn head(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut begin) = (0_u32, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(&group[begin..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(&group[begin..at]));
                begin = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

/// What is wrong with a file of the stage `stage`.
fn misplaced(stage: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let may = STAGES
        .iter()
        .find(|(s, _)| *s == stage)
        .map_or([].as_slice(), |(_, may)| may);
    let is_stage = |name: &str| STAGES.iter().any(|(s, _)| *s == name);
    let inside = imports(&code)
        .into_iter()
        .filter(|(_, name)| is_stage(name) && name != stage && !may.contains(&name.as_str()))
        .map(|(line, name)| format!("line {line}: {stage} -> {name}"));
    let foreign = OUTSIDE
        .iter()
        .find(|(s, _)| *s == stage)
        .map_or([].as_slice(), |(_, not)| not);
    let outside = foreign
        .iter()
        .filter(|path| code.contains(*path))
        .map(|path| format!("{stage} -> {path}"));
    inside.chain(outside).collect()
}

#[test]
fn stages_do_not_import_each_other() {
    let core = root().join("crates/redhanded-core/src");
    let mut wrong = BTreeMap::new();
    for (stage, _) in STAGES {
        let mut files = sources(&core.join(stage));
        let single = core.join(format!("{stage}.rs"));
        files.extend(fs::read_to_string(&single).ok().map(|text| (single, text)));
        assert!(!files.is_empty(), "the stage {stage} has gone: where to?");
        for (path, text) in files {
            let found = misplaced(stage, &text);
            if !found.is_empty() {
                wrong.insert(path, found);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_import_between_stages_is_seen() {
    let wrong = [
        ("watchdog", "use crate::clerk::Clerk;"),
        ("watchdog", "use crate::{case::Case, slow_log};"),
        ("watchdog", "fn f() { crate::redact::REDACTED; }"),
        ("clerk", "use crate::watchdog::new_id;"),
        ("clerk", "pub(crate) use crate::registry::{Slot, Key};"),
        ("verdict", "use crate::registry::Slot;"),
        ("verdict", "use redhanded_capture::RawStack;"),
        ("slow_log", "use crate::{\n    ask::{self, x},\n};"),
        ("registry", "use crate::watchdog;"),
        ("redact", "use crate::ask;"),
    ];
    for (stage, line) in wrong {
        assert_eq!(misplaced(stage, line).len(), 1, "{stage}: {line}");
    }
    let right = [
        (
            "watchdog",
            "use crate::registry::{Slot, Key}; use crate::verdict::judge; use crate::case::Case;",
        ),
        ("clerk", "use crate::ask; // not crate::watchdog"),
        ("clerk", "fn f() { g(\"crate::watchdog\"); }"),
        ("registry", "use crate::sync::{AtomicU64, Ordering};"),
        ("verdict", "pub(crate) fn f() {} // pub(crate)"),
    ];
    for (stage, line) in right {
        assert_eq!(misplaced(stage, line), [""; 0], "{stage}: {line}");
    }
}

fn members() -> Vec<PathBuf> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a workspace");
    let list = manifest
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once("\n]"))
        .expect("members")
        .0;
    let quoted = |line: &str| Some(root().join(line.trim().strip_prefix('"')?.split('"').next()?));
    list.lines().filter_map(quoted).collect()
}

fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let alone = move |at: &usize| {
        !code[..*at].ends_with(part) && !code[at + word.len()..].starts_with(part)
    };
    code.match_indices(word).map(|(at, _)| at).filter(alone)
}

#[test]
fn unsafe_lives_in_one_crate() {
    let mut found = Vec::new();
    for member in members() {
        if member.ends_with("crates/redhanded-capture") {
            continue;
        }
        for (path, text) in sources(&member) {
            let code = code(&text);
            let lines = words(&code, "unsafe").map(|at| code[..at].matches('\n').count() + 1);
            found.extend(lines.map(|line| format!("{}:{line}", path.display())));
        }
    }
    assert_eq!(found, [""; 0]);
    assert!(
        members().len() >= 9,
        "the members were found: {:?}",
        members()
    );
}

#[test]
fn an_unsafe_block_is_seen() {
    let count = |text: &str| words(&code(text), "unsafe").count();
    assert_eq!(count("fn f() { unsafe { g() } }"), 1);
    assert_eq!(count("unsafe fn f() {}\nunsafe impl Sync for X {}"), 2);
    assert_eq!(
        count(
            "// unsafe\n/* unsafe */ let x = \"unsafe\"; let y = r#\"unsafe\"#; deny(unsafe_code); let c = '\"'; "
        ),
        0
    );
    assert_eq!(
        count("let q = '\\''; let s: &'static str = \"\\\"\"; unsafe {}"),
        1
    );
}

#[test]
fn every_crate_takes_the_lint_table() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("a workspace");
    assert!(
        workspace.contains("\nunsafe_code = \"forbid\""),
        "the workspace forbids it"
    );
    for member in members() {
        let manifest =
            fs::read_to_string(member.join("Cargo.toml")).expect("a member has a manifest");
        let inherits = manifest.contains("[lints]\nworkspace = true");
        // The one that may not forbid it states its own table.
        let own = member.ends_with("crates/redhanded-capture")
            && manifest.contains("undocumented_unsafe_blocks = \"deny\"");
        assert!(inherits || own, "{} has no lint table", member.display());
    }
}
