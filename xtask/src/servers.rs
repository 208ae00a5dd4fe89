//! The real Collector and the real Jaeger, built from the Go modules in `tests/servers`.

use crate::failure::Failure;
use crate::{run, say, tree};
use std::path::{Path, PathBuf};

/// The two binaries, built.
pub(crate) struct Servers {
    pub(crate) collector: PathBuf,
    pub(crate) jaeger: PathBuf,
}

/// One Go module that becomes one binary.
struct Module {
    name: &'static str,
    package: &'static str,
    /// What the binary depends on: all files of the module.
    sources: &'static [&'static str],
}

const COLLECTOR: Module = Module {
    name: "collector",
    package: ".",
    sources: &["go.mod", "go.sum", "main.go"],
};

const JAEGER: Module = Module {
    name: "jaeger",
    package: "github.com/jaegertracing/jaeger/cmd/jaeger",
    sources: &["go.mod", "go.sum"],
};

/// Builds what is missing. The first time takes minutes.
pub(crate) fn build() -> Result<Servers, Failure> {
    let cache = tree::cache()?.join("servers");
    Ok(Servers {
        collector: COLLECTOR.build(&cache)?,
        jaeger: JAEGER.build(&cache)?,
    })
}

impl Module {
    fn build(&self, cache: &Path) -> Result<PathBuf, Failure> {
        let directory = cache.join(self.hash()?);
        let binary = directory.join(self.name);
        if binary.exists() {
            return Ok(binary);
        }
        if !run::succeeds(run::program("go").arg("version")) {
            return Err(Failure::broken(format!(
                "Go is missing, which builds the {} of the end-to-end test; install Go 1.26 or newer",
                self.name
            )));
        }
        say::note(&format!(
            "building the {}; the first time takes minutes",
            self.name
        ));
        let in_place = |e| Failure::broken(format!("{}: {e}", directory.display()));
        std::fs::create_dir_all(&directory).map_err(in_place)?;
        // Moved into place when it is whole: a build that was interrupted leaves nothing that looks done.
        let part = directory.join(format!("{}.{}", self.name, std::process::id()));
        run::check(&mut self.go_build(&part))?;
        std::fs::rename(&part, &binary).map_err(in_place)?;
        Ok(binary)
    }

    /// As `tests/servers/README.md` says it.
    fn go_build(&self, to: &Path) -> std::process::Command {
        let mut go = run::program("go");
        go.args(["build", "-C"])
            .arg(format!("tests/servers/{}", self.name));
        go.args(["-p", "2", "-trimpath", "-ldflags", "-s -w", "-o"]);
        go.arg(to).arg(self.package);
        go
    }

    fn hash(&self) -> Result<String, Failure> {
        let mut all = String::new();
        for source in self.sources {
            all += &tree::read(&format!("tests/servers/{}/{source}", self.name))?;
            all.push('\0');
        }
        Ok(format!("{:016x}", fnv1a(all.as_bytes())))
    }
}

/// Tells versions of a file apart, the same in every release of Rust.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn the_commands_are_those_of_the_readme() {
        let readme = tree::read("tests/servers/README.md").expect("it is there");
        for module in [COLLECTOR, JAEGER] {
            let go = module.go_build(Path::new("OUT"));
            let words: Vec<_> = go
                .get_args()
                .map(|a| a.to_string_lossy().into_owned())
                .collect();
            let line = format!("go {}", words.join(" "))
                .replace("-s -w", "\"-s -w\"")
                .replace("OUT", &format!("\"$out/{}\"", module.name));
            assert!(readme.contains(&line), "{line}");
        }
    }

    #[test]
    fn another_source_is_another_directory() {
        let hash = |module: Module| module.hash().expect("sources are there");
        assert_ne!(hash(COLLECTOR), hash(JAEGER));
    }
}
