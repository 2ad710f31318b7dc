//! A request that an operator describes in JSON.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr};

use actix_web::{
    HttpMessage, HttpRequest,
    http::{
        Method, Uri,
        header::{HeaderName, HeaderValue},
    },
    test::TestRequest,
};
use serde::Deserialize;

use super::problem::Problem;
use crate::UserId;

/// The maximum number of headers, and of path parameters.
const MAX_FIELDS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DescribedRequest {
    method: Option<String>,
    path: String,
    peer: String,
    headers: Option<Vec<(String, String)>>,
    user: Option<String>,
    path_parameters: Option<BTreeMap<String, String>>,
}

impl DescribedRequest {
    /// Builds the request.
    ///
    /// # Errors
    ///
    /// 400 if a field is invalid.
    pub(super) fn build(self) -> Result<HttpRequest, Problem> {
        let method = self.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Problem::bad("`method`: expected a method, such as \"GET\""))?;
        let uri: Option<Uri> = self.path.parse().ok();
        let uri = uri.filter(|uri| self.path.starts_with('/') && uri.path().starts_with('/'));
        let uri = uri.ok_or_else(|| {
            Problem::bad(
                "`path`: expected a path with or without a query, such as \"/search?q=rust\"",
            )
        })?;
        let mut request = TestRequest::default().method(method).uri(&uri.to_string());
        if let Some(peer) = peer(&self.peer)? {
            request = request.peer_addr(peer);
        }
        let headers = self.headers.unwrap_or_default();
        let parameters = self.path_parameters.unwrap_or_default();
        if headers.len() > MAX_FIELDS || parameters.len() > MAX_FIELDS {
            return Err(Problem::bad(format!(
                "`headers` and `path_parameters`: expected at most {MAX_FIELDS} entries each"
            )));
        }
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|_| {
                Problem::bad("`headers`: expected a header name as the first element of each pair")
            })?;
            let value = HeaderValue::try_from(value.into_bytes()).map_err(|_| {
                Problem::bad(
                    "`headers`: expected a header value as the second element of each pair",
                )
            })?;
            request = request.append_header((name, value));
        }
        for (name, value) in parameters {
            request = request.param(name, value);
        }
        let request = request.to_http_request();
        if let Some(user) = self.user {
            request.extensions_mut().insert(UserId::new(user));
        }
        Ok(request)
    }
}

/// Parses an address with or without a port. `None` for `unix`, because a Unix socket has no peer address.
fn peer(text: &str) -> Result<Option<SocketAddr>, Problem> {
    if text == "unix" {
        return Ok(None);
    }
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0));
    address.or_else(|_| text.parse()).map(Some).map_err(|_| {
        Problem::bad("`peer`: expected an address with or without a port, or \"unix\"")
    })
}
