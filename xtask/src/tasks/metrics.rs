//! Numbers as Prometheus and OpenMetrics read them.

use super::Task;
use crate::failure::Failure;
use crate::{run, say, tree};
use std::path::PathBuf;

pub(crate) const TASK: Task = Task {
    name: "metrics",
    arguments: "",
    promise: "a real Prometheus scrapes and alerts, and promtool and the reference parsers find nothing wrong with what it is told",
    // Half a minute.
    ci: Some(&[]),
    run,
};

/// The reference parser of OpenMetrics; its version is that of the tests.
const PARSER: &str = "prometheus-client==0.21.1";
/// The test that needs it.
const BY_PARSER: &str = "the_reference_parsers_read_both_formats_alike";

fn run(_: &[String]) -> Result<(), Failure> {
    for tool in ["prometheus", "promtool"] {
        run::provide(tool, "prometheus")?;
    }
    run::provide("curl", "curl")?;
    let mut test = run::cargo_test(&["metrics"]);
    test.args(["--", "--include-ignored", "--nocapture"]);
    match python() {
        Ok(python) => {
            test.env("REDHANDED_METRICS_PYTHON", python);
        }
        Err(failure) => {
            say::note(&format!(
                "SKIPPED: {BY_PARSER}, because {PARSER} cannot be installed from PyPI: {failure}"
            ));
            test.args(["--skip", BY_PARSER]);
        }
    }
    run::check(&mut test)
}

/// A Python with the parser, in an environment of its own below `target`.
fn python() -> Result<PathBuf, Failure> {
    let place = tree::target().join("metrics-python");
    let python = place.join("bin/python");
    let import = ["-c", "import prometheus_client.openmetrics.parser"];
    if !run::succeeds(run::program(&python).args(import)) {
        run::check(run::program("python3").args(["-m", "venv"]).arg(&place))?;
        let install = ["-m", "pip", "install", "--quiet", PARSER];
        run::check(run::program(&python).args(install))?;
    }
    Ok(python)
}
