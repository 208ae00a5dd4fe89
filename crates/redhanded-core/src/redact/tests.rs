use super::Redactor;
use super::printable::is_unsafe;
use proptest::prelude::*;

fn redactor() -> Redactor {
    Redactor::default()
}

#[track_caller]
fn text(given: &str, expected: &str) {
    assert_eq!(redactor().text(given), expected, "for {given:?}");
}

#[test]
fn queries_keep_keys_and_lose_secrets() {
    let cases: [(&[u8], &str); 16] = [
        (b"", ""),
        (b"q=rust&page=2", "q=rust&page=2"),
        (b"token=abc&q=1", "token=REDACTED&q=1"),
        (b"pass%77ord=x", "pass%77ord=REDACTED"),
        (b"PASS+WORD=x", "PASS+WORD=REDACTED"),
        (b"user%5Bpassword%5D=x", "user%5Bpassword%5D=REDACTED"),
        (b"password=a=b=c", "password=REDACTED"),
        (b"password=&password", "password=&password"),
        (b"&&a=1&", "&&a=1&"),
        (b"author=x&design=y", "author=x&design=y"),
        (b"q=caf\xc3\xa9&b=\xff\x00", "q=caf\u{e9}&b=%FF%00"),
        // An address inside a parameter has parameters of its own.
        (
            b"next=https%3A%2F%2Fh%2Fcb%3Ftoken%3Dabc%26a%3D1",
            "next=https%3A%2F%2Fh%2Fcb%3Ftoken%3DREDACTED%26a%3D1",
        ),
        (
            b"next=%2Fa%3Fb%3D%252Fc%253Fsig%253Dabc",
            "next=%2Fa%3Fb%3D%252Fc%253Fsig%253DREDACTED",
        ),
        (
            b"db=postgres://u:p@h/d",
            "db=postgres%3A%2F%2FREDACTED%3AREDACTED%40h%2Fd",
        ),
        (
            b"{\"password\":\"x\"}",
            "%7B%22password%22%3A%22REDACTED%22%7D",
        ),
        (
            b"id=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "id=REDACTED",
        ),
    ];
    for (raw, expected) in cases {
        assert_eq!(
            redactor().query(raw),
            expected,
            "for {}",
            String::from_utf8_lossy(raw)
        );
    }
}

#[test]
fn signed_urls_of_the_big_clouds() {
    let aws = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F2026&X-Amz-Date=20260701T000000Z\
               &X-Amz-Security-Token=xyz&X-Amz-SignedHeaders=host&X-Amz-Signature=abc";
    assert_eq!(
        redactor().query(aws.as_bytes()),
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=REDACTED&X-Amz-Date=20260701T000000Z\
         &X-Amz-Security-Token=REDACTED&X-Amz-SignedHeaders=host&X-Amz-Signature=REDACTED"
    );
    assert_eq!(
        redactor().query(b"AWSAccessKeyId=A&Signature=B"),
        "AWSAccessKeyId=REDACTED&Signature=REDACTED"
    );
    assert_eq!(
        redactor().query(b"sv=2020&sig=abc%3D"),
        "sv=2020&sig=REDACTED"
    );
    assert_eq!(
        redactor().query(b"X-Goog-Signature=abc"),
        "X-Goog-Signature=REDACTED"
    );
}

