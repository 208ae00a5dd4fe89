//! Which requests there are.

use crate::batch::Chance;
use crate::frames::Frames;
use crate::gate::Gate;
use http::{Method, Request};
use std::time::Duration;

/// What a client sends with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// Nothing.
    Nothing,
    /// A body of known length.
    Exact,
    /// A body in several frames, whose length nobody knows.
    Chunked,
    /// The same, slowly.
    Slow,
    /// Two frames, and then it hangs.
    Half,
}

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As it stands in the table.
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// The status of the answer; zero where the client may hear nothing.
    pub status: u16,
    /// What the client sends.
    pub sends: Sends,
    /// Its connection serves nothing else.
    pub alone: bool,
    /// The least size of a frame of the answer.
    pub least: u64,
}

impl Kind {
    const fn get(name: &'static str, path: &'static str) -> Self {
        Self {
            name,
            method: "GET",
            path,
            status: 200,
            sends: Sends::Nothing,
            alone: false,
            least: 0,
        }
    }

    const fn with(self, status: u16) -> Self {
        Self { status, ..self }
    }

    const fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    const fn post(self, sends: Sends) -> Self {
        Self {
            method: "POST",
            sends,
            ..self
        }
    }

    const fn alone(self) -> Self {
        Self {
            alone: true,
            ..self
        }
    }

    const fn least(self, least: u64) -> Self {
        Self { least, ..self }
    }

    /// A request of this kind, as chance will have it.
    pub fn request(&self, chance: &mut Chance) -> Request<Frames> {
        let bytes = chance.among(self.least..self.least + 4000);
        let frames = chance.among(1..6);
        // Most are quick, some wait
        let now_and_then = |chance: &mut Chance, us| {
            if chance.one_in(5) {
                chance.among(0..us)
            } else {
                0
            }
        };
        let delay_us = now_and_then(chance, 2000);
        let pause_us = now_and_then(chance, 1000);
        let target = format!(
            "{}?bytes={bytes}&frames={frames}&delay_us={delay_us}&pause_us={pause_us}",
            self.path
        );
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("te", "trailers");
        request.body(self.body(chance)).expect("a request")
    }

    fn body(&self, chance: &mut Chance) -> Frames {
        let bytes = chance.among(1..5000) as usize;
        let frames = chance.among(1..6);
        let pause = Duration::from_micros(chance.among(0..500));
        match self.sends {
            Sends::Nothing => Frames::empty(),
            Sends::Exact => Frames::whole(bytes),
            Sends::Chunked => Frames::unknown().in_frames(frames, bytes, Duration::ZERO),
            Sends::Slow => Frames::unknown().in_frames(2 * frames, 10 * bytes, pause),
            Sends::Half => Frames::unknown()
                .in_frames(2, bytes, Duration::ZERO)
                .and_hangs(&Gate::default()),
        }
    }
}

/// The cheapest, of which there may be many.
pub const LIGHT: Kind = Kind::get("plain GET", "/plain");

/// Those that come to a good end on any server.
pub const WHOLE: [Kind; 24] = [
    LIGHT,
    Kind::get("body of unknown length", "/unknown"),
    Kind::get("stream that tells its end", "/told"),
    Kind::get("sized body in frames", "/frames"),
    Kind::get("trailers", "/trailers"),
    Kind::get("sized body and trailers", "/sized_trailers"),
    Kind::get("stream under a content-length", "/declared"),
    Kind::get("body that is over at once", "/over"),
    Kind::get("HEAD of a body", "/plain").by("HEAD"),
    Kind::get("HEAD of a stream", "/unknown").by("HEAD"),
    Kind::get("HEAD of a declared stream", "/declared").by("HEAD"),
    Kind::get("204", "/none").with(204),
    Kind::get("304 with a length and a body", "/unmodified").with(304),
    Kind::get("error with a body", "/broken").with(500),
    Kind::get("redirect", "/moved").with(302),
    Kind::get("not found", "/nowhere").with(404),
    Kind::get("POST of an exact body", "/echo").post(Sends::Exact),
    Kind::get("POST of a chunked body", "/echo").post(Sends::Chunked),
    Kind::get("slow upload, slowly read", "/sink").post(Sends::Slow),
    Kind::get("upload that nobody reads", "/unread")
        .post(Sends::Chunked)
        .alone(),
    Kind::get("long poll", "/poll"),
    Kind::get("DELETE", "/plain").by("DELETE"),
    Kind::get("OPTIONS", "/plain").by("OPTIONS"),
    Kind::get("a method of one's own", "/plain").by("PURGE"),
];

/// Those that panic in a handler or in a body, on any server.
pub const PANICS: [Kind; 4] = [
    Kind::get("panic in the handler", "/panic"),
    Kind::get("panic in the handler, later", "/panic_late"),
    Kind::get("panic in a stream", "/panic_body"),
    Kind::get("panic in a sized body", "/panic_sized"),
];

/// Those that hang until their client goes.
pub const CLIENT_GOES: [Kind; 4] = [
    Kind::get("in the handler", "/hang"),
    Kind::get("in a stream", "/hang_body"),
    Kind::get("in a sized body", "/hang_sized"),
    Kind::get("in a body nobody reads", "/flood"),
];

/// Hangs in its upload, and does not answer when it hears that the client has gone. By HTTP/1.1,
/// hyper then keeps the handler, which might still answer.
pub const UPLOAD: Kind = Kind::get("in the upload", "/hang_upload").post(Sends::Half);

/// The same with a handler that does answer. Nobody is there to take it, but nothing of it is left.
pub const UPLOAD_ANSWERED: Kind =
    Kind::get("in the upload, answered", "/give_up_upload").post(Sends::Half);

/// Those whose body breaks on our side, on any server.
pub const DROPPED: [Kind; 1] = [Kind::get("body that fails", "/breaks")];

/// Below `/late` a time-out outside of us drops what hangs.
pub const LATE: Kind = Kind::get("time-out outside of us", "/late/hang").with(504);

/// Below `/limited` a body is dropped after a thousand bytes.
pub const LIMITED: Kind = Kind::get("body limit outside of us", "/limited/unknown").least(1001);

/// Server-sent events that come to an end.
pub const EVENTS: Kind = Kind::get("event stream", "/events");

/// Server-sent events, and then rest.
pub const EVENTS_REST: Kind = Kind::get("event stream at rest", "/rest");

/// An upgrade that is refused.
pub const REFUSED: Kind = Kind::get("upgrade refused", "/socket").with(400);

/// A service that gives an error instead of an answer.
pub const FAILS: Kind = Kind::get("service that fails", "/fails").with(0);

/// A service that panics before there is a future.
pub const PANIC_CALL: Kind = Kind::get("panic in call", "/panic_call");

/// A CONNECT that is accepted; its path is given to it by the client.
pub const CONNECT: Kind = Kind::get("CONNECT", "/connected").by("CONNECT").alone();
