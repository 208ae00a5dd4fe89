//! Whether a server answers, in its own protocol.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// As long as one question may take; a server that starts may accept and not answer yet.
const ANSWER: Duration = Duration::from_secs(2);

/// Whether it answers `question` with something that begins so.
pub(crate) fn answers(port: u16, question: &[u8], beginning: &[u8]) -> bool {
    ask(port, question, beginning.len()).is_ok_and(|answer| answer == beginning)
}

fn ask(port: u16, question: &[u8], bytes: usize) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(question)?;
    let mut answer = vec![0; bytes];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