#[test]
fn decoded_parameters() {
    let params = redactor()
        .query_params(b"q=a+b%2Bc&q=%0A&pass%77ord=x&flag&next=%2F%3Ftoken%3Dabc&bad=%FF");
    let expected = [
        ("q", "a b+c"),
        ("q", "%0A"),
        ("password", "REDACTED"),
        ("flag", ""),
        ("next", "/?token=REDACTED"),
        ("bad", "%FF"),
    ];
    assert_eq!(
        params,
        expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
}

#[test]
fn paths_by_their_template() {
    let cases = [
        ("/users/42", Some("/users/{id}"), "/users/42"),
        ("/reset/abc", Some("/reset/{token}"), "/reset/REDACTED"),
        ("/reset/abc", None, "/reset/abc"),
        ("/a/abc/b", Some("/a/{session_id}/b"), "/a/REDACTED/b"),
        (
            "/files/a/b/c",
            Some("/files/{*secret_path}"),
            "/files/REDACTED",
        ),
        ("/reset/", Some("/reset/{token}"), "/reset/"),
        ("/k/abc.json", Some("/k/{api_key}.json"), "/k/REDACTED.json"),
        ("/k/abc", Some("/k/:token"), "/k/REDACTED"),
        ("/k/abc", Some(r"/k/{token:\w+}"), "/k/REDACTED"),
        (
            "/{literal}/x",
            Some("/{{literal}}/{id}"),
            "/%7Bliteral%7D/x",
        ),
        // A nested router strips the front of the path and not of the template.
        (
            "/reset/abc",
            Some("/api/v1/reset/{token}"),
            "/reset/REDACTED",
        ),
        // Cut before the end of the template.
        ("/a/abc", Some("/a/{token}/b/c"), "/a/REDACTED"),
        ("/a/abc/b", Some("/a/{token}/bcd/c"), "/a/REDACTED/b"),
        // A template that does not fit: whatever it does not name literally may be the secret.
        (
            "/x/reset/abc",
            Some("/reset/{token}/done/now"),
            "/REDACTED/reset/REDACTED",
        ),
        ("/x/y", Some("/users/{id}/done/now"), "/x/y"),
        ("/a;jsessionid=abc/b", None, "/a%3Bjsessionid%3DREDACTED/b"),
        ("/a b/\u{202e}", None, "/a%20b/%E2%80%AE"),
        ("", Some("/"), ""),
        ("*", Some("/{token}"), "REDACTED"),
    ];
    for (path, route, expected) in cases {
        assert_eq!(
            redactor().path(path.as_bytes(), route),
            expected,
            "for {path} under {route:?}"
        );
    }
}

#[test]
fn decoded_path_parameters() {
    let params = |path: &str, route: &str| redactor().path_params(path.as_bytes(), route);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        params("/users/a%20b+c", "/users/{id}"),
        [pair("id", "a b+c")]
    );
    assert_eq!(
        params("/u/7/files/a/b%2Fc", "/u/{id}/files/{*rest}"),
        [pair("id", "7"), pair("rest", "a/b/c")]
    );
    assert_eq!(
        params("/reset/abc", "/reset/{token}"),
        [pair("token", "REDACTED")]
    );
    assert_eq!(params("/x/y", "/users/{id}"), []);
    assert_eq!(params("/users/7", "/api/v1/users/{id}"), [pair("id", "7")]);
}

#[test]
fn urls_and_headers() {
    let header =
        |name: &str, value: &str| redactor().header(name, value.as_bytes(), Some("/reset/{token}"));
    assert_eq!(
        header("referer", "https://bob:pw@h/x/y?token=a&b=1#access_token=c"),
        "https://REDACTED:REDACTED@h/REDACTED/REDACTED?token=REDACTED&b=1#access_token=REDACTED"
    );
    assert_eq!(
        header("Referer", "https://h/reset/abc"),
        "https://h/reset/REDACTED"
    );
    assert_eq!(header("referer", "/reset/abc?q=1"), "/reset/REDACTED?q=1");
    assert_eq!(header("referer", "https://h"), "https://h");
    assert_eq!(
        header("referer", "https://u:p#x@h/"),
        "https://REDACTED:REDACTED@h/"
    );
    assert_eq!(header("Authorization", "Bearer abc"), "REDACTED");
    assert_eq!(header("cookie", "a=b"), "REDACTED");
    assert_eq!(header("x-api-key", "abc"), "REDACTED");
    assert_eq!(header("cookie", ""), "");
    assert_eq!(
        header("user-agent", "\x1bcurl/8 (token=abc)"),
        "%1Bcurl/8 (token=REDACTED)"
    );
    assert_eq!(
        header("content-type", "text/html; charset=utf-8"),
        "text/html; charset=utf-8"
    );
    assert_eq!(redactor().host(b"bob:pw@h:80"), "REDACTED@h:80");
}

