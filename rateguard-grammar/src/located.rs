//! Defines values with their locations in the user's source text.

/// A value and its location in the source. The location is a span in the code of a macro attribute, or a byte offset in
/// a policies file.
#[derive(Clone, Copy, Debug)]
pub struct Located<T, L> {
    /// The value that the user wrote.
    pub value: T,
    /// The location of the value in the source.
    pub location: L,
}

/// An error in the fields that define a limit.
#[derive(Clone, Debug)]
pub struct FieldError<L> {
    /// The location of the invalid field. `None` if a field is missing.
    pub location: Option<L>,
    /// The error message, which says what is expected.
    pub message: String,
}

impl<L> FieldError<L> {
    pub(crate) fn at(location: L, message: impl ToString) -> Self {
        Self { location: Some(location), message: message.to_string() }
    }
}
