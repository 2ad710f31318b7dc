//! Describes the responses of limits.

use std::collections::BTreeMap;

use actix_rateguard_headers::{
    RATELIMIT, RATELIMIT_POLICY, RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING,
    X_RATELIMIT_RESET,
};
use utoipa::openapi::{
    ArrayBuilder, ContentBuilder, Header, HeaderBuilder, KnownFormat, ObjectBuilder, Ref, RefOr,
    Response, ResponseBuilder, Schema, SchemaFormat, Type,
};

use crate::{
    HeaderDialect, OnError, RateGuard, RejectionBody, inventory::LimitInfo, settings::HttpSettings,
};

/// The name of the schema of the problem details in the document.
pub(super) const PROBLEM: &str = "RateLimitProblem";

/// The responses of the limits of one operation.
pub(super) struct Responses<'a> {
    http: &'a HttpSettings,
    quotas: String,
    can_fail_closed: bool,
}

impl<'a> Responses<'a> {
    /// Creates the responses of these limits.
    pub(super) fn of(guard: &'a RateGuard, limits: &[&LimitInfo]) -> Self {
        let quotas: Vec<_> = limits.iter().map(|limit| quotas(limit)).collect();
        let is_closed = |limit: &&LimitInfo| limit.on_error == OnError::Closed;
        Self {
            http: guard.http(),
            quotas: quotas.join(" "),
            can_fail_closed: guard.has_remote_store() && limits.iter().any(is_closed),
        }
    }

    /// Adds the responses to those of an operation. A response that the operation already has stays as it is, except
    /// that it gets the header fields.
    pub(super) fn add_to(&self, responses: &mut BTreeMap<String, RefOr<Response>>) {
        for response in responses.values_mut() {
            if let RefOr::T(response) = response {
                for (name, header) in self.limit_headers() {
                    let is_same = |existing: &String| existing.eq_ignore_ascii_case(name);
                    if !response.headers.keys().any(is_same) {
                        response.headers.insert(display_name(name).to_owned(), header);
                    }
                }
            }
        }
        responses.entry("429".to_owned()).or_insert_with(|| self.too_many_requests().into());
        if self.can_fail_closed {
            responses.entry("503".to_owned()).or_insert_with(|| self.unavailable().into());
        }
    }

    fn too_many_requests(&self) -> Response {
        let description = format!("Too many requests. {}", self.quotas);
        let response =
            self.limit_headers().fold(self.rejection(description), |it, (name, header)| {
                it.header(display_name(name), header)
            });
        response.build()
    }

    fn unavailable(&self) -> Response {
        let description = "The service cannot check its rate limits now.";
        self.rejection(description.to_owned()).build()
    }

    /// Returns the parts that all rejections have.
    fn rejection(&self, description: String) -> ResponseBuilder {
        let retry_after = integer("The seconds after which a retry can succeed.");
        let response = ResponseBuilder::new()
            .description(description)
            .header(display_name(RETRY_AFTER), retry_after);
        if self.http.on_reject.is_some() {
            // The application creates the body.
            return response;
        }
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        let text = ContentBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        match self.http.body {
            RejectionBody::ProblemDetails => response.content("application/problem+json", problem),
            RejectionBody::Text => response.content("text/plain", text),
            _ => response.content("application/problem+json", problem).content("text/plain", text),
        }
    }

    /// Returns the header fields that report the limits, by the dialects of the guard.
    fn limit_headers(&self) -> impl Iterator<Item = (&'static str, Header)> {
        let dialects = self.http.headers.iter();
        dialects.flat_map(|dialect| {
            dialect.field_names().iter().map(|name| (*name, header(*dialect, name)))
        })
    }
}

fn quotas(limit: &LimitInfo) -> String {
    match &limit.quotas {
        Some(quotas) => format!("At most {quotas}."),
        None => "The limit depends on the client.".to_owned(),
    }
}

fn header(dialect: HeaderDialect, name: &str) -> Header {
    match name {
        X_RATELIMIT_LIMIT => integer("The requests that the limit admits in a window."),
        X_RATELIMIT_REMAINING => integer("The requests that remain."),
        X_RATELIMIT_RESET if dialect == HeaderDialect::XRateLimitEpoch => {
            integer("The Unix time in seconds at which the limit resets.")
        }
        X_RATELIMIT_RESET => integer("The seconds until the limit resets."),
        RATELIMIT_POLICY => text("The quotas (draft-ietf-httpapi-ratelimit-headers)."),
        _ => text("The remaining requests and the reset (draft-ietf-httpapi-ratelimit-headers)."),
    }
}

/// Returns the usual spelling of the name of a header field.
fn display_name(name: &str) -> &str {
    match name {
        RETRY_AFTER => "Retry-After",
        X_RATELIMIT_LIMIT => "X-RateLimit-Limit",
        X_RATELIMIT_REMAINING => "X-RateLimit-Remaining",
        X_RATELIMIT_RESET => "X-RateLimit-Reset",
        RATELIMIT => "RateLimit",
        RATELIMIT_POLICY => "RateLimit-Policy",
        other => other,
    }
}

fn integer(description: &str) -> Header {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0));
    HeaderBuilder::new().schema(schema).description(Some(description)).build()
}

fn text(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(schema).description(Some(description)).build()
}

/// Returns the schema of the problem details (RFC 9457) of a rejection.
pub(super) fn problem_schema() -> RefOr<Schema> {
    let string = || ObjectBuilder::new().schema_type(Type::String);
    let uri = string().format(Some(SchemaFormat::Custom("uri-reference".to_owned())));
    let policies = ArrayBuilder::new().items(string()).description(Some(
        "The quotas that deny the request, by their names in the header field RateLimit.",
    ));
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Problem details (RFC 9457) of a request that a rate limit rejects."))
        .property("type", uri)
        .required("type")
        .property("title", string())
        .required("title")
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .required("status")
        .property("detail", string())
        .property("violated-policies", policies);
    RefOr::T(Schema::Object(schema.build()))
}
