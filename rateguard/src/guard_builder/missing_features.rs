//! Functions of features that are disabled. A call of such a function is a compile error that names the feature.
//! Without these functions, the compiler would only report that it found no function of this name.

/// Compiles the items only if the feature is disabled.
macro_rules! if_disabled {
    ($feature:literal: $($item:item)*) => {
        $(#[cfg(not(feature = $feature))] $item)*
    };
}

// No type implements these traits, so every call of a function below is an error with the message of the trait.

if_disabled! { "config":
    #[diagnostic::on_unimplemented(
        message = "policies files require the feature `config` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `features = [\"config\"]`"
    )]
    pub trait ConfigFeature {}

    impl<S> crate::RateGuardBuilder<S> {
        #[doc(hidden)]
        pub fn policies_file<P: ConfigFeature>(self, _path: P) -> Self {
            self
        }

        #[doc(hidden)]
        pub fn policies_file_interval<I: ConfigFeature>(self, _interval: I) -> Self {
            self
        }
    }
}

if_disabled! { "redis":
    #[diagnostic::on_unimplemented(
        message = "a guard on Redis requires the feature `redis` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `features = [\"redis\"]`"
    )]
    pub trait RedisFeature {}

    impl crate::RateGuard {
        #[doc(hidden)]
        pub fn redis<U: RedisFeature>(_url: U) -> crate::RateGuardBuilder {
            Self::builder()
        }
    }
}

if_disabled! { "deadpool":
    #[diagnostic::on_unimplemented(
        message = "a guard on a pool requires the feature `deadpool` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `features = [\"deadpool\"]`"
    )]
    pub trait DeadpoolFeature {}

    impl crate::RateGuard {
        #[doc(hidden)]
        pub fn redis_pool<P: DeadpoolFeature>(_pool: P) -> crate::RateGuardBuilder {
            Self::builder()
        }
    }
}

if_disabled! { "upstash":
    #[diagnostic::on_unimplemented(
        message = "a guard at Upstash requires the feature `upstash` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `features = [\"upstash\"]`"
    )]
    pub trait UpstashFeature {}

    impl crate::RateGuard {
        #[doc(hidden)]
        pub fn upstash<U: UpstashFeature, T>(_url: U, _token: T) -> crate::RateGuardBuilder {
            Self::builder()
        }
    }
}
