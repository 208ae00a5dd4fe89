//! What was asked on the command line; a mistake is answered with what is accepted.

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
  --serve        only serve, until Ctrl-C; prints URLs to try
  --port N       with --serve: the port, 0 for a free one (default 0)
  --help         this text
";

pub(crate) struct Args {
    pub(crate) help: bool,
    pub(crate) serve: bool,
    pub(crate) port: u16,
    pub(crate) requests: u64,
    pub(crate) seed: u64,
    pub(crate) log: PathBuf,
    pub(crate) json: bool,
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
        };
        let mut given: Vec<String> = Vec::new();
        let mut args = args;
        while let Some(argument) = args.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let takes_value = matches!(name.as_str(), "--requests" | "--seed" | "--log" | "--port");
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
                _ => {
                    return Err(format!(
                        "{name:?} is not accepted; accepted are --requests N, --seed N, --log PATH, --json, --serve, --port N, --help"
                    ));
                }
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
        Ok(())
    }
}

const REQUESTS: &str = "a number from 100 to 10000000";
const SEED: &str = "a number from 0 to 18446744073709551615";
const PORT: &str = "a number from 0 to 65535";

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
        ] {
            let why = parse(line)
                .err()
                .unwrap_or_else(|| panic!("{line} was accepted"));
            assert!(why.contains(told), "{line}: {why}");
        }
    }
}
