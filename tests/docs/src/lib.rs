//! Compiles and runs the code blocks of the documents as doctests.

/// Declares a module for each document.
macro_rules! documents {
    ($($name:ident: $path:literal,)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../../../docs/", $path))]
        mod $name {}
    )*};
}

documents! {
    algorithms: "algorithms.md",
    attribute_and_middleware: "attribute-and-middleware.md",
    costs: "costs.md",
    getting_started: "getting-started.md",
    glossary: "glossary.md",
    keys: "keys.md",
    stores: "stores.md",
    under_attack: "under-attack.md",
}
