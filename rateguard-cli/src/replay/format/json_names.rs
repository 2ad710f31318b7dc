//! The usual names of fields in JSON logs: those of nginx examples, Traefik, Caddy and the Elastic Common Schema.

/// The meaning of a field of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Slot {
    /// The time, and whether it is the start of the request.
    Time {
        is_start: bool,
    },
    Ip,
    User,
    Method,
    Path,
    /// A request line, such as `GET / HTTP/1.1`.
    RequestLine,
    Status,
    /// The duration of the request. The value is the number of nanoseconds in a unit.
    Duration(f64),
    /// The value of a key part, by its index in the extra fields.
    Extra(usize),
}

const SECONDS: Slot = Slot::Duration(1e9);
const MILLISECONDS: Slot = Slot::Duration(1e6);
const NANOSECONDS: Slot = Slot::Duration(1.0);
const START: Slot = Slot::Time { is_start: true };
const END: Slot = Slot::Time { is_start: false };

/// The names by meaning. If an object has several names of one meaning, the first of them counts.
pub(super) const USUAL_NAMES: &[(Slot, &[&str])] = &[
    (START, &["StartUTC", "StartLocal", "start_time"]),
    (
        END,
        &[
            "time_iso8601",
            "msec",
            "time_local",
            "time",
            "timestamp",
            "@timestamp",
            "ts",
            "datetime",
            "date",
        ],
    ),
    (
        Slot::Ip,
        &[
            "remote_addr",
            "client_ip",
            "clientip",
            "ClientHost",
            "remote_ip",
            "ip",
            "request.client_ip",
            "request.remote_ip",
            "client.ip",
            "client.address",
            "source.ip",
            "source.address",
            "client",
            "ClientAddr",
            "clientIp",
            "remoteIp",
            "remoteAddr",
        ],
    ),
    (
        Slot::User,
        &[
            "remote_user",
            "user",
            "user_id",
            "ClientUsername",
            "username",
            "auth_user",
            "user.id",
            "user.name",
            "userId",
        ],
    ),
    (
        Slot::Method,
        &[
            "request_method",
            "method",
            "RequestMethod",
            "request.method",
            "http.request.method",
            "http_method",
            "verb",
        ],
    ),
    (
        Slot::Path,
        &[
            "request_uri",
            "RequestPath",
            "request.uri",
            "request_path",
            "uri",
            "path",
            "url.path",
            "url.original",
            "url",
            "http.url",
        ],
    ),
    (Slot::RequestLine, &["request", "request_line"]),
    (
        Slot::Status,
        &[
            "status",
            "DownstreamStatus",
            "status_code",
            "http.response.status_code",
            "response.status",
            "response_code",
            "response",
            "statusCode",
        ],
    ),
    (SECONDS, &["request_time", "duration", "duration_s"]),
    (MILLISECONDS, &["duration_ms", "response_time_ms", "elapsed_ms"]),
    (NANOSECONDS, &["Duration", "event.duration", "duration_ns"]),
];

/// The names of nginx variables, which also count inside of any object of the line.
pub(super) const NGINX_NAMES: &[(Slot, &[&str])] = &[
    (END, &["time_iso8601", "msec", "time_local"]),
    (Slot::Ip, &["remote_addr"]),
    (Slot::User, &["remote_user"]),
    (Slot::Method, &["request_method"]),
    (Slot::Path, &["request_uri"]),
    (Slot::RequestLine, &["request"]),
    (Slot::Status, &["status"]),
    (SECONDS, &["request_time"]),
];
