//! The body of a response that holds the permits of its request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rateguard_core::adapter::PermitLease;
use actix_web::{
    HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    http::Method,
    web::Bytes,
};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response that holds the permits of its request. The guard releases the permits when the body ends,
    /// or when it is dropped, for example because the client has disconnected.
    #[doc(hidden)]
    pub struct PermitBody<B> {
        #[pin]
        body: B,
        permit: Option<Box<PermitLease>>,
    }
}

impl<B> PermitBody<B> {
    pub(crate) fn new(body: B, permit: Option<Box<PermitLease>>) -> Self {
        Self { body, permit }
    }
}

impl<B: MessageBody> MessageBody for PermitBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let chunk = ready!(this.body.poll_next(context));
        if !matches!(chunk, Some(Ok(_))) {
            *this.permit = None;
        }
        Poll::Ready(chunk)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        // A conversion would drop the permit before the server has written the body.
        let Self { body, permit: None } = self else { return Err(self) };
        body.try_into_bytes().map_err(|body| Self { body, permit: None })
    }
}

/// Returns a body that holds the permits until it ends.
pub(crate) fn hold_until_end(body: BoxBody, permit: Option<Box<PermitLease>>) -> BoxBody {
    if permit.is_none() { body } else { BoxBody::new(PermitBody::new(body, permit)) }
}

/// Returns the permits, or releases them if the request is a HEAD request. actix-web writes nothing of the body then, so it
/// does not notice that the client has disconnected, and a stream without an end would hold the permits for ever.
pub(crate) fn unless_head(
    request: &HttpRequest,
    permit: Option<Box<PermitLease>>,
) -> Option<Box<PermitLease>> {
    permit.filter(|_| request.method() != Method::HEAD)
}
