//! `docker-compose.yaml` fits the rest of the repository. No engine runs here: what is asserted is what it says.

use serde_json::Value;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(file: &str) -> String {
    let path = repository().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn service(name: &str) -> Value {
    yaml("docker-compose.yaml")["services"][name].clone()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|text| text.as_str().expect("a text"))
        .collect()
}

/// Host ports and what they lead to.
fn ports(service: &Value) -> Vec<(String, String)> {
    let parse = |port: &str| {
        let parts: Vec<&str> = port.split(':').collect();
        let [address, host, container] = parts[..] else {
            panic!("{port} is reachable from elsewhere, or says too little");
        };
        assert_eq!(address, "127.0.0.1", "{port} is reachable from elsewhere");
        (host.to_owned(), container.to_owned())
    };
    texts(&service["ports"]).into_iter().map(parse).collect()
}

#[test]
fn the_collector_reads_the_configuration_that_we_ship() {
    let collector = service("collector");
    let mounts = texts(&collector["volumes"]);
    let [config, _] = mounts[..] else {
        panic!("{mounts:?}")
    };
    let (from, rest) = config.split_once(':').expect("a mount");
    let file: PathBuf = repository().join(from);
    let ours = repository().join("otel-collector.yaml");
    assert_eq!(
        file.canonicalize().expect("it is there"),
        ours.canonicalize().expect("it is there")
    );
    let to = rest
        .strip_suffix(":ro")
        .expect("it cannot be changed from inside");
    assert_eq!(texts(&collector["command"]), [format!("--config={to}")]);
}

#[test]
fn its_variables_are_those_of_the_configuration() {
    let config = read("otel-collector.yaml");
    let collector = service("collector");
    let environment = collector["environment"].as_object().expect("variables");
    for name in environment.keys() {
        assert!(
            config.contains(&format!("${{env:{name}:-")),
            "{name} is not read"
        );
    }
    // The queue outlives the container.
    let storage = environment["REDHANDED_COLLECTOR_STORAGE"]
        .as_str()
        .expect("a path");
    let mounts = texts(&collector["volumes"]);
    let volume = mounts
        .iter()
        .find_map(|mount| mount.strip_suffix(&format!(":{storage}")));
    let volumes = &yaml("docker-compose.yaml")["volumes"];
    assert!(
        volumes
            .as_object()
            .is_some_and(|all| all.contains_key(volume.expect("a volume")))
    );
    // And spans go to the other container.
    assert_eq!(environment["REDHANDED_JAEGER_OTLP"], "jaeger:4317");
    assert!(service("jaeger").is_object());
}

#[test]
fn ports_lead_where_something_listens_and_are_those_of_the_readme() {
    let collector = service("collector");
    let listens: Vec<&str> = ["GRPC", "HTTP", "METRICS"]
        .iter()
        .map(|what| collector["environment"][format!("REDHANDED_COLLECTOR_{what}")].as_str())
        .map(|address| {
            address
                .and_then(|all| all.strip_prefix("0.0.0.0:"))
                .expect("all addresses")
        })
        .collect();
    let published = ports(&collector);
    let targets: Vec<&str> = published.iter().map(|(_, to)| to.as_str()).collect();
    assert_eq!(targets, listens);
    let config = read("otel-collector.yaml");
    let readme = read("README.md");
    for (host, to) in &published {
        assert_eq!(host, to);
        assert!(
            config.contains(&format!(":-127.0.0.1:{host}}}")),
            "{host} is not its default"
        );
        assert!(
            readme.contains(&format!("127.0.0.1:{host}")),
            "{host} is not in the README"
        );
    }
    assert_eq!(
        ports(&service("jaeger")),
        [("16686".to_owned(), "16686".to_owned())]
    );
    assert!(readme.contains("http://127.0.0.1:16686"));
}

#[test]
fn versions_are_those_that_are_tested() {
    let module = |file: &str, name: &str| {
        let text = read(file);
        let lines = text
            .lines()
            .map(|line| line.trim_start_matches("require ").trim());
        let line = lines.filter_map(|line| line.strip_prefix(name)).next();
        line.expect("the module is required")
            .trim()
            .trim_start_matches('v')
            .to_owned()
    };
    let collector = module(
        "tests/servers/collector/go.mod",
        "go.opentelemetry.io/collector/otelcol ",
    );
    let image = format!("otel/opentelemetry-collector-contrib:{collector}");
    assert_eq!(service("collector")["image"], *image);
    // Jaeger 2.N has been released together with 1.(N + 63) since 2.0 came with 1.63.
    let library = module(
        "tests/servers/jaeger/go.mod",
        "github.com/jaegertracing/jaeger ",
    );
    let minor: u32 = library
        .split('.')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a version");
    let image = format!("jaegertracing/jaeger:2.{}.0", minor - 63);
    assert_eq!(service("jaeger")["image"], *image);
}
