//! In which phase of an outbound call a stack is, by the names of what its client is made of. Pure.

use crate::calls::CallPhase;
use redhanded_report::Frame;

/// The phase that the frames above the user's own speak of; `None` if they speak of none.
pub(super) fn of(frames: &[Frame]) -> Option<CallPhase> {
    let above = frames.iter().take_while(|frame| !frame.user);
    let names = above.filter_map(|frame| frame.function.as_deref());
    // Innermost first: a pool that connects is connecting.
    names.map(words).find_map(|words| speaks_of(&words))
}

fn speaks_of(words: &[String]) -> Option<CallPhase> {
    let any = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    if any(&[
        "getaddrinfo",
        "lookuphost",
        "tosocketaddrs",
        "gairesolver",
        "gaifuture",
    ]) || (any(&["resolver"]) && any(&["lookup", "lookupip", "resolve"]))
    {
        return Some(CallPhase::Dns);
    }
    let tls = [
        "tokiorustls",
        "rustls",
        "tokionativetls",
        "nativetls",
        "tokioopenssl",
        "openssl",
    ];
    if any(&tls) && any(&["handshake", "midhandshake", "connect", "completeio"]) {
        return Some(CallPhase::Tls);
    }
    if any(&["tcpstream", "tcpsocket", "unixstream"])
        && any(&["connect", "connectmio", "connectaddr"])
    {
        return Some(CallPhase::Connect);
    }
    let pools = ["pool", "bb8", "deadpool", "mobc", "r2d2", "checkout"];
    let takes = [
        "acquire",
        "get",
        "timeoutget",
        "waitforinitialization",
        "gettimeout",
        "checkout",
        "poll",
    ];
    if any(&pools) && any(&takes) {
        return Some(CallPhase::Pool);
    }
    let reads_the_rest = (any(&["incoming"]) && any(&["hyper"]))
        || (any(&["reqwest"]) && any(&["chunk", "bytes", "text", "json", "decoder"]));
    reads_the_rest.then_some(CallPhase::ReadBody)
}

/// The words of a path, in lower case and without underscores.
fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    parts
        .filter(|part| !part.is_empty())
        .map(|part| part.replace('_', "").to_lowercase())
        .collect()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn phase(names: &[&str]) -> Option<CallPhase> {
        let frame = |name: &&str| {
            let mut frame = Frame::default();
            frame.user = name.starts_with("app::");
            frame.function = Some((*name).to_owned());
            frame
        };
        let frames: Vec<Frame> = names.iter().map(frame).collect();
        of(&frames)
    }

    #[test]
    fn what_clients_are_made_of() {
        let semaphore = "<tokio::sync::batch_semaphore::Acquire as Future>::poll";
        for (names, expected) in [
            (
                ["sqlx_core::pool::inner::PoolInner<DB>::acquire", "app::f"],
                CallPhase::Pool,
            ),
            (
                ["deadpool::managed::Pool<M>::timeout_get", "app::f"],
                CallPhase::Pool,
            ),
            (["bb8::api::Pool<M>::get", "app::f"], CallPhase::Pool),
            (["r2d2::Pool<M>::get_timeout", "app::f"], CallPhase::Pool),
            (
                ["r2d2::Pool<M>::wait_for_initialization", "app::f"],
                CallPhase::Pool,
            ),
            (
                ["tokio::net::addr::to_socket_addrs", "app::f"],
                CallPhase::Dns,
            ),
            (
                ["tokio::net::lookup_host::lookup_host<T>", "app::f"],
                CallPhase::Dns,
            ),
            (
                ["tokio::net::tcp::stream::TcpStream::connect_mio", "app::f"],
                CallPhase::Connect,
            ),
            (
                [
                    "<tokio_rustls::common::handshake::MidHandshake<IS> as Future>::poll",
                    "app::f",
                ],
                CallPhase::Tls,
            ),
            (
                ["hyper::body::incoming::Incoming::poll_frame", "app::f"],
                CallPhase::ReadBody,
            ),
        ] {
            assert_eq!(
                phase(&[semaphore, names[0], names[1]]),
                Some(expected),
                "{names:?}"
            );
        }
    }

    #[test]
    fn a_pool_that_connects_is_connecting_and_what_the_user_calls_a_pool_is_none() {
        let connects = [
            "tokio::net::tcp::stream::TcpStream::connect_mio",
            "sqlx_core::pool::inner::PoolInner<DB>::acquire",
            "app::f",
        ];
        assert_eq!(phase(&connects), Some(CallPhase::Connect));
        let own = ["tokio::sync::Notify::notified", "app::pool::get"];
        assert_eq!(phase(&own), None);
    }
}
