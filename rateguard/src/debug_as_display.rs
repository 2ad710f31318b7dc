//! `Debug` for errors.

/// Implements `Debug` with the sentence of `Display`, followed by the sources: a `main` that returns an error prints it
/// with `Debug`.
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
