//! A client of the operator endpoints.

use std::{io, path::Path, time::Duration};

use serde_json::Value;
use ureq::{
    Agent, Body, Error,
    http::{HeaderName, HeaderValue, Response, StatusCode, Uri, header::AUTHORIZATION},
};

use super::{key::KeyValues, tls};
use crate::exit::Failure;

/// The operator endpoints of a server.
pub(crate) struct Server {
    agent: Agent,
    /// The URL of the endpoints, without a slash at the end.
    base: String,
    credentials: Option<(HeaderName, HeaderValue)>,
}

impl Server {
    /// Creates a client. Without a `header`, it sends the token as `Authorization: Bearer TOKEN`.
    pub(super) fn new(
        url: &str,
        header: Option<&str>,
        token: Option<&str>,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        const EXPECTED: &str = "`--server`: expected the URL of the operator endpoints, such as https://shop.example/operator";
        let uri: Uri = url.parse().map_err(|_| Failure::usage(EXPECTED))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(Failure::usage(EXPECTED));
        }
        if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
            return Err(Failure::usage("`--server`: expected a URL without a password, found one")
                .help("set the token in RATEGUARD_TOKEN, or pass a file with `--token-file`"));
        }
        let name = match header {
            None => AUTHORIZATION,
            Some(name) => name
                .parse()
                .map_err(|_| Failure::usage("`--header`: expected the name of a header"))?,
        };
        let credentials = token.map(|token| {
            let text = if header.is_none() { format!("Bearer {token}") } else { token.to_owned() };
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                Failure::usage("expected a token of printable ASCII characters, found others")
            })?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would send the token to another address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("rateguard/", env!("CARGO_PKG_VERSION")));
        let config = match uri.scheme_str() {
            Some("https") => config.tls_config(tls::https(ca_file)?),
            _ => config,
        };
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.build().new_agent(), base, credentials: credentials.transpose()? })
    }

    /// Returns the body with which a request selects a key. Reads the keys of the limits with this name from the
    /// server, so that the user can name the parts in any order.
    pub(crate) fn selector(&self, policy: &str, key: &KeyValues) -> Result<Value, Failure> {
        let inventory = self.get("inventory")?;
        let limits = inventory["limits"].as_array().into_iter().flatten();
        let named = limits.filter(|limit| limit["name"] == policy);
        let keys: Vec<&str> = named.filter_map(|limit| limit["key"].as_str()).collect();
        Ok(key.selector(policy, &keys))
    }

    /// Sends a GET request, and returns the JSON of the response.
    pub(crate) fn get(&self, endpoint: &str) -> Result<Value, Failure> {
        let mut request = self.agent.get(format!("{}/{endpoint}", self.base));
        if let Some((name, value)) = &self.credentials {
            request = request.header(name, value);
        }
        self.read(request.call())
    }

    /// Sends a POST request with a JSON body, and returns the JSON of the response.
    pub(crate) fn post(&self, endpoint: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.agent.post(format!("{}/{endpoint}", self.base));
        if let Some((name, value)) = &self.credentials {
            request = request.header(name, value);
        }
        self.read(request.content_type("application/json").send(body.to_string()))
    }

    fn read(&self, response: Result<Response<Body>, Error>) -> Result<Value, Failure> {
        let mut response = response.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|error| unreachable(&error))?;
        let json = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
        match json {
            Some(json) if status == StatusCode::OK => Ok(json),
            json => Err(self.failure(status, json.as_ref())),
        }
    }

    fn failure(&self, status: StatusCode, problem: Option<&Value>) -> Failure {
        let detail = problem.and_then(|problem| problem["detail"].as_str());
        let code = status.as_u16();
        match (code, detail) {
            (401 | 403, detail) => {
                let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
                let failure = Failure::refused(format!("the server refused the request with status {code}{detail}"));
                match self.credentials {
                    None => failure.help("set the token in RATEGUARD_TOKEN, or pass a file with `--token-file`"),
                    Some(_) => failure.help("compare the token with that of the server; `--header` sets another header for it"),
                }
            }
            (400 | 404 | 413 | 415, Some(detail)) => Failure::usage(detail),
            (429, _) => Failure::unreachable("a limit of the server denied the request with status 429")
                .help("exempt the operator endpoints from the limits that wrap the whole application"),
            (409, Some(detail)) => Failure::problem(detail),
            (500.., Some(detail)) => Failure::unreachable(detail),
            (500.., None) => Failure::unreachable(format!("the server failed with status {code}")),
            _ => Failure::usage(format!("expected the operator endpoints at `--server`, found status {code} without their JSON"))
                .help("the URL is that of the scope with the endpoints, such as https://shop.example/operator"),
        }
    }
}

/// Returns the failure for a request without a response. The text contains no URL.
fn unreachable(error: &Error) -> Failure {
    let cause = match error {
        Error::Io(error) if error.kind() == io::ErrorKind::Other => {
            "the connection failed".to_owned()
        }
        // rustls reports an invalid certificate as invalid data.
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "the TLS connection failed; `--ca-file` sets the certificate authorities".to_owned()
        }
        Error::Io(error) => error.kind().to_string(),
        Error::Timeout(_) => "no response within `--timeout`".to_owned(),
        Error::HostNotFound => "the name of the host is unknown".to_owned(),
        Error::ConnectionFailed => "the connection failed".to_owned(),
        Error::Tls(_) | Error::Rustls(_) => "the TLS connection failed".to_owned(),
        Error::BodyExceedsLimit(_) => "the response is too long".to_owned(),
        _ => "the response is not valid HTTP".to_owned(),
    };
    Failure::unreachable(format!("cannot reach the server: {cause}"))
}
