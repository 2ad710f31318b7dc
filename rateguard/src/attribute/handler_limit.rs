//! The limit of one macro attribute, with its policy.

use std::{
    panic::Location,
    sync::{Arc, atomic::AtomicU64},
};

use actix_rateguard_core::adapter::{
    LimitOrigin, NameRegistration, PLACEHOLDER_QUOTA, PolicySet, RouteOverrides,
};
use actix_web::{HttpRequest, http::Method};

use super::{
    handler_name::handler_name,
    key_input::KeyInput,
    settings::{Allowance, Settings},
};
use crate::{
    Policy, Quotas, applicability::LimitScope, count_rule::CountRule, key_probe::KeyProbe,
    limit_context::LimitContext, not_checked::NotChecked,
};

/// The limit of one macro attribute. The macro stores this value in a `static` inside the handler.
pub struct HandlerLimit {
    pub(crate) policy: PolicySource,
    pub(crate) scope: LimitScope,
    pub(crate) location: &'static Location<'static>,
    has_name: bool,
    /// The name of the limit of a middleware that this limit replaces.
    pub(super) replaces: Option<&'static str>,
    /// The id of the guard at which this limit last registered its name.
    pub(crate) registered_guard: AtomicU64,
    pub(super) key_probe: KeyProbe,
}

/// The policy of a limit, or the name of the policy if it is a policy of the guard.
pub(crate) enum PolicySource {
    Fixed(Policy),
    /// The policy has placeholder quotas. For each request, a function chooses quotas, which replace the placeholder
    /// quotas.
    PerRequest(Policy),
    /// The limit has the quotas of the guard's policy with this name.
    Named(&'static str),
}

impl HandlerLimit {
    /// Creates the limit of a macro attribute. If `settings` has no name, the limit's name is the path of the
    /// handler that contains the function `_handler`. For the second and each further limit of a handler, `#` and
    /// the number of the limit follow the path.
    #[track_caller]
    pub fn new<F>(settings: Settings, _handler: F) -> Self {
        let Settings { name, number, ban, shadow, on_error, .. } = settings;
        let policy = |quotas| {
            let policy = match (name, number) {
                (Some(name), _) => Policy::of_attribute(name, quotas, on_error),
                (None, number) => {
                    let mut name = handler_name::<F>();
                    if number > 1 {
                        name = format!("{name}#{number}");
                    }
                    Policy::of_attribute(&name, quotas, on_error).named_by_path()
                }
            };
            policy.with_ban(ban).with_shadow_spec(shadow)
        };
        let policy = match settings.allowance {
            Allowance::Fixed(quotas) => PolicySource::Fixed(policy(quotas)),
            Allowance::PerRequest => {
                PolicySource::PerRequest(policy(Quotas::from(PLACEHOLDER_QUOTA)))
            }
            Allowance::Named(name) => PolicySource::Named(name),
        };
        // The macro rejects invalid methods at compile time, so the filter removes no method here.
        let methods =
            settings.methods.iter().filter_map(|it| Method::from_bytes(it.as_bytes()).ok());
        let scope = LimitScope {
            methods: methods.collect(),
            missing: settings.missing,
            count: CountRule::Status(settings.count),
            plan_fallback: settings.plan_fallback.map(Arc::new),
            hides_headers: settings.hides_headers,
            is_permissive: settings.is_permissive,
            wait: settings.wait,
            ..LimitScope::default()
        };
        let location = Location::caller();
        Self {
            policy,
            scope,
            location,
            has_name: name.is_some(),
            replaces: settings.replaces,
            registered_guard: AtomicU64::new(0),
            key_probe: KeyProbe::default(),
        }
    }

    /// Returns whether the methods of the limit include the method of this request.
    pub fn applies_to(&self, policy_set: &PolicySet, request: &HttpRequest) -> bool {
        self.scope.has_method(self.overrides(policy_set), request)
    }

    /// Reads the request's key if the policies file sets a key for this limit. The key in the file overrides the
    /// key of the macro attribute. The result is `None` if the file sets no key.
    pub fn key(&self, policy_set: &PolicySet, request: &HttpRequest) -> Option<KeyInput> {
        let recipe = self.overrides(policy_set).key.as_ref()?;
        Some(KeyInput::of_recipe(recipe, request))
    }

    /// Returns the cost that the policies file sets. This cost overrides the cost of the macro attribute. The
    /// result is `None` if the file sets no cost.
    pub fn cost(&self, policy_set: &PolicySet) -> Option<u32> {
        self.overrides(policy_set).cost
    }

    /// Returns the settings in the policies file that override settings of the macro attribute.
    pub(crate) fn overrides<'a>(&self, policy_set: &'a PolicySet) -> &'a RouteOverrides {
        match &self.policy {
            PolicySource::Named(name) => {
                policy_set.peek_policy(name).map_or(RouteOverrides::NONE, |it| &it.overrides)
            }
            PolicySource::Fixed(_) | PolicySource::PerRequest(_) => RouteOverrides::NONE,
        }
    }

    /// Returns the limit's policy. If a function chooses the quotas for each request, the policy has placeholder
    /// quotas.
    ///
    /// Before the limit checks its first request with a guard, the function registers the limit's name at this
    /// guard.
    ///
    /// # Errors
    ///
    /// [`NotChecked::Misconfigured`] if the limit names a policy that the guard does not have, or if another limit
    /// has the same name, but a different quota, ban or shadow setting.
    pub(super) fn policy<'a>(
        &'a self,
        context: &LimitContext<'a>,
    ) -> Result<&'a Policy, NotChecked> {
        let registration = match self.name_registration() {
            Ok(registration) => registration,
            Err(name) => {
                let user = format_args!("the attribute at {}", self.location);
                // The guard has already registered the name, because it is the name of a policy of the guard.
                let policy = context.named_policy(name, user).map(|named| &named.policy)?;
                self.mark_registered(context);
                return Ok(policy);
            }
        };
        let policy = registration.policy;
        if !self.is_registered_with(context.guard) {
            context.register_name(registration)?;
            self.mark_registered(context);
        }
        Ok(policy)
    }

    /// Returns the data with which the limit registers its name at a guard.
    ///
    /// # Errors
    ///
    /// If the limit uses a policy of the guard, returns the name of this policy as the error.
    pub(crate) fn name_registration(&self) -> Result<NameRegistration<'_>, &'static str> {
        let (policy, is_fixed) = match &self.policy {
            PolicySource::Fixed(policy) => (policy, true),
            PolicySource::PerRequest(policy) => (policy, false),
            PolicySource::Named(name) => return Err(name),
        };
        let origin = LimitOrigin { location: self.location, has_name: self.has_name };
        Ok(NameRegistration { policy, is_fixed, origin })
    }
}
