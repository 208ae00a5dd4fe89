//! What a symbol's name and file tell: whose code it is, and how to show it.

/// Whose code a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    User,
    Dependency,
    /// Some crate's, but written by a dependency's macro, as the closure inside `select!`.
    Expanded,
    /// Rust's own library.
    Std,
    /// This project.
    Ours,
    /// Not Rust.
    Foreign,
}

/// Our crates, as they are named in symbols.
const OURS: [&str; 7] = [
    "redhanded",
    "redhanded_core",
    "redhanded_capture",
    "redhanded_tower",
    "redhanded_connect",
    "redhanded_otlp",
    "redhanded_report",
];

const STD: [&str; 8] = [
    "std",
    "core",
    "alloc",
    "proc_macro",
    "test",
    "panic_unwind",
    "std_detect",
    "compiler_builtins",
];

/// Crates that a server is usually built on, for symbols that have no file. A name that is in neither list is the user's.
const DEPENDENCIES: [&str; 60] = [
    "actix_web",
    "ahash",
    "anyhow",
    "async_channel",
    "async_io",
    "async_lock",
    "async_trait",
    "axum",
    "axum_core",
    "backtrace",
    "bb8",
    "bytes",
    "chrono",
    "crossbeam_channel",
    "crossbeam_utils",
    "dashmap",
    "deadpool",
    "diesel",
    "event_listener",
    "fancy_regex",
    "flume",
    "futures",
    "futures_channel",
    "futures_core",
    "futures_executor",
    "futures_util",
    "h2",
    "hashbrown",
    "http",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_util",
    "indexmap",
    "mio",
    "moka",
    "once_cell",
    "parking_lot",
    "parking_lot_core",
    "prost",
    "rayon",
    "rayon_core",
    "redis",
    "regex",
    "regex_automata",
    "reqwest",
    "ring",
    "rustls",
    "sea_orm",
    "serde",
    "serde_json",
    "sqlx",
    "sqlx_core",
    "tokio",
    "tokio_stream",
    "tokio_util",
    "tonic",
    "tower",
    "tower_http",
    "tracing",
];

/// Whose code a function is: by its source file, and by its crate where there is none.
pub(crate) fn origin(name: &str, file: Option<&str>) -> Origin {
    let krate = crate_of(name);
    if krate.is_some_and(|krate| OURS.contains(&krate)) {
        return Origin::Ours;
    }
    match (file.map(|file| file.replace('\\', "/")), krate) {
        (Some(file), _) => origin_of_file(&file, name, krate.is_some()),
        (None, Some(krate)) if STD.contains(&krate) => Origin::Std,
        (None, Some(krate)) if DEPENDENCIES.contains(&krate) => Origin::Dependency,
        (None, Some(_)) => Origin::User,
        (None, None) => Origin::Foreign,
    }
}

fn origin_of_file(file: &str, name: &str, has_crate: bool) -> Origin {
    let is_std = file.starts_with("/rustc/")
        || file.starts_with("/rust/deps/")
        || ["/library/std/", "/library/core/", "/library/alloc/"]
            .iter()
            .any(|part| file.contains(part));
    if is_std {
        return Origin::Std;
    }
    if !file.ends_with(".rs") {
        return Origin::Foreign;
    }
    if ["/registry/src/", "/git/checkouts/", "/vendor/"]
        .iter()
        .any(|part| file.contains(part))
    {
        let is_expanded = has_crate
            && registry_crate(file).is_some_and(|owner| !name.contains(&format!("{owner}::")));
        return if is_expanded {
            Origin::Expanded
        } else {
            Origin::Dependency
        };
    }
    // An inlined async block may have no path in its name; then the folder tells our own.
    if !has_crate && is_in_our_sources(file) {
        Origin::Ours
    } else {
        Origin::User
    }
}

/// The crate whose source a file in the registry is: `…/registry/src/INDEX/tokio-stream-0.1.19/…` gives `tokio_stream`.
fn registry_crate(file: &str) -> Option<String> {
    let (_, rest) = file.split_once("/registry/src/")?;
    let (package, _version) = rest.split('/').nth(1)?.rsplit_once('-')?;
    Some(package.replace('-', "_"))
}

/// Whether a file lies in the `src` folder of a crate of ours; examples and tests are users.
fn is_in_our_sources(file: &str) -> bool {
    let mut folders = file.split('/').rev();
    let Some(before_src) = folders
        .by_ref()
        .find(|folder| *folder == "src")
        .and_then(|_| folders.next())
    else {
        return false;
    };
    OURS.contains(&before_src.replace('-', "_").as_str())
}

