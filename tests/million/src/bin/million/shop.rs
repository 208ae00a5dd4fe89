//! A shop: a process that does not outlive us.

use crate::Error;
use crate::client::Client;
use crate::mix::request;
use crate::town::Town;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Shop {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Shop {
    /// Watched, if there is a log for it; on one core, if that is given.
    pub(crate) fn open(
        town: &Town,
        log: Option<&Path>,
        core: Option<usize>,
    ) -> Result<Self, Error> {
        let mut command = Command::new(std::env::current_exe()?.with_file_name("shop"));
        command
            .arg("--pictures")
            .arg(town.path().join("pictures"))
            .args(["--north", &town.north.to_string()])
            .args(["--south", &town.south()?.to_string()]);
        if let Some(log) = log {
            command.arg("--log").arg(log);
        }
        if let Some(core) = core {
            command.args(["--core", &core.to_string()]);
        }
        // Only what is said here: somebody's REDHANDED_* would tell it something else.
        let child = command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let child = child.map_err(|why| format!("the shop does not start: {why}"))?;
        let mut shop = Self {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let mut said = String::new();
        let stdout = shop.child.stdout.take().ok_or("stdout is piped")?;
        BufReader::new(stdout).read_line(&mut said)?;
        let address = said.trim().parse();
        shop.address = address.map_err(|_| format!("the shop said no address, but {said:?}"))?;
        Ok(shop)
    }

    /// CPU time of all its threads so far. `/proc/PID/stat` has it in hundredths of a second only.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let ns = schedstat.split(' ').next().ok_or("schedstat is empty")?;
            sum += ns.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The most memory it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> Result<u64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|p| p.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("there is no VmHWM")?.parse()?)
    }

    /// What the watching itself has counted.
    pub(crate) async fn counts(&self) -> Result<Counts, Error> {
        let mut client = Client::connect(self.address).await?;
        let (_, body) = client.ask(&request("GET", "/stats", None)).await?;
        Ok(serde_json::from_slice(body)?)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // One of its threads loops for ever. Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// See `/stats` of the shop.
#[derive(Deserialize)]
pub(crate) struct Counts {
    in_flight: u64,
    completed: u64,
    ended: u64,
    pub(crate) caught: u64,
    unwatched: u64,
    internal_errors: u64,
    lost_reports: u64,
    /// Samples of threads that did not have a core in time: no trouble, there are others.
    pub(crate) lost_stacks: u64,
    lost_events: u64,
}

impl Counts {
    /// Every innocent was watched to its end and the culprits are still in flight, or something is
    /// wrong.
    pub(crate) fn troubles(&self, requests: u64, stranded: u64) -> Vec<String> {
        const CULPRITS: u64 = 4;
        let innocents = requests - CULPRITS - stranded;
        [
            ("in flight", self.in_flight, CULPRITS + stranded),
            ("completed", self.completed, innocents),
            ("ended", self.ended, innocents),
            ("unwatched", self.unwatched, 0),
            ("errors inside", self.internal_errors, 0),
            ("reports lost", self.lost_reports, 0),
            ("events lost", self.lost_events, 0),
        ]
        .into_iter()
        .filter(|(_, counted, right)| counted != right)
        .map(|(what, counted, right)| format!("{what}: {counted} counted, not {right}"))
        .collect()
    }
}
