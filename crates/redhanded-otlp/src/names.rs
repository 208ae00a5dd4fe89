//! Names of attributes: OpenTelemetry semantic conventions 1.44
//! (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/>), then our own.

use opentelemetry::InstrumentationScope;

pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Who made the spans.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("redhanded")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

pub(crate) const CLIENT_ADDRESS: &str = "client.address";
pub(crate) const CLIENT_PORT: &str = "client.port";
pub(crate) const CODE_COLUMN_NUMBER: &str = "code.column.number";
pub(crate) const CODE_FILE_PATH: &str = "code.file.path";
pub(crate) const CODE_FUNCTION_NAME: &str = "code.function.name";
pub(crate) const CODE_LINE_NUMBER: &str = "code.line.number";
pub(crate) const CODE_STACKTRACE: &str = "code.stacktrace";
pub(crate) const DB_QUERY_TEXT: &str = "db.query.text";
pub(crate) const DB_SYSTEM_NAME: &str = "db.system.name";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const CONTAINER_ID: &str = "container.id";
pub(crate) const HOST_ARCH: &str = "host.arch";
pub(crate) const HOST_ID: &str = "host.id";
pub(crate) const HOST_NAME: &str = "host.name";
pub(crate) const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
pub(crate) const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub(crate) const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
pub(crate) const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub(crate) const HTTP_ROUTE: &str = "http.route";
pub(crate) const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
pub(crate) const NETWORK_PEER_PORT: &str = "network.peer.port";
pub(crate) const OS_TYPE: &str = "os.type";
pub(crate) const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
pub(crate) const PROCESS_PID: &str = "process.pid";
pub(crate) const PROCESS_RUNTIME_NAME: &str = "process.runtime.name";
pub(crate) const PROCESS_RUNTIME_VERSION: &str = "process.runtime.version";
pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";
pub(crate) const SERVICE_INSTANCE_ID: &str = "service.instance.id";
pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_VERSION: &str = "service.version";
pub(crate) const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
pub(crate) const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
pub(crate) const TELEMETRY_SDK_VERSION: &str = "telemetry.sdk.version";
pub(crate) const THREAD_ID: &str = "thread.id";
pub(crate) const THREAD_NAME: &str = "thread.name";
pub(crate) const URL_FULL: &str = "url.full";
pub(crate) const URL_PATH: &str = "url.path";
pub(crate) const URL_QUERY: &str = "url.query";
pub(crate) const URL_SCHEME: &str = "url.scheme";
pub(crate) const USER_AGENT_ORIGINAL: &str = "user_agent.original";

/// What a collector's tail sampling keeps by.
pub(crate) const RUNAWAY: &str = "runaway";

/// Why a request is exported whole: `caught`, `failed` or `sampled`.
pub(crate) const KEPT: &str = "redhanded.kept";

/// Methods that stand in `http.request.method` as they are; every other one is `_OTHER`, so that
/// a client cannot invent series.
pub(crate) const KNOWN_METHODS: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
];
