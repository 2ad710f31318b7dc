//! The name of a handler, for a limit that was given none.

use std::any::type_name;

/// Module and function of the handler in which the function `F` is defined, such as `shop::cart::add`; with the type, if
/// it is defined in an `impl`.
pub(super) fn handler_name<F>() -> String {
    name_of(type_name::<F>())
}

/// The handler's part of the path of an item in it.
fn name_of(path: &str) -> String {
    // The last word is the item's own.
    let path = path.rsplit_once("::").map_or(path, |(handler, _)| handler);
    // The attribute's own function is in between.
    let path = path.replace("::{{closure}}", "").replace("::__rateguard_asked", "");
    // Below `#[get]` and its kin the handler is in a method that actix-web's macro writes for a type of its name:
    // `<shop::cart::add as actix_web::…>::register::add`.
    let name = path
        .strip_prefix('<')
        .and_then(|path| path.split_once("HttpServiceFactory>::register::"))
        .and_then(|(of_macro, handler)| {
            let (ty, _) = of_macro.split_once(" as ")?;
            let (module, _) = ty.rsplit_once("::")?;
            Some(format!("{module}::{handler}"))
        })
        .unwrap_or(path);
    name.replace([' ', '{', '}'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_called_by_its_module_and_function() {
        for (path, name) in [
            ("shop::cart::add::{{closure}}::here", "shop::cart::add"),
            (
                "<shop::cart::add as actix_web::service::HttpServiceFactory>::register::add::{{closure}}::here",
                "shop::cart::add",
            ),
            // The lower of two limits.
            (
                "<shop::cart::add as actix_web::service::HttpServiceFactory>::register::add::{{closure}}::add::{{closure}}::here",
                "shop::cart::add::add",
            ),
            ("shop::Cart::add::{{closure}}::here", "shop::Cart::add"),
            ("<shop::Cart as shop::Api>::add::{{closure}}::here", "<shop::Cart_as_shop::Api>::add"),
        ] {
            assert_eq!(name_of(path), name);
        }
    }

    #[test]
    fn a_real_path_is_as_expected() {
        fn here() {}
        fn name<F>(_: F) -> String {
            handler_name::<F>()
        }
        assert_eq!(name(here), "rateguard::http::handler_name::tests::a_real_path_is_as_expected");
    }
}
