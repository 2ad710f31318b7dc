//! Values with their locations in the text of a user.

/// A value, and its location in the source: a span of an attribute, or a byte offset of a file.
#[derive(Clone, Copy, Debug)]
pub struct Located<T, L> {
    /// The value.
    pub value: T,
    /// The location of the value.
    pub location: L,
}

/// An error in the fields of a limit.
#[derive(Clone, Debug)]
pub struct FieldError<L> {
    /// The location of the field with the error. `None` if a field is missing.
    pub location: Option<L>,
    /// What is expected.
    pub message: String,
}

impl<L> FieldError<L> {
    pub(crate) fn at(location: L, message: impl ToString) -> Self {
        Self { location: Some(location), message: message.to_string() }
    }
}
