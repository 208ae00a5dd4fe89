//! What the bytes of a connection say about heads of requests: whether one has begun and not ended.
//!
//! Looks at as little as it can: at the first bytes of a head and for its end, never at bodies.
//! What it cannot tell it leaves alone; to be silent about a slow head is better than to see one
//! where there is none.

/// The first bytes of a head that are kept: they tell HTTP/2 and tunnels.
const FIRST: usize = 8;
/// How HTTP/2 begins where the client knows that the server speaks it.
const HTTP2: [u8; FIRST] = *b"PRI * HT";
const CONNECT: [u8; FIRST] = *b"CONNECT ";
/// How a head begins that is told from the rest of a body.
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
];
/// The content type of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 22;

/// What is awaited of a client that has begun to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The rest of a request's head.
    Head,
    /// The rest of a TLS handshake.
    Handshake,
}

/// Where in its life a connection is, seen from its bytes.
#[derive(Debug)]
pub(super) struct Heads {
    state: State,
    /// Bytes since the head, or the handshake, began.
    received: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing has come yet: whatever comes first is the beginning of a head or of a handshake.
    Fresh,
    Head(Head),
    /// A whole head has come and nothing has been answered: what comes now is its body.
    Request,
    /// Something was answered: the next head may come, or more of a body.
    Answered,
    Handshake(Records),
    /// Encrypted, HTTP/2, a tunnel or a websocket: heads cannot be seen.
    Silent,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self {
            state: State::Fresh,
            received: 0,
        }
    }

    /// Number of bytes since what is awaited began.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn awaited(&self) -> Option<Awaited> {
        match &self.state {
            State::Head(_) => Some(Awaited::Head),
            State::Handshake(_) => Some(Awaited::Handshake),
            State::Fresh | State::Request | State::Answered | State::Silent => None,
        }
    }

    /// These bytes were read. `has_request` is asked where they may be the body of a request that is
    /// still in flight.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], has_request: impl FnOnce() -> bool) {
        match &mut self.state {
            State::Request | State::Silent => {}
            State::Head(head) => {
                self.received += bytes.len() as u64;
                if let Some(next) = head.read(bytes) {
                    self.state = next;
                }
            }
            State::Handshake(records) => {
                self.received += bytes.len() as u64;
                if records.read(bytes) {
                    self.state = State::Silent;
                }
            }
            State::Fresh => self.begin(bytes),
            State::Answered => {
                if begins_with_a_method(bytes) && !has_request() {
                    self.begin(bytes);
                }
            }
        }
    }

    fn begin(&mut self, bytes: &[u8]) {
        self.received = bytes.len() as u64;
        let bytes = without_empty_lines(bytes);
        let Some(first) = bytes.first() else {
            return; // empty lines before a head are nothing
        };
        self.state = if *first == TLS_HANDSHAKE {
            let mut records = Records::default();
            if records.read(bytes) {
                State::Silent
            } else {
                State::Handshake(records)
            }
        } else {
            let mut head = Head::default();
            let next = head.read(bytes);
            next.unwrap_or(State::Head(head))
        };
    }

    /// These bytes, or more, were written.
    #[inline]
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        match self.state {
            State::Request => {
                self.state = match bytes.strip_prefix(b"HTTP/1.") {
                    Some([_, b' ', b'1', b'0', b'1', ..]) => State::Silent,
                    Some([_, b' ', b'1', ..]) => State::Request,
                    _ => State::Answered,
                };
            }
            // Nobody waits for the rest of a head that has been answered.
            State::Head(_) => self.state = State::Answered,
            State::Fresh | State::Answered | State::Handshake(_) | State::Silent => {}
        }
    }
}

/// From the first byte on that does not belong to an empty line.
fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let begin = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'));
    begin.and_then(|at| bytes.get(at..)).unwrap_or_default()
}

/// A server may read on in a body after it has answered.
fn begins_with_a_method(bytes: &[u8]) -> bool {
    let bytes = without_empty_lines(bytes);
    let fits = |method: &&[u8]| bytes.starts_with(method) || method.starts_with(bytes);
    !bytes.is_empty() && METHODS.iter().any(fits)
}

/// Looks for the empty line.
#[derive(Debug, Default)]
struct Head {
    first: [u8; FIRST],
    kept: usize,
    /// Bytes in this line so far, without its end.
    in_line: bool,
}

impl Head {
    /// What follows when the head is whole.
    fn read(&mut self, bytes: &[u8]) -> Option<State> {
        for (byte, place) in bytes.iter().zip(self.first.iter_mut().skip(self.kept)) {
            *place = *byte;
            self.kept += 1;
        }
        // Most heads come in one piece, with nothing behind them.
        let whole = bytes.ends_with(b"\r\n\r\n") || bytes.iter().any(|b| self.ends_with(*b));
        whole.then_some(match self.first {
            HTTP2 | CONNECT => State::Silent,
            _ => State::Request,
        })
    }

    /// One more byte; whether it ends an empty line.
    fn ends_with(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' if !self.in_line => return true,
            b'\n' => self.in_line = false,
            b'\r' => {}
            _ => self.in_line = true,
        }
        false
    }
}

