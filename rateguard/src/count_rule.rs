//! The rule that determines which responses make a limit count a request: a [`Count`], or a function of the
//! application.

use std::sync::Arc;

use actix_web::HttpResponse;

use crate::Count;

/// The rule that determines which responses make a limit count a request.
#[doc(hidden)]
#[derive(Clone)]
pub enum CountRule {
    Status(Count),
    Function(CountFunction),
}

/// A function of the application that returns whether a response makes a limit count the request.
pub(crate) type CountFunction = Arc<dyn Fn(&HttpResponse<()>) -> bool + Send + Sync>;

impl Default for CountRule {
    fn default() -> Self {
        Self::Status(Count::default())
    }
}

impl CountRule {
    /// Returns the setting, or `None` if a function is the rule.
    pub(crate) fn setting(&self) -> Option<Count> {
        match self {
            Self::Status(count) => Some(*count),
            Self::Function(_) => None,
        }
    }

    /// Returns the rule for one request. A setting in the policies file overrides the rule.
    pub(crate) fn overridden_by(&self, setting: Option<Count>) -> Self {
        setting.map_or_else(|| self.clone(), Self::Status)
    }

    /// Returns whether the request counts regardless of its response.
    pub(crate) fn counts_always(&self) -> bool {
        matches!(self, Self::Status(Count::All))
    }

    /// Returns whether the rule reads more of the response than its status.
    pub(crate) fn reads_response(&self) -> bool {
        matches!(self, Self::Function(_))
    }

    /// Returns whether this response makes the request count.
    pub(crate) fn counts(&self, response: &HttpResponse<()>) -> bool {
        match self {
            Self::Status(count) => count.counts(response.status().as_u16()),
            Self::Function(function) => function(response),
        }
    }
}
