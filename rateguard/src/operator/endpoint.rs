//! The list of the endpoints, with their paths and methods.

use actix_web::http::Method;

/// An endpoint that returns or accepts JSON.
#[derive(Clone, Copy)]
pub(super) enum Endpoint {
    Inventory,
    Policies,
    Overrides,
    Health,
    #[cfg(feature = "dashboard")]
    Statistics,
    Explain,
    Reset,
    Ban,
    Unban,
    SetOverride,
    RemoveOverride,
}

impl Endpoint {
    /// The path of each endpoint.
    pub(super) const ALL: &[(&'static str, Self)] = &[
        ("/inventory", Self::Inventory),
        ("/policies", Self::Policies),
        ("/overrides", Self::Overrides),
        ("/health", Self::Health),
        #[cfg(feature = "dashboard")]
        ("/statistics", Self::Statistics),
        ("/explain", Self::Explain),
        ("/reset", Self::Reset),
        ("/ban", Self::Ban),
        ("/unban", Self::Unban),
        ("/set_override", Self::SetOverride),
        ("/remove_override", Self::RemoveOverride),
    ];

    /// Returns the name of the action in the audit log. The result is `None` if the endpoint changes nothing.
    pub(super) fn action(self) -> Option<&'static str> {
        match self {
            Self::Reset => Some("reset"),
            Self::Ban => Some("ban"),
            Self::Unban => Some("unban"),
            Self::SetOverride => Some("set_override"),
            Self::RemoveOverride => Some("remove_override"),
            Self::Inventory | Self::Policies | Self::Overrides | Self::Health | Self::Explain => {
                None
            }
            #[cfg(feature = "dashboard")]
            Self::Statistics => None,
        }
    }

    pub(super) fn method(self) -> Method {
        match self {
            Self::Inventory | Self::Policies | Self::Overrides | Self::Health => Method::GET,
            #[cfg(feature = "dashboard")]
            Self::Statistics => Method::GET,
            Self::Explain
            | Self::Reset
            | Self::Ban
            | Self::Unban
            | Self::SetOverride
            | Self::RemoveOverride => Method::POST,
        }
    }
}
