//! Lets functions accept one address as text, or a list of addresses.

use std::iter::{self, Once};

/// One text or several texts, each with an IP address or a network such as `10.0.0.0/8`. The compiler infers the type
/// parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected an address or a network in quotes, or a list of them, found `{Self}`",
    note = "valid forms are \"10.0.0.1\" and [\"10.0.0.0/8\", \"fd00::/8\"]"
)]
pub trait AddressTexts<Kind> {
    /// The texts.
    #[doc(hidden)]
    type Texts: IntoIterator<Item: AsRef<str>>;

    /// Returns the texts.
    #[doc(hidden)]
    fn into_texts(self) -> Self::Texts;
}

/// Marks the implementations for one text.
#[doc(hidden)]
pub enum One {}

/// Marks the implementation for lists.
#[doc(hidden)]
pub enum Several {}

impl<'t> AddressTexts<One> for &'t str {
    type Texts = Once<&'t str>;

    fn into_texts(self) -> Self::Texts {
        iter::once(self)
    }
}

impl<'t> AddressTexts<One> for &'t String {
    type Texts = Once<&'t String>;

    fn into_texts(self) -> Self::Texts {
        iter::once(self)
    }
}

impl AddressTexts<One> for String {
    type Texts = Once<Self>;

    fn into_texts(self) -> Self::Texts {
        iter::once(self)
    }
}

impl<I: IntoIterator<Item: AsRef<str>>> AddressTexts<Several> for I {
    type Texts = I;

    fn into_texts(self) -> I {
        self
    }
}