/// The crate that a demangled Rust name belongs to: for a method of a trait, the type's. `None` for C names and bare closures.
pub(crate) fn crate_of(name: &str) -> Option<&str> {
    let mut rest = name;
    loop {
        let shorter = ["<", "&", "*const ", "*mut ", "mut ", "dyn ", "(", "["]
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix));
        match shorter {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    (end > 0 && (rest[end..].starts_with("::") || rest[end..].starts_with("[")))
        .then_some(&rest[..end])
}

/// A name as a person would write it: without closures, async blocks and the compiler's hash.
pub(crate) fn pretty(name: &str) -> String {
    let mut name = without_hash(name);
    while let Some((head, tail)) = name.rsplit_once("::") {
        if !is_compilers_own(tail) {
            break;
        }
        name = head;
    }
    name.to_owned()
}

/// The user's own function whose future a type is made of, by the name of the function that drops it:
/// `core::ptr::drop_in_place<app::notice::{{closure}}>` is that of `app::notice`. The outermost, where there are several.
pub(crate) fn user_future(drop_glue: &str) -> Option<String> {
    let of_type = without_hash(drop_glue).split_once("drop_in_place")?.1;
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '{' | '}' | '#');
    let paths = of_type
        .split(|c: char| !is_path(c))
        .map(|path| path.trim_matches(':'));
    let mut users = paths.filter(|path| path.contains("::") && origin(path, None) == Origin::User);
    users.next().map(pretty)
}

fn is_compilers_own(segment: &str) -> bool {
    segment == "{{closure}}"
        || [
            "{closure#",
            "{async_fn#",
            "{async_block#",
            "{async_fn_env#",
            "{async_block_env#",
            "{closure_env#",
            "{async_closure#",
        ]
        .iter()
        .any(|prefix| segment.starts_with(prefix) && segment.ends_with('}'))
}

/// `app::f::h0123456789abcdef` is `app::f`.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((head, hash))
            if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            head
        }
        _ => name,
    }
}

/// A name without generic arguments, trait casts and the private module that a type is re-exported from.
///
/// `<tokio::sync::mutex::Mutex<T>>::lock` is `tokio::sync::Mutex::lock`.
pub(crate) fn short(name: &str) -> String {
    let plain = without_generics(&without_cast(name));
    let mut segments: Vec<&str> = Vec::new();
    for segment in plain.split("::").filter(|segment| !segment.is_empty()) {
        if segment.starts_with(char::is_uppercase)
            && segments
                .last()
                .is_some_and(|module| same_word(module, segment))
        {
            segments.pop();
        }
        segments.push(segment);
    }
    segments.join("::")
}

fn same_word(module: &str, name: &str) -> bool {
    module
        .replace('_', "")
        .eq_ignore_ascii_case(&name.replace('_', ""))
}

/// Byte positions and characters, each with how many `<` are open before it; the `>` of an arrow closes none.
fn with_depth(text: &str) -> impl Iterator<Item = (usize, char, usize)> {
    let (mut depth, mut previous) = (0usize, ' ');
    text.char_indices().map(move |(at, c)| {
        let before = depth;
        match c {
            '<' => depth += 1,
            '>' if previous != '-' => depth = depth.saturating_sub(1),
            _ => {}
        }
        previous = c;
        (at, c, before)
    })
}

/// `<Type as Trait>::method` is `Type::method`, and `<Type>::method` too.
fn without_cast(name: &str) -> String {
    if !name.starts_with('<') {
        return name.to_owned();
    }
    let mut previous = ' ';
    for (at, c, depth) in with_depth(name) {
        if c == '>' && depth == 1 && previous != '-' {
            return format!(
                "{}{}",
                without_cast(before_as(&name[1..at])),
                &name[at + 1..]
            );
        }
        previous = c;
    }
    name.to_owned()
}

/// The part before ` as ` that is not inside generic arguments.
fn before_as(text: &str) -> &str {
    let at = with_depth(text).find(|&(at, _, depth)| depth == 0 && text[at..].starts_with(" as "));
    at.map_or(text, |(at, ..)| &text[..at])
}

