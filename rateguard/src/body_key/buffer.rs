//! Reads the start of a request body, and hands the whole body on.

use actix_web::{
    HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::header::CONTENT_LENGTH,
    web::{Bytes, BytesMut},
};
use futures_util::{StreamExt, stream};

use super::buffered_body::{BodyFormat, BufferedBody};

/// Returns whether the body may have a key, by the header fields of the request. The result is `false` if there is no
/// body, if RateGuard reads no keys from its format, and if it is longer than `max` bytes.
pub(crate) fn may_have_key(request: &HttpRequest, payload: &Payload, max: usize) -> bool {
    if matches!(payload, Payload::None) || BodyFormat::of(request).is_none() {
        return false;
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    // The length of a chunked body is unknown. The number of bytes that are read is bounded anyway.
    length.is_none_or(|length| length.parse().is_ok_and(|length: usize| length <= max))
}

/// Records that the body is not read, so the request has no key in its body.
pub(crate) fn skip(request: &HttpRequest) {
    BufferedBody::store(request, None);
}

/// Reads the body of a request until it ends, or until more than `max` bytes have arrived, and stores it in the
/// request. A body that is longer, and a body that ends with an error, have no key.
///
/// Afterwards, the payload has the whole body again: the bytes that were read, a chunk or an error that did not fit,
/// and the rest, in this order.
pub(crate) async fn buffer(request: &HttpRequest, payload: &mut Payload, max: usize) {
    let mut read = BytesMut::new();
    let next = loop {
        match payload.next().await {
            // The bytes are copied, so a body of many tiny chunks needs no memory for each chunk.
            Some(Ok(chunk)) if read.len() + chunk.len() <= max => read.extend_from_slice(&chunk),
            next => break next,
        }
    };
    let read = read.freeze();
    BufferedBody::store(request, next.is_none().then(|| read.clone()));
    *payload = joined(read, next, payload.take());
}

/// Returns a payload with these parts, in order.
fn joined(read: Bytes, next: Option<Result<Bytes, PayloadError>>, rest: Payload) -> Payload {
    let is_complete = next.is_none();
    let first = (!read.is_empty()).then_some(Ok(read));
    let start = stream::iter(first.into_iter().chain(next));
    let payload = if is_complete { start.boxed_local() } else { start.chain(rest).boxed_local() };
    Payload::Stream { payload }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use actix_web::{http::header::CONTENT_TYPE, test::TestRequest};
    use futures_util::FutureExt;

    use super::*;

    type Chunk = Result<&'static str, PayloadError>;

    fn json() -> HttpRequest {
        TestRequest::post().insert_header((CONTENT_TYPE, "application/json")).to_http_request()
    }

    /// Buffers these chunks. Returns the key body, the number of chunks that were read, and the body that is handed on.
    fn buffered(chunks: Vec<Chunk>, max: usize) -> (Option<Bytes>, usize, Vec<String>) {
        let polled = Rc::new(Cell::new(0));
        let counter = Rc::clone(&polled);
        let chunks = stream::iter(chunks).map(move |chunk| {
            counter.set(counter.get() + 1);
            chunk.map(|text| Bytes::from_static(text.as_bytes()))
        });
        let (request, mut payload) = (json(), Payload::Stream { payload: chunks.boxed_local() });
        buffer(&request, &mut payload, max).now_or_never().unwrap();
        let (body, read) = (BufferedBody::bytes(&request, BodyFormat::Json), polled.get());
        let handed_on = payload.map(|chunk| match chunk {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Err(error) => format!("error: {error}"),
        });
        (body, read, handed_on.collect::<Vec<_>>().now_or_never().unwrap())
    }

    #[test]
    fn body_within_the_bound_is_buffered_and_handed_on() {
        let (body, read, handed_on) = buffered(vec![Ok("{\"a\""), Ok(":1}")], 7);
        assert_eq!((body, read), (Some(Bytes::from("{\"a\":1}")), 2));
        assert_eq!(handed_on.concat(), "{\"a\":1}");
        let (body, _, handed_on) = buffered(vec![], 7);
        assert_eq!((body, handed_on), (Some(Bytes::new()), vec![]));
    }

    #[test]
    fn longer_body_is_handed_on_in_order_after_one_chunk_too_many() {
        let (body, read, handed_on) = buffered(vec![Ok("ab"), Ok("cd"), Ok("ef"), Ok("gh")], 5);
        assert_eq!((body, read), (None, 3));
        assert_eq!(handed_on, ["abcd", "ef", "gh"]);
    }

    #[test]
    fn error_of_a_body_is_handed_on_at_its_place() {
        let failed = || Err(PayloadError::Incomplete(None));
        let (body, read, handed_on) = buffered(vec![Ok("ab"), failed(), Ok("cd")], 5);
        assert_eq!((body, read), (None, 2));
        assert_eq!(
            handed_on,
            [
                "ab".to_owned(),
                format!("error: {}", PayloadError::Incomplete(None)),
                "cd".to_owned()
            ]
        );
        let (body, read, handed_on) = buffered(vec![Ok("abcdef"), failed()], 5);
        assert_eq!((body, read, handed_on.len()), (None, 1, 2));
    }

    #[test]
    fn header_fields_of_other_bodies_exclude_a_key() {
        let stream = || Payload::Stream { payload: stream::empty().boxed_local() };
        assert!(may_have_key(&json(), &stream(), 10));
        assert!(!may_have_key(&json(), &Payload::None, 10));
        assert!(!may_have_key(&TestRequest::post().to_http_request(), &stream(), 10));
        for (length, expected) in [("10", true), ("11", false), ("99999999999999999999999", false)]
        {
            let request = TestRequest::post().insert_header((CONTENT_TYPE, "application/json"));
            let request = request.insert_header((CONTENT_LENGTH, length)).to_http_request();
            assert_eq!(may_have_key(&request, &stream(), 10), expected, "{length}");
        }
    }
}
