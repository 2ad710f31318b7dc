//! The responses with the files of the page. Their headers forbid browsers everything that the page does not need.

use actix_web::{
    HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::files::{FILES, FOLDER, HTML, INDEX};

/// The page loads scripts, styles and data only from its own server, and no other page can embed it. With Trusted Types,
/// a script cannot turn text into markup.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Returns the page, for the path `dashboard`.
pub(crate) fn index() -> HttpResponse {
    build(HTML, INDEX.to_owned())
}

/// Returns the page, for the path `dashboard/`. From there, the other files are in the same folder as the page.
pub(crate) fn index_below() -> HttpResponse {
    build(HTML, INDEX.replace(&format!("=\"{FOLDER}"), "=\""))
}

/// Returns the file of the page with this name. `None` if there is no such file.
pub(crate) fn file(name: &str) -> Option<HttpResponse> {
    let (_, media_type, text) = FILES.iter().find(|(file, ..)| *file == name)?;
    Some(build(media_type, (*text).to_owned()))
}

fn build(media_type: &'static str, text: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_SECURITY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
        .insert_header(("Permissions-Policy", "camera=(), geolocation=(), microphone=()"))
        .body(text)
}

#[cfg(test)]
mod tests {
    use actix_web::body::{BodySize, MessageBody};

    use super::*;

    #[test]
    fn page_below_its_folder_has_links_without_the_folder() {
        let size = |response: HttpResponse| match response.into_body().size() {
            BodySize::Sized(size) => size,
            other => panic!("{other:?}"),
        };
        let links = INDEX.matches(&format!("=\"{FOLDER}")).count() as u64;
        assert!(links > 0);
        assert_eq!(size(index()) - size(index_below()), links * FOLDER.len() as u64);
    }

    #[test]
    fn unknown_file_is_none() {
        for name in ["", "index.html", "../mod.rs", "style.css/", "STYLE.CSS"] {
            assert!(file(name).is_none(), "{name}");
        }
    }
}
