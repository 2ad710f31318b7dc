//! The macro that implements `Debug` for error types of all crates of the limiter.

/// Implements `Debug` with the text of `Display`, followed by the sources of the error. If `main` returns an error,
/// Rust prints the error with `Debug`, so the text must be readable.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_as_display {
    ($error:ty) => {
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)?;
                let mut source = std::error::Error::source(self);
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    };
}

pub(crate) use debug_as_display;
