//! What was asked on the command line; a mistake is answered with what is accepted.

use crate::servers::{self, Servers};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
identica: a small microblog that is watched by redhanded

Serves on a free loopback port, sends itself requests with four culprits hidden among them,
shows what was caught, and ends. Exit code 0: all four caught with function and line, and
nobody innocent named culprit. 1: not so. 2: bad arguments, or it could not start.

  cargo run --release -p identica -- [OPTIONS]

  --requests N   how many requests, 100 to 10000000 (default 100000)
  --seed N       where the culprits hide among them (default 20120711)
  --log PATH     the slow-request log, made fresh (default target/identica/slow-requests.jsonl)
  --json         the summary as one line of JSON on stdout
  --database URL PostgreSQL instead of a table in this process: postgres://user@host:5432/name
  --cache URL    Redis instead of a map in this process: redis://host:6379
  --queue URL    a STOMP broker (RabbitMQ, ActiveMQ) instead of a channel in this process:
                 stomp://login:passcode@host:61613
  --serve        only serve, until Ctrl-C; prints URLs to try
  --port N       with --serve: the port, 0 for a free one (default 0)
  --help         this text

--database and --cache need clients that are built in with a feature:

  cargo run --release -p identica --features servers -- --cache redis://127.0.0.1:6379
";

pub(crate) struct Args {
    pub(crate) help: bool,
    pub(crate) serve: bool,
    pub(crate) port: u16,
    pub(crate) requests: u64,
    pub(crate) seed: u64,
    pub(crate) log: PathBuf,
    pub(crate) json: bool,
    pub(crate) servers: Servers,
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// One line that names the argument and what is accepted.
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            help: false,
            serve: false,
            port: 0,
            requests: 100_000,
            seed: 20_120_711,
            log: PathBuf::from("target/identica/slow-requests.jsonl"),
            json: false,
            servers: Servers::default(),
        };
        let mut given: Vec<String> = Vec::new();
        let mut args = args;
        while let Some(argument) = args.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let takes_value = VALUED.contains(&name.as_str());
            if attached.is_some() && !takes_value {
                return Err(format!("{name} takes no value"));
            }
            let mut value = |accepted| {
                let value = attached.clone().or_else(|| args.next());
                value
                    .filter(|v| !v.is_empty())
                    .ok_or_else(|| format!("{name} needs a value: {accepted}"))
            };
            match name.as_str() {
                "--help" | "-h" => parsed.help = true,
                "--serve" => parsed.serve = true,
                "--json" => parsed.json = true,
                "--log" => parsed.log = value("a path")?.into(),
                "--requests" => {
                    parsed.requests = number(&name, &value(REQUESTS)?, 100, 10_000_000, REQUESTS)?
                }
                "--seed" => parsed.seed = number(&name, &value(SEED)?, 0, u64::MAX, SEED)?,
                "--port" => {
                    let port = number(&name, &value(PORT)?, 0, u64::from(u16::MAX), PORT)?;
                    parsed.port = u16::try_from(port).unwrap_or_default();
                }
                "--database" => {
                    parsed.servers.database = Some(url(&name, value(DATABASE)?, DATABASE)?)
                }
                "--cache" => parsed.servers.cache = Some(url(&name, value(CACHE)?, CACHE)?),
                "--queue" => parsed.servers.queue = Some(url(&name, value(QUEUE)?, QUEUE)?),
                _ => return Err(format!("{name:?} is not accepted; accepted are {ACCEPTED}")),
            }
            given.push(name);
        }
        parsed.check(&given)?;
        Ok(parsed)
    }

    fn check(&self, given: &[String]) -> Result<(), String> {
        let was_given = |names: &[&str]| given.iter().find(|g| names.contains(&g.as_str()));
        if let Some(name) = was_given(&["--requests", "--seed", "--json"]).filter(|_| self.serve) {
            return Err(format!(
                "{name} is for the demonstration, and --serve only serves: leave one of them out"
            ));
        }
        if was_given(&["--port"]).is_some() && !self.serve {
            return Err("--port goes with --serve: the demonstration takes a free port".to_owned());
        }
        let client = was_given(&["--database", "--cache"]);
        if let Some(name) = client.filter(|_| !servers::BUILT_IN) {
            return Err(format!(
                "{name} needs a client that is not built in: cargo run --release -p identica --features servers -- {name} …"
            ));
        }
        Ok(())
    }
}

