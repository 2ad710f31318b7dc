//! Converts text or a list into the request methods of a limit.

use actix_rateguard_grammar::Methods;
use actix_web::http::Method;

/// A value that converts into a list of request methods. The value is text such as `"POST, PUT"`, or an iterator of
/// [`Method`](actix_web::http::Method)s. The compiler infers the type parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected request methods, found `{Self}`",
    note = "expected text such as \"POST, PUT\", or an iterator of `Method`s such as `[Method::POST]`"
)]
pub trait IntoMethods<Kind> {
    #[doc(hidden)]
    fn into_methods(self) -> Result<Vec<Method>, String>;
}

/// Marks the implementation of [`IntoMethods`] for text.
pub enum Text {}

/// Marks the implementation of [`IntoMethods`] for an iterator of methods.
pub enum Listed {}

impl IntoMethods<Text> for &str {
    fn into_methods(self) -> Result<Vec<Method>, String> {
        let methods: Methods = self.parse().map_err(|error| format!("{error}"))?;
        let names = methods.names().iter();
        let methods = names.map(|name| Method::from_bytes(name.as_bytes()));
        methods.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }
}

impl<I: IntoIterator<Item = Method>> IntoMethods<Listed> for I {
    fn into_methods(self) -> Result<Vec<Method>, String> {
        let methods: Vec<Method> = self.into_iter().collect();
        if methods.is_empty() {
            return Err("expected at least one method, found an empty list".to_owned());
        }
        Ok(methods)
    }
}
