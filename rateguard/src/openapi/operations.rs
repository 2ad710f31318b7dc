//! The operations of an OpenAPI document.

use utoipa::openapi::{OpenApi, path::Operation};

/// Calls the function for each operation of the document, with its path and its method in upper case.
pub(super) fn for_each_operation(
    api: &mut OpenApi,
    mut visit: impl FnMut(&str, &'static str, &mut Operation),
) {
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
            ("OPTIONS", &mut item.options),
            ("HEAD", &mut item.head),
            ("PATCH", &mut item.patch),
            ("TRACE", &mut item.trace),
        ] {
            if let Some(operation) = operation {
                visit(path, method, operation);
            }
        }
    }
}
