//! Tests of the dashboard's HTTP responses. `scripts/dashboard` tests the page in a browser.

mod access;
mod headers;
mod paths;

use actix_rateguard::{RateGuard, operator};
use actix_web::{HttpRequest, Scope, web};

/// Returns the operator endpoints under the path `/operator`. They accept every request.
fn endpoints(guard: &RateGuard) -> Scope {
    web::scope("/operator").service(operator::endpoints(guard).allow_if(|_: &HttpRequest| true))
}

/// Returns the relative links of a page in the order of their occurrence, without links to its own headings.
fn links(page: &str) -> Vec<&str> {
    let values = page.split("href=\"").chain(page.split("src=\"")).skip(1);
    let links = values.filter_map(|text| text.split('"').next());
    links.filter(|link| !link.starts_with(['#', '<'])).collect()
}
