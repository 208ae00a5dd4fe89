//! Small requests, and ones that never end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use ureq::Agent;

/// No answer within this is as good as none.
const PATIENCE: Duration = Duration::from_secs(5);

fn agent() -> Agent {
    // Everything is on this machine: no proxy.
    let config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .proxy(None);
    config.http_status_as_error(false).build().into()
}

/// Status and body, if there is an answer.
pub(crate) fn get(url: &str) -> Option<(u16, String)> {
    get_accepting("*/*", url)
}

/// The same in the format that `accept` asks for.
pub(crate) fn get_accepting(accept: &str, url: &str) -> Option<(u16, String)> {
    let mut response = agent().get(url).header("accept", accept).call().ok()?;
    let status = response.status().as_u16();
    Some((status, response.body_mut().read_to_string().ok()?))
}

/// The status of the answer to some JSON.
pub(crate) fn post(url: &str, json: &str) -> Option<u16> {
    let request = agent().post(url).header("content-type", "application/json");
    Some(request.send(json).ok()?.status().as_u16())
}

/// The caller's side of a trace.
pub(crate) struct Caller {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    number: u8,
}

impl Caller {
    /// The `number`th of ours.
    pub(crate) fn new(number: u8) -> Self {
        Self {
            trace_id: format!("4bf92f3577b34da6a3ce929d0e0e47{number:02x}"),
            span_id: format!("00f067aa0ba902{number:02x}"),
            number,
        }
    }

    pub(crate) fn number(&self) -> u8 {
        self.number
    }
}

/// A request whose answer does not come, as a client sees it.
pub(crate) struct Open {
    stream: TcpStream,
    pub(crate) url: String,
}

impl Open {
    /// Sends `GET target` as one of `caller`'s calls.
    pub(crate) fn send(address: &str, target: &str, caller: &Caller) -> Self {
        let mut stream = TcpStream::connect(address).expect("the toy listens");
        let Caller {
            trace_id, span_id, ..
        } = caller;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: e2e\r\ntraceparent: 00-{trace_id}-{span_id}-01\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the toy reads");
        stream.set_nonblocking(true).expect("it is a socket");
        Self {
            stream,
            url: format!("http://{address}{target}"),
        }
    }

    /// What has come so far; nothing while the request hangs.
    pub(crate) fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        match self.stream.read_to_end(&mut answer) {
            Ok(_) => answer.extend(b"(closed)"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock, "{}: {e}", self.url),
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// # Panics
    ///
    /// When there is an answer.
    #[track_caller]
    pub(crate) fn still_hangs(&mut self) {
        assert_eq!(self.answer(), "", "{} was to hang", self.url);
    }
}