/// Goes from one TLS record to the next, until the client's part of the handshake is over.
#[derive(Debug, Default)]
struct Records {
    header: [u8; 5],
    kept: usize,
    /// Bytes of the record that are still to come.
    left: usize,
}

impl Records {
    /// Whether a record was seen that belongs no longer to the handshake's beginning: the client has
    /// answered the server, or this is no TLS.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else {
                return false;
            };
            if let Some(place) = self.header.get_mut(self.kept) {
                *place = *byte;
            }
            (self.kept, bytes) = (self.kept + 1, rest);
            let [kind, _, _, high, low] = self.header;
            if kind != TLS_HANDSHAKE {
                return true;
            }
            if self.kept == self.header.len() {
                (self.kept, self.left) = (0, usize::from(u16::from_be_bytes([high, low])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    fn never() -> bool {
        panic!("not to be asked")
    }

    /// After each byte alone, and at once.
    fn after(bytes: &[u8]) -> Option<Awaited> {
        let (mut one, mut all) = (Heads::new(), Heads::new());
        bytes.iter().for_each(|b| one.read(&[*b], never));
        all.read(bytes, never);
        assert_eq!(one.awaited(), all.awaited(), "{:?}", bytes.escape_ascii());
        all.awaited()
    }

    #[test]
    fn a_head_is_awaited_until_its_empty_line() {
        assert_eq!(after(b""), None, "an idle connection");
        for n in 1..GET.len() {
            assert_eq!(after(&GET[..n]), Some(Awaited::Head), "{n}");
        }
        assert_eq!(after(GET), None);
        assert_eq!(after(b"\r\n\r\n"), None, "empty lines before a head");
        assert_eq!(after(b"\r\n\r\nG"), Some(Awaited::Head));
        assert_eq!(
            after(b"GET / HTTP/1.1\n\n"),
            None,
            "lines may end without CR"
        );
        assert_eq!(
            after(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf"),
            None
        );
        assert_eq!(after(b"\0\x01garbage"), Some(Awaited::Head));
    }

    #[test]
    fn bytes_are_counted_from_the_beginning_of_a_head() {
        let mut heads = Heads::new();
        heads.read(b"GET", never);
        heads.read(b" /", never);
        assert_eq!(heads.received(), 5);
        heads.read(b" HTTP/1.1\r\n\r\n", never);
        heads.wrote(b"HTTP/1.1 200 OK\r\n\r\n");
        heads.read(b"PO", || false);
        assert_eq!(
            (heads.received(), heads.awaited()),
            (2, Some(Awaited::Head))
        );
    }

    #[test]
    fn bodies_are_no_heads() {
        let mut heads = Heads::new();
        heads.read(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n", never);
        heads.read(b"UPPER", never);
        assert_eq!(heads.awaited(), None, "nothing was answered yet");
        heads.wrote(b"HTTP/1.1 100 Continue\r\n\r\n");
        heads.read(b"CASE", never);
        assert_eq!(heads.awaited(), None, "a body was asked for");
        heads.wrote(b"HTTP/1.1 200 OK\r\n\r\n");
        heads.read(b"lower case is no method", never);
        heads.read(b"UPPER CASE IS NONE", never);
        heads.read(b"GET / HTTP/1.1", || true);
        assert_eq!(heads.awaited(), None, "its request is in flight");
        heads.read(b"\r\nG", || false);
        assert_eq!(heads.awaited(), Some(Awaited::Head));
        heads.wrote(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
        assert_eq!(heads.awaited(), None, "it was answered");
    }

    #[test]
    fn other_protocols_are_left_alone() {
        let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        assert_eq!(after(&http2[..7]), Some(Awaited::Head));
        assert_eq!(after(http2), None);
        let silent = |first: &[u8], answer: &[u8]| {
            let mut heads = Heads::new();
            heads.read(first, never);
            heads.wrote(answer);
            heads.read(b"GET", || false);
            heads.awaited()
        };
        assert_eq!(silent(http2, b"\0\0\0\x04\0\0\0\0\0"), None);
        assert_eq!(
            silent(GET, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            None
        );
        assert_eq!(
            silent(b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
            None
        );
        assert_eq!(silent(GET, b"HTTP/1.1 200 OK\r\n\r\n"), Some(Awaited::Head));
    }

    #[test]
    fn a_handshake_is_awaited_until_the_client_has_answered() {
        let hello = [&[22, 3, 1, 1, 4][..], &[7; 260]].concat();
        for n in [1, 3, 5, 6, 200, hello.len()] {
            assert_eq!(after(&hello[..n]), Some(Awaited::Handshake), "{n}");
        }
        let again = [&hello[..], &hello[..]].concat();
        assert_eq!(after(&again), Some(Awaited::Handshake));
        for next in [20, 21, 23] {
            let over = [&hello[..], &[next]].concat();
            assert_eq!(after(&over), None, "{next}");
        }
        assert_eq!(after(b"\x16garbage"), Some(Awaited::Handshake));
    }
}
