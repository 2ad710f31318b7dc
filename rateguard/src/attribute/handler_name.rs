//! Determines the name of a handler. If a macro attribute has no `name`, its limit has the name of the handler.

use std::any::type_name;

/// Returns the path of the handler that contains the function `F`, such as `shop::cart::add`. If the handler is in
/// an `impl` block, the path contains the name of the type.
pub(crate) fn handler_name<F>() -> String {
    name_of(type_name::<F>())
}

/// Returns the path of a handler. The argument is the path of an item inside the handler.
fn name_of(path: &str) -> String {
    // The last segment of the path is the item inside the handler, so this code removes it.
    let path = path.rsplit_once("::").map_or(path, |(handler, _)| handler);
    // The path also has the names of a closure and of a function that the macro generates. This code removes both.
    let path = path.replace("::{{closure}}", "").replace("::__rateguard_limit_inputs", "");
    // `#[get]` and similar macros of actix-web move the handler into a method of a type that has the handler's
    // name. The path of the handler is then `<shop::cart::add as actix_web::…>::register::add`.
    let name = path
        .strip_prefix('<')
        .and_then(|path| path.split_once("HttpServiceFactory>::register::"))
        .and_then(|(implementor, handler)| {
            let (ty, _) = implementor.split_once(" as ")?;
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
    fn name_is_the_module_and_function_of_the_handler() {
        for (path, name) in [
            ("shop::cart::add::{{closure}}::here", "shop::cart::add"),
            (
                "<shop::cart::add as actix_web::service::HttpServiceFactory>::register::add::{{closure}}::here",
                "shop::cart::add",
            ),
            // This is the path for the second of two macro attributes on one handler.
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
    fn type_name_of_an_item_is_parsed() {
        fn here() {}
        fn name<F>(_: F) -> String {
            handler_name::<F>()
        }
        assert_eq!(
            name(here),
            "actix_rateguard::attribute::handler_name::tests::type_name_of_an_item_is_parsed"
        );
    }
}