fn without_generics(name: &str) -> String {
    with_depth(name)
        .filter(|&(_, c, depth)| depth == 0 && c != '<')
        .map(|(_, c, _)| c)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_is_known_by_what_drops_it() {
        let user = |glue: &str| user_future(glue);
        let wanted = Some("app::notice".to_owned());
        for glue in [
            "core::ptr::drop_in_place<app::notice::{{closure}}>",
            "core::ptr::drop_in_place<<app::notice as axum::handler::Handler<((),),()>>::call::{{closure}}>",
            "core::ptr::drop_in_place::<axum::util::MapIntoResponse<app::notice::{closure#0}>>",
        ] {
            assert_eq!(user(glue), wanted, "{glue}");
        }
        assert_eq!(user("core::ptr::drop_in_place<axum::routing::Route>"), None);
        assert_eq!(user("app::notice"), None);
    }

    #[test]
    fn whose_code_by_file() {
        let registry =
            Some("/home/u/.cargo/registry/src/index.crates.io-1/tokio-1.54.1/src/time/sleep.rs");
        assert_eq!(
            origin(
                "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
                registry
            ),
            Origin::Dependency
        );
        assert_eq!(
            origin(
                "core::ptr::read",
                Some("/rustc/59807616e/library/core/src/ptr/mod.rs")
            ),
            Origin::Std
        );
        assert_eq!(
            origin("app::search::matches", Some("/srv/app/src/search.rs")),
            Origin::User
        );
        assert_eq!(
            origin("inflate", Some("/build/zlib/inflate.c")),
            Origin::Foreign
        );
        assert_eq!(
            origin(
                "git::f",
                Some("/home/u/.cargo/git/checkouts/git-1/2/src/lib.rs")
            ),
            Origin::Dependency
        );
        assert_eq!(
            origin(
                "a_b::load",
                Some("C:\\cargo\\registry\\src\\x\\a-b-1.0.0\\src\\lib.rs")
            ),
            Origin::Dependency
        );
    }

    #[test]
    fn code_from_a_macro_is_not_the_macros_crate() {
        let select =
            Some("/home/u/.cargo/registry/src/index.crates.io-1/tokio-1.54.1/src/macros/select.rs");
        assert_eq!(origin("app::load::{{closure}}", select), Origin::Expanded);
        assert_eq!(
            origin(
                "<app::S as tower_service::Service<R>>::call::{{closure}}",
                select
            ),
            Origin::Expanded
        );
        let service =
            Some("/home/u/.cargo/registry/src/index.crates.io-1/tower-service-0.3.3/src/lib.rs");
        assert_eq!(
            origin("<app::S as tower_service::Service<R>>::call", service),
            Origin::Dependency,
            "a trait's own method"
        );
    }

    #[test]
    fn whose_code_by_crate() {
        assert_eq!(origin("std::thread::sleep", None), Origin::Std);
        assert_eq!(origin("tokio::runtime::park", None), Origin::Dependency);
        assert_eq!(origin("app::search::matches", None), Origin::User);
        assert_eq!(origin("clock_nanosleep", None), Origin::Foreign);
    }

    #[test]
    fn ours_by_crate_name_and_not_by_prefix() {
        let here = Some("/src/redhanded/crates/redhanded-capture/tests/hammer.rs");
        assert_eq!(origin("hammer::main", here), Origin::User);
        assert_eq!(
            origin(
                "redhanded_shop::main",
                Some("/src/redhanded/examples/shop/src/main.rs")
            ),
            Origin::User
        );
        assert_eq!(
            origin("redhanded_core::engine::tick", Some("/any/where.rs")),
            Origin::Ours
        );
        assert_eq!(
            origin(
                "<redhanded_tower::Service<S> as tower::Service<R>>::call",
                None
            ),
            Origin::Ours
        );
        assert_eq!(
            origin(
                "{async_fn#0}",
                Some("/src/redhanded/crates/redhanded-core/src/job.rs")
            ),
            Origin::Ours
        );
        assert_eq!(origin("{async_fn#0}", here), Origin::User);
    }

    #[test]
    fn names_lose_what_the_compiler_added() {
        assert_eq!(
            pretty("app::load::{{closure}}::{{closure}}::h0123456789abcdef"),
            "app::load"
        );
        assert_eq!(pretty("app::load::{async_fn#0}"), "app::load");
        assert_eq!(pretty("app::load::{closure#12}"), "app::load");
        assert_eq!(pretty("{async_fn#0}"), "{async_fn#0}");
        assert_eq!(pretty("app::hello"), "app::hello");
    }

    #[test]
    fn short_names_are_the_documented_ones() {
        assert_eq!(
            short("<tokio::sync::mutex::Mutex<T>>::lock"),
            "tokio::sync::Mutex::lock"
        );
        assert_eq!(
            short("tokio::sync::rwlock::RwLock<T>::read"),
            "tokio::sync::RwLock::read"
        );
        assert_eq!(
            short("<tokio::time::sleep::Sleep as core::future::future::Future>::poll"),
            "tokio::time::Sleep::poll"
        );
        assert_eq!(
            short("<app::A<fn() -> u8> as app::B<u8>>::go"),
            "app::A::go"
        );
    }

    #[test]
    fn crates_of_odd_names() {
        assert_eq!(crate_of("<&mut app::X as Trait>::f"), Some("app"));
        assert_eq!(crate_of("<dyn app::T>::f"), Some("app"));
        assert_eq!(crate_of("main"), None);
        assert_eq!(crate_of("{closure#0}"), None);
        assert_eq!(crate_of(""), None);
    }
}
