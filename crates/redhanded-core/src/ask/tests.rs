use super::request;
use crate::facts::Facts;
use crate::redact::Redactor;
use crate::redact::printable::{LONGEST_VALUE, is_unsafe};
use proptest::prelude::*;
use redhanded_report::Request;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn facts(method: &str, target: &str) -> Facts {
    Facts {
        method: method.into(),
        target: target.into(),
        target_bytes: target.len() as u32,
        host: Some(b"api.example".to_vec()),
        https: true,
        ..Facts::default()
    }
}

fn asked(facts: &Facts) -> Request {
    request(facts, &Redactor::default())
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_whole_request() {
    let request = asked(&Facts {
        route: Some("/users/{id}/files/{*rest}".into()),
        headers: vec![
            ("user-agent".into(), b"curl/8.9 it's".to_vec()),
            ("content-type".into(), b"application/json".to_vec()),
            ("content-length".into(), b" 512 ".to_vec()),
            ("referer".into(), b"https://u:p@h/?token=abc".to_vec()),
        ],
        client: Some(SocketAddr::from(([192, 0, 2, 1], 50_000))),
        request_id: Some(b"req-1".to_vec()),
        started: Some(UNIX_EPOCH + Duration::from_micros(1_782_871_384_000_005)),
        ..facts("POST", "/users/7/files/a%20b/c?q=x+y&q=z&api_key=abc")
    });
    assert_eq!(request.method, "POST");
    assert_eq!(request.route.as_deref(), Some("/users/{id}/files/{*rest}"));
    assert_eq!(
        request.url,
        "https://api.example/users/7/files/a%20b/c?q=x+y&q=z&api_key=REDACTED"
    );
    assert_eq!(request.path, "/users/7/files/a%20b/c");
    assert_eq!(request.query.as_deref(), Some("q=x+y&q=z&api_key=REDACTED"));
    assert_eq!(request.params.path, map(&[("id", "7"), ("rest", "a b/c")]));
    assert_eq!(
        request.params.query,
        map(&[("api_key", "REDACTED"), ("q", "x y, z")])
    );
    assert_eq!(
        request.headers["referer"],
        "https://REDACTED:REDACTED@h/?token=REDACTED"
    );
    assert_eq!(request.client.as_deref(), Some("192.0.2.1:50000"));
    assert_eq!(request.request_id.as_deref(), Some("req-1"));
    assert_eq!(request.body_bytes, Some(512));
    assert_eq!(
        request.started.as_deref(),
        Some("2026-07-01T02:03:04.000005Z")
    );
    assert_eq!(
        request.reproduce.as_deref(),
        Some(
            r"curl -X POST -H 'content-type: application/json' -H 'user-agent: curl/8.9 it'\''s' 'https://api.example/users/7/files/a%20b/c?q=x+y&q=z&api_key=REDACTED' # body of 512 bytes was not kept"
        )
    );
}

#[test]
fn the_curl_line_of_other_methods_and_targets() {
    let cases = [
        ("GET", "/a", "curl https://api.example/a"),
        ("A;B", "/a", r"curl -X 'A;B' https://api.example/a"),
        ("HEAD", "/a", "curl -I https://api.example/a"),
        (
            "PURGE",
            "/a?b=1",
            "curl -X PURGE 'https://api.example/a?b=1'",
        ),
        (
            "OPTIONS",
            "*",
            "curl -X OPTIONS --request-target '*' https://api.example",
        ),
        ("GET", "/a[1]", "curl --globoff 'https://api.example/a[1]'"),
        (
            "GET",
            "/a/../b",
            "curl --path-as-is https://api.example/a/../b",
        ),
        ("GET", "http://other/a", "curl http://other/a"),
        (
            "G'; rm -rf /",
            "/'$(x)`",
            r"curl -X 'G'\''; rm -rf /' 'https://api.example/'\''$(x)%60'",
        ),
    ];
    for (method, target, line) in cases {
        assert_eq!(
            asked(&facts(method, target)).reproduce.as_deref(),
            Some(line),
            "{method} {target}"
        );
    }
    assert_eq!(asked(&facts("CONNECT", "h:443")).reproduce, None);
    assert_eq!(asked(&facts("GET", "no-url")).reproduce, None);
    let without_host = Facts {
        host: None,
        ..facts("GET", "/a")
    };
    assert_eq!(asked(&without_host).url, "/a");
    assert_eq!(
        asked(&without_host).reproduce.as_deref(),
        Some("curl http://localhost/a # host not known")
    );
}

#[test]
fn what_was_cut_says_so() {
    let in_query = Facts {
        target_bytes: 100,
        route: Some("/{id}".into()),
        ..facts("GET", "/a?b=1&c=abc")
    };
    let request = asked(&in_query);
    assert_eq!(request.url, "https://api.example/a?b=1&c=abc…(+88 bytes)");
    assert_eq!(request.path, "/a");
    assert_eq!(request.query.as_deref(), Some("b=1&c=abc…(+88 bytes)"));
    assert_eq!(request.params.path, map(&[("id", "a")]));
    assert_eq!(
        request.params.query,
        map(&[("b", "1"), ("c", "abc…(+88 bytes)")])
    );
    assert!(
        request
            .reproduce
            .unwrap()
            .ends_with("c=abc' # 88 bytes of the target were not kept")
    );

    let in_path = Facts {
        target_bytes: 10,
        route: Some("/x/{id}/y".into()),
        ..facts("GET", "/x/abc")
    };
    let request = asked(&in_path);
    assert_eq!(request.path, "/x/abc…(+4 bytes)");
    assert_eq!(request.params.path, map(&[("id", "abc…(+4 bytes)")]));

    let in_headers = Facts {
        headers: vec![
            ("user-agent".into(), b"x".to_vec()),
            ("content-length".into(), b"12".to_vec()),
        ],
        headers_cut: 7,
        ..facts("GET", "/")
    };
    let request = asked(&in_headers);
    assert_eq!(
        request.headers,
        map(&[("user-agent", "x"), ("content-length", "12…(+7 bytes)")])
    );
    assert_eq!(request.body_bytes, None, "12 may be the front of 1234");

    let mut none_after = in_headers;
    none_after.headers.push(("referer".into(), Vec::new()));
    assert_eq!(
        asked(&none_after),
        request,
        "what did not fit at all is not there"
    );
}

#[test]
fn long_values_are_cut() {
    let long = "x".repeat(2000);
    let request = asked(&facts("GET", &format!("/a?b={long}")));
    assert_eq!(
        request.params.query["b"].len(),
        LONGEST_VALUE + "…(+976 bytes)".len()
    );
    assert!(request.url.ends_with(" bytes)"));
    assert_eq!(request.url.matches('…').count(), 1);
    let header = Facts {
        headers: vec![("user-agent".into(), "x".repeat(2000).into())],
        headers_cut: 24,
        ..facts("GET", "/")
    };
    assert!(asked(&header).headers["user-agent"].ends_with("x…(+1000 bytes)"));
    assert!(request.reproduce.unwrap().len() < 2 * LONGEST_VALUE);
}

#[test]
fn secrets_in_path_and_referer_of_one_route() {
    let request = asked(&Facts {
        route: Some("/reset/{token}".into()),
        headers: vec![(
            "referer".into(),
            b"https://api.example/reset/abc123".to_vec(),
        )],
        ..facts("POST", "/reset/abc123")
    });
    assert!(!format!("{request:?}").contains("abc123"), "{request:?}");
    assert_eq!(request.params.path, map(&[("token", "REDACTED")]));
}

#[test]
fn clocks_that_no_date_can_tell() {
    for started in [
        UNIX_EPOCH - Duration::from_secs(1),
        UNIX_EPOCH + Duration::from_secs(253_402_300_800),
    ] {
        assert_eq!(
            asked(&Facts {
                started: Some(started),
                ..Facts::default()
            })
            .started,
            None
        );
    }
}

#[test]
fn body_sizes_that_are_none() {
    for value in ["", "-1", "+1", "1e3", "12, 12", "99999999999999999999999"] {
        let headers = vec![("content-length".to_owned(), value.as_bytes().to_vec())];
        assert_eq!(
            asked(&Facts {
                headers,
                ..facts("PUT", "/")
            })
            .body_bytes,
            None,
            "{value:?}"
        );
    }
}

/// Bytes with a liking for what means something in a URL, a shell or on a terminal.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(
        b"/?&=%#'\"\\$`;|:@{}[]()~! \n\r\t\x1b\x07\x7f\x00-*.e0aZ\xff\xc2\x85\xe2\x80\xae".to_vec(),
    );
    prop::collection::vec(prop_oneof![nasty, any::<u8>()], 0..most)
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let route = prop::option::of("(/|\\{a\\}|\\{\\*token\\}|\\{|\\}|x|:|\u{202e}|\n){0,8}");
    let name = prop::sample::select(vec![
        "user-agent",
        "content-type",
        "content-length",
        "referer",
        "x-token",
        "accept",
        "\u{1b}",
    ]);
    let headers = prop::collection::vec((name.prop_map(str::to_owned), bytes(40)), 0..5);
    let first = (
        bytes(8),
        bytes(200),
        0..400_u32,
        prop::option::of(bytes(30)),
        any::<bool>(),
    );
    let second = (
        route,
        headers,
        0..3_u32,
        prop::option::of(bytes(30)),
        prop::option::of(any::<SystemTime>()),
    );
    (first, second).prop_map(
        |(
            (method, target, target_bytes, host, https),
            (route, headers, headers_cut, request_id, started),
        )| {
            Facts {
                method,
                target,
                target_bytes,
                host,
                https,
                route,
                headers,
                headers_cut,
                client: None,
                request_id,
                job: Vec::new(),
                labels: Vec::new(),
                started,
            }
        },
    )
}