#[test]
fn logins_in_texts() {
    text(
        "cannot reach postgres://bob:pw@db:5432/x",
        "cannot reach postgres://REDACTED:REDACTED@db:5432/x",
    );
    text(
        "git clone https://ghp_x@github.com/a",
        "git clone https://REDACTED@github.com/a",
    );
    text(
        "a://u:p@h b://v:q@i",
        "a://REDACTED:REDACTED@h b://REDACTED:REDACTED@i",
    );
    // Passwords that should have been encoded, and one that was cut before its end.
    text("redis://:p/w@h/0", "redis://REDACTED:REDACTED@h/0");
    text("redis://u:p#w?x@h/0", "redis://REDACTED:REDACTED@h/0");
    text("redis://u:pw", "redis://u:REDACTED");
    for innocent in [
        "http://h:80/@bob",
        "https://h/?m=a@b.c",
        "http://[::1]:80/",
        "http://h",
        "\"http://a\", \"b@c\"",
        "://",
    ] {
        text(innocent, innocent);
    }
}

#[test]
fn pairs_in_texts() {
    text("password=hunter2", "password=REDACTED");
    text(
        "password = hunter2, user = bob",
        "password = REDACTED, user = bob",
    );
    text("user=bob,password=a,b c", "user=bob,password=REDACTED c");
    text("pass%77ord=x&a=1", "pass%77ord=REDACTED&a=1");
    text(
        "url \"https://h/?token=abc&b=1\" failed",
        "url \"https://h/?token=REDACTED&b=1\" failed",
    );
    text(
        "(https://h/?b=1&token=abc).",
        "(https://h/?b=1&token=REDACTED).",
    );
    text(
        r#"{"password":"a \" b","n":1}"#,
        r#"{"password":"REDACTED","n":1}"#,
    );
    text(r#"{"password": "","n":1}"#, r#"{"password": "","n":1}"#);
    text(r#"{"token":12345,"n":1}"#, r#"{"token":REDACTED,"n":1}"#);
    text(
        r#""{\"password\":\"a \\\" b\",\"n\":1}""#,
        r#""{\"password\":\"REDACTED\",\"n\":1}""#,
    );
    text(
        r#"Login { user: "bob", password: "a b", n: 1 }"#,
        r#"Login { user: "bob", password: "REDACTED", n: 1 }"#,
    );
    text(
        "token: Some(\n    \"a b\",\n), n: 1",
        "token: REDACTED, n: 1",
    );
    text(r#"secret: [1, 2, 3], n: 1"#, "secret: REDACTED, n: 1");
    text(r#"token: b"a b", n: 1"#, "token: REDACTED, n: 1");
    text("token: None, session: null", "token: None, session: null");
    text("password: \"never closed", "password: \"REDACTED");
    text("private key: abc", "private key: REDACTED");
    text("the api key = abc", "the api key = REDACTED");
    text(
        r#"headers["authorization"] = "abc""#,
        r#"headers["authorization"] = "REDACTED""#,
    );
    text("token => abc", "token => REDACTED");
    text("password!=abc", "password!=REDACTED");
    for innocent in [
        "auth::login failed: no such user",
        "author: bob",
        "a=b, c: d",
        "std::io::Error: x",
        "signal: 9",
        "token",
        ":",
        "==",
        "session:",
    ] {
        text(innocent, innocent);
    }
}

#[test]
fn statements() {
    text(
        "SELECT 1 WHERE password = 'it''s' AND a = 2",
        "SELECT 1 WHERE password = 'REDACTED' AND a = 2",
    );
    text(
        "UPDATE users SET password = $1, n = $2",
        "UPDATE users SET password = $1, n = $2",
    );
    text("WHERE token = ? AND x = ?", "WHERE token = ? AND x = ?");
}

#[test]
fn headers_and_tokens_in_texts() {
    text(
        "Authorization: Digest a=\"b\", c=\"d\"\nHost: h",
        "Authorization: REDACTED\nHost: h",
    );
    text(
        "curl -H 'Authorization: Bearer abc' https://h",
        "curl -H 'Authorization: REDACTED' https://h",
    );
    text("Cookie: a=b; c=d", "Cookie: REDACTED");
    text("auth=Bearer abc, n=1", "auth=REDACTED, n=1");
    text("sent bearer abc.def/+== to h", "sent bearer REDACTED to h");
    text("Bearer%20abc", "Bearer%20REDACTED");
    text("Basic dTpw", "Basic REDACTED");
    text("a basic example of a bearer", "a basic example of a bearer");
    text(
        "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln.",
        "got REDACTED",
    );
    text("heyJude", "heyJude");
}

#[test]
fn the_users_own_keys_count_everywhere() {
    let redactor = Redactor::new(["tenant-code", "pin"]);
    assert_eq!(
        redactor.query(b"tenantCode=x&pin=1&shipping=2"),
        "tenantCode=REDACTED&pin=REDACTED&shipping=2"
    );
    assert_eq!(redactor.text("tenant_code: x"), "tenant_code: REDACTED");
    assert_eq!(redactor.path(b"/a/b", Some("/a/{pin}")), "/a/REDACTED");
}

#[test]
fn a_hostile_text_takes_linear_time() {
    for piece in [
        "://",
        "://a:b/",
        "a://u:p",
        "a://b@",
        "token=",
        "token=#",
        "token:(",
        "password=\"",
        "a: ",
        "a=",
        "(",
        "\"",
        "\\",
        "%3D",
        "%25",
        "%",
        "eyJ",
        "eyJ.",
        "bearer ",
        "basic ",
        "a ",
        "=",
        ":",
        "a:'",
        "token=\\\"",
        "r#\"",
        "token: b\"",
    ] {
        let started = std::time::Instant::now();
        let _ = redactor().text(&piece.repeat(50_000 / piece.len()));
        assert!(
            started.elapsed().as_secs() < 3,
            "{piece:?} took {:?}",
            started.elapsed()
        );
    }
}

/// A key that promises a secret, in one of many spellings, some of it percent-encoded.
fn secret_key() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "password",
        "PassWord",
        "db_passwd",
        "api-key",
        "access_token",
        "user[secret]",
        "sig",
        "x-auth",
        "Signature",
        "session.id",
    ]);
    (names, any::<u64>()).prop_map(|(name, mask)| {
        let encode = |(at, c): (usize, char)| {
            if mask >> (at % 64) & 1 == 1 {
                format!("%{:02X}", u32::from(c))
            } else {
                c.to_string()
            }
        };
        name.chars().enumerate().map(encode).collect()
    })
}

/// Digits between letters that no key and no surrounding text holds.
fn secret() -> impl Strategy<Value = String> {
    "Zq[0-9]{6,12}qZ"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_secret_leaves_a_query(before in "[ -~]{0,20}", key in secret_key(), secret in secret(), after in "[ -~]{0,20}") {
        let raw = format!("{before}&{key}={secret}{after}");
        prop_assert!(!redactor().query(raw.as_bytes()).contains(&secret));
        for (key, value) in redactor().query_params(raw.as_bytes()) {
            prop_assert!(!key.contains(&secret) && !value.contains(&secret), "{key}={value}");
        }
        let url = redactor().url(format!("https://h/?{raw}").as_bytes(), None);
        prop_assert!(!url.contains(&secret), "{}", url);
    }

    #[test]
    fn no_secret_leaves_a_text(
        before in "[a-z ,.(]{0,20}",
        key in secret_key(),
        separator in prop::sample::select(vec!["=", ": ", ":", " = ", "=\"", ": '", "\": \"", " => ", ": Some(\"", "=b\"", ":\\\""]),
        secret in secret(),
        after in "[ -~]{0,20}",
    ) {
        let given = format!("{before} {key}{separator}{secret}{after}");
        let clean = redactor().text(&given);
        prop_assert!(!clean.contains(&secret), "{given} -> {clean}");
    }

    #[test]
    fn what_is_clean_stays_as_it_is(text in "(token|a|=|:|//|@|\"|'| |Bearer|\\(|\\)|,|x|\\\\|&|\n|é){0,12}") {
        let once = redactor().text(&text);
        prop_assert_eq!(redactor().text(&once), once);
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..120), route in "[/{}*:a-c]{0,12}") {
        let redactor = redactor();
        let mut all = vec![
            redactor.query(&bytes),
            redactor.path(&bytes, Some(&route)),
            redactor.url(&bytes, Some(&route)),
            redactor.host(&bytes),
            redactor.header("referer", &bytes, Some(&route)),
            redactor.header("x", &bytes, Some(&route)),
        ];
        let params = redactor.query_params(&bytes).into_iter().chain(redactor.path_params(&bytes, &route));
        all.extend(params.flat_map(|(key, value)| [key, value]));
        for text in all {
            prop_assert!(!text.contains(is_unsafe), "{text:?}");
        }
    }

    #[test]
    fn any_text_is_taken(text in ".{0,80}|[ -~]{0,80}|(\"|'|\\\\|token=|:|\\(|b|é|%|%C3|@|/){0,30}") {
        redactor().text(&text);
    }
}
