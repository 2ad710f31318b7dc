//! A request that an operator describes.

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

/// Of headers and of parameters each.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    method: Option<String>,
    path: String,
    peer: String,
    headers: Option<Vec<(String, String)>>,
    user: Option<String>,
    path_parameters: Option<BTreeMap<String, String>>,
}

impl Described {
    /// The request, as far as it was described.
    pub(super) fn request(self) -> Result<HttpRequest, Problem> {
        let method = self.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Problem::bad("`method` is a method, such as \"GET\""))?;
        let uri: Option<Uri> = self.path.parse().ok();
        let uri = uri.filter(|uri| self.path.starts_with('/') && uri.path().starts_with('/'));
        let uri = uri.ok_or_else(|| {
            Problem::bad("`path` is a path with or without a query, such as \"/search?q=rust\"")
        })?;
        let mut request = TestRequest::default().method(method).uri(&uri.to_string());
        if let Some(peer) = peer(&self.peer)? {
            request = request.peer_addr(peer);
        }
        let headers = self.headers.unwrap_or_default();
        let parameters = self.path_parameters.unwrap_or_default();
        if headers.len() > MOST || parameters.len() > MOST {
            return Err(Problem::bad(format!(
                "a request here has {MOST} headers and parameters of its path at the most"
            )));
        }
        for (name, value) in headers {
            let name = HeaderName::try_from(name)
                .map_err(|_| Problem::bad("something in `headers` is no name of a header"))?;
            let value = HeaderValue::try_from(value.into_bytes())
                .map_err(|_| Problem::bad("something in `headers` is no value of a header"))?;
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

/// An address with or without a port; none over a Unix socket.
fn peer(text: &str) -> Result<Option<SocketAddr>, Problem> {
    if text == "unix" {
        return Ok(None);
    }
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0));
    address.or_else(|_| text.parse()).map(Some).map_err(|_| {
        Problem::bad("`peer` is who connected: an address with or without a port, or \"unix\"")
    })
}