fn texts(request: &Request) -> Vec<String> {
    let one = [
        Some(&request.method),
        request.route.as_ref(),
        Some(&request.url),
        Some(&request.path),
        request.query.as_ref(),
    ];
    let two = [
        request.client.as_ref(),
        request.request_id.as_ref(),
        request.started.as_ref(),
        request.reproduce.as_ref(),
    ];
    let maps = [
        &request.params.path,
        &request.params.query,
        &request.headers,
    ];
    let maps = maps
        .into_iter()
        .flatten()
        .flat_map(|(key, value)| [key, value]);
    one.into_iter()
        .chain(two)
        .flatten()
        .chain(maps)
        .cloned()
        .collect()
}

/// The words that a POSIX shell makes of `line`; none if it would do anything else with it.
fn shell_words(line: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut chars = line.chars().peekable();
    let mut word: Option<String> = None;
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        quoted => word.push(quoted),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            ' ' => words.extend(word.take()),
            '#' if word.is_none() => return Some(words),
            plain if plain.is_ascii_alphanumeric() || "-_./:".contains(plain) => {
                word.get_or_insert_default().push(plain)
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_facts_give_a_printable_bounded_request(facts in any_facts()) {
        let request = asked(&facts);
        for text in texts(&request) {
            prop_assert!(!text.contains(is_unsafe), "{:?}", text);
            prop_assert!(text.len() <= 4 * LONGEST_VALUE);
        }
    }

    #[test]
    fn the_curl_line_is_the_same_words_for_a_shell(facts in any_facts()) {
        let request = asked(&facts);
        if let Some(line) = &request.reproduce {
            let words = shell_words(line);
            prop_assert!(words.is_some(), "{}", line);
            let words = words.unwrap_or_default();
            prop_assert_eq!(&words[0], "curl");
            let urls = words.iter().filter(|word| word.starts_with("http")).count();
            prop_assert!(urls >= 1, "{}", line);
        }
    }

    #[test]
    fn no_secret_is_in_a_request(
        facts in any_facts(),
        key in prop::sample::select(vec!["password", "pass%77ord", "API-Key", "sig", "%74oken", "X-Amz-Signature"]),
        secret in "Zq[0-9]{6,12}qZ",
        place in 0..6,
    ) {
        let mut facts = facts;
        let pair = format!("{key}={secret}");
        match place {
            0 => facts.target.extend(format!("?&{pair}").bytes()),
            1 => {
                facts.route = Some("/reset/{token}/x".into());
                facts.target = format!("/reset/{secret}/x?next=%2Freset%3F{}", pair.replace('%', "%25").replace('=', "%3D")).into();
            }
            2 => facts.headers.push(("referer".into(), format!("https://h/?{pair}#x").into())),
            3 => facts.headers.push(("x-token".into(), secret.clone().into())),
            4 => facts.host = Some(format!("bob:{secret}@h").into()),
            _ => facts.target = format!("/?db=postgres://bob:{secret}@h/d").into(),
        }
        facts.target_bytes = facts.target.len() as u32;
        let request = asked(&facts);
        for text in texts(&request) {
            prop_assert!(!text.contains(&secret), "{:?}", text);
        }
    }
}
