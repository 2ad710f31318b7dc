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
    under_attack: "under-attack.md",
}