const ACCEPTED: &str = "--requests N, --seed N, --log PATH, --json, --database URL, --cache URL, \
     --queue URL, --serve, --port N, --help";

const VALUED: [&str; 7] = [
    "--requests",
    "--seed",
    "--log",
    "--port",
    "--database",
    "--cache",
    "--queue",
];

const REQUESTS: &str = "a number from 100 to 10000000";
const SEED: &str = "a number from 0 to 18446744073709551615";
const PORT: &str = "a number from 0 to 65535";
const DATABASE: &str = "a URL with host and port, such as postgres://user@127.0.0.1:5432/name";
const CACHE: &str = "a URL with host and port, such as redis://127.0.0.1:6379";
const QUEUE: &str = "a URL with host and port, such as stomp://127.0.0.1:61613";

/// A URL with the scheme of the accepted one and a host with a port. A login may stand in it, so of
/// a wrong one only the scheme and the host are said.
fn url(name: &str, value: String, accepted: &str) -> Result<String, String> {
    let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
    let wanted = accepted.rsplit(' ').next().and_then(scheme);
    let (given, host) = (scheme(&value), servers::peer(&value));
    let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if given.is_some() && given == wanted && matches!(port, Some(Ok(1..))) {
        return Ok(value);
    }
    let told = given.map_or_else(|| host.to_owned(), |scheme| format!("{scheme}://{host}"));
    Err(format!("{name} {told:?} is not accepted; give {accepted}"))
}

fn number(name: &str, value: &str, least: u64, most: u64, accepted: &str) -> Result<u64, String> {
    let number = value
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{name} {value:?} is not accepted; give {accepted}"))
}

#[cfg(test)]
mod tests {
    use super::Args;
    use crate::servers::BUILT_IN;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn both_forms_of_a_value_are_read() {
        for line in ["--requests 2000 --json", "--json --requests=2000"] {
            let args = parse(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            assert!(args.requests == 2000 && args.json && !args.serve);
        }
    }

    #[test]
    fn servers_are_read_where_their_clients_are_built_in() {
        let args = parse("--queue stomp://guest:guest@mq:61613").unwrap();
        let queue = args.servers.queue.as_deref();
        assert_eq!(queue, Some("stomp://guest:guest@mq:61613"));
        let args = parse("--cache redis://c:6379 --database=postgres://app@db:5432/a?b=c");
        if !BUILT_IN {
            let why = args.err().unwrap();
            assert!(why.contains("--features servers"), "{why}");
            return;
        }
        let servers = args.unwrap().servers;
        assert_eq!(servers.cache.as_deref(), Some("redis://c:6379"));
        let database = servers.database.as_deref();
        assert_eq!(database, Some("postgres://app@db:5432/a?b=c"));
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        let why = parse("--database mysql://app:secret@db:3306/shop")
            .err()
            .unwrap();
        assert!(!why.contains("secret"), "{why}");
    }

    #[test]
    fn a_mistake_is_told_with_what_is_accepted() {
        for (line, told) in [
            ("--fast", "--requests N"),
            ("--requests", "a number from 100"),
            ("--requests 99", "a number from 100"),
            ("--requests many", "\"many\""),
            ("--port 80", "--serve"),
            ("--serve --port 70000", "65535"),
            ("--serve --json", "leave one of them out"),
            ("--json=yes", "takes no value"),
            ("--database", "postgres://"),
            ("--database mysql://db1:3306/shop", "\"mysql://db1:3306\""),
            ("--cache=memcached://127.0.0.1:11211", "redis://"),
            ("--cache redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("--queue 127.0.0.1:61613", "stomp://"),
            ("--queue stomp://127.0.0.1:0", "stomp://127.0.0.1:61613"),
        ] {
            let why = parse(line)
                .err()
                .unwrap_or_else(|| panic!("{line} was accepted"));
            assert!(why.contains(told), "{line}: {why}");
        }
    }
}
