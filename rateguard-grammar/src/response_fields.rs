//! The error messages for the settings of a limit that concern the response to a request.

/// The error message for the setting `headers`, if its value is not a boolean.
pub const EXPECTED_HEADERS: &str =
    "expected true or false, without quotes; false leaves the limit out of the rate limit headers";

/// The error message for the setting `permissive`, if its value is not a boolean.
pub const EXPECTED_PERMISSIVE: &str =
    "expected true or false, without quotes; true passes denied requests to the handler";
