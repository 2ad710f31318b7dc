//! The body of a request, from which limits read keys.

use actix_web::{HttpMessage, HttpRequest, http::header::CONTENT_ENCODING, web::Bytes};

/// The body of a request. The extensions of the request have this value after RateGuard has read the body for a key.
pub(crate) struct BufferedBody {
    /// The format and all bytes of the body. `None` if no key can be read from the body.
    content: Option<(BodyFormat, Bytes)>,
}

/// The format of a body from which RateGuard can read keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    Form,
}

impl BodyFormat {
    /// Returns the format of the body of a request by the same rules as actix-web's `Json` and `Form`. Returns `None`
    /// for another format and for a compressed body.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        // Decompression would multiply the bytes that a client makes the server process before any limit counts it. An
        // extractor of actix-web decompresses the body, so the compressed bytes must not be used as its text.
        let is_plain = |encoding: &[u8]| encoding.trim_ascii().eq_ignore_ascii_case(b"identity");
        if !request.headers().get_all(CONTENT_ENCODING).all(|it| is_plain(it.as_bytes())) {
            return None;
        }
        let media_type = request.mime_type().ok()??;
        let is_json = |name: &str| name.eq_ignore_ascii_case("json");
        if is_json(media_type.subtype().as_str())
            || media_type.suffix().is_some_and(|it| is_json(it.as_str()))
        {
            return Some(Self::Json);
        }
        let is_form =
            request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded");
        // In another charset, other bytes are the same text. A client could choose the charset to get another key.
        let is_utf_8 = request.encoding().is_ok_and(|charset| charset.name() == "UTF-8");
        (is_form && is_utf_8).then_some(Self::Form)
    }
}

impl BufferedBody {
    /// Stores the body in the request. `bytes` is `None` if RateGuard has not read the whole body.
    pub(super) fn store(request: &HttpRequest, bytes: Option<Bytes>) {
        let content = bytes.and_then(|bytes| Some((BodyFormat::of(request)?, bytes)));
        request.extensions_mut().insert(Self { content });
    }

    /// Returns whether RateGuard has read the body of this request for a key.
    pub(crate) fn is_stored(request: &HttpRequest) -> bool {
        request.extensions().contains::<Self>()
    }

    /// Returns the bytes of the body if the request has a body of this format.
    pub(crate) fn bytes(request: &HttpRequest, format: BodyFormat) -> Option<Bytes> {
        let extensions = request.extensions();
        let content = extensions.get::<Self>()?.content.as_ref();
        content.filter(|(its_format, _)| *its_format == format).map(|(_, bytes)| bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::CONTENT_TYPE, test::TestRequest};

    use super::*;

    fn format(media_type: &'static str) -> Option<BodyFormat> {
        let request = TestRequest::post().insert_header((CONTENT_TYPE, media_type));
        BodyFormat::of(&request.to_http_request())
    }

    #[test]
    fn format_follows_the_rules_of_extractors() {
        for media_type in [
            "application/json",
            "Application/JSON; charset=latin1",
            "application/scim+json",
            "text/json",
        ] {
            assert_eq!(format(media_type), Some(BodyFormat::Json), "{media_type}");
        }
        for media_type in [
            "application/x-www-form-urlencoded",
            "application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=utf8",
        ] {
            assert_eq!(format(media_type), Some(BodyFormat::Form), "{media_type}");
        }
        for media_type in [
            "",
            "json",
            "text/plain",
            "application/jsonp",
            "multipart/form-data; boundary=a",
            "application/x-www-form-urlencoded; charset=utf-16le",
            "application/x-www-form-urlencoded; charset=unknown",
        ] {
            assert_eq!(format(media_type), None, "{media_type}");
        }
    }

    #[test]
    fn compressed_body_has_no_format() {
        for (encodings, expected) in [
            (&["identity"][..], Some(BodyFormat::Json)),
            (&["Identity "], Some(BodyFormat::Json)),
            (&["gzip"], None),
            (&["identity", "gzip"], None),
            (&["unknown"], None),
        ] {
            let json = TestRequest::post().insert_header((CONTENT_TYPE, "application/json"));
            let request = encodings
                .iter()
                .fold(json, |it, encoding| it.append_header((CONTENT_ENCODING, *encoding)));
            assert_eq!(BodyFormat::of(&request.to_http_request()), expected, "{encodings:?}");
        }
    }
}
