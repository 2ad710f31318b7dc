//! Functions of features that are disabled. A call of such a function is a compile error that names the feature.
//! Without these functions, the compiler would only report that it found no function of this name.

/// Compiles the items only if all of the features are disabled.
macro_rules! if_disabled {
    ($feature:literal $(, $others:literal)*: $($item:item)*) => {
        if_disabled!(@items not(any(feature = $feature $(, feature = $others)*)); $($item)*);
    };
    (@items $condition:meta; $($item:item)*) => {
        $(#[cfg($condition)] $item)*
    };
}

// No type implements these traits, so every call of a function below is an error with the message of the trait. The
// compiler cannot infer the return type `B` of a function that creates a builder. After the first error, it reports
// neither this problem nor an error for a method of the builder.

if_disabled! { "config":
    #[diagnostic::on_unimplemented(
        message = "policies files require the feature `config` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"config\"] }}`"
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

if_disabled! { "dashboard":
    #[diagnostic::on_unimplemented(
        message = "statistics require the feature `dashboard` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"dashboard\"] }}`"
    )]
    pub trait DashboardFeature {}

    impl<S> crate::RateGuardBuilder<S> {
        #[doc(hidden)]
        pub fn statistics<T: DashboardFeature>(self, _statistics: T) -> Self {
            self
        }
    }
}

if_disabled! { "redis":
    #[diagnostic::on_unimplemented(
        message = "a guard on Redis requires the feature `redis` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"redis\"] }}`"
    )]
    pub trait RedisFeature {
        fn builder<B>(self) -> B;
    }

    impl crate::RateGuard {
        #[doc(hidden)]
        pub fn redis<U: RedisFeature, B>(url: U) -> B {
            url.builder()
        }
    }
}

if_disabled! { "redis", "upstash":
    impl<S> crate::RateGuardBuilder<S> {
        #[doc(hidden)]
        pub fn prefix<P: RedisFeature>(self, _prefix: P) -> Self {
            self
        }
    }
}

// The builder for Upstash always has a method with the name `tls`.
#[cfg(any(feature = "redis", not(feature = "upstash")))]
if_disabled! { "tls":
    #[diagnostic::on_unimplemented(
        message = "certificates for Redis require the feature `tls` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"tls\"] }}`"
    )]
    pub trait TlsFeature {}

    #[cfg(feature = "upstash")]
    impl crate::RateGuardBuilder<crate::builder::Redis> {
        #[doc(hidden)]
        pub fn tls<T: TlsFeature>(self, _tls: T) -> Self {
            self
        }
    }
}

if_disabled! { "tls", "upstash":
    impl<S> crate::RateGuardBuilder<S> {
        #[doc(hidden)]
        pub fn tls<T: TlsFeature>(self, _tls: T) -> Self {
            self
        }
    }
}

if_disabled! { "deadpool":
    #[diagnostic::on_unimplemented(
        message = "a guard on a pool requires the feature `deadpool` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"deadpool\"] }}`"
    )]
    pub trait DeadpoolFeature {
        fn builder<B>(self) -> B;
    }

    impl crate::RateGuard {
        #[doc(hidden)]
        pub fn redis_pool<P: DeadpoolFeature, B>(pool: P) -> B {
            pool.builder()
        }
    }
}

if_disabled! { "upstash":
    #[diagnostic::on_unimplemented(
        message = "a guard at Upstash requires the feature `upstash` of `actix-rateguard`",
        label = "enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"upstash\"] }}`"
    )]
    pub trait UpstashFeature {
        fn builder<B>(self) -> B;
    }

    impl crate::RateGuard {
        #[doc(hidden)]
        pub fn upstash<U: UpstashFeature, T, B>(url: U, _token: T) -> B {
            url.builder()
        }
    }
}
