//! Compiles and runs the code blocks of the documents as doctests.

/// Declares a module for each document.
macro_rules! documents {
    ($($name:ident: $path:literal,)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../../../docs/", $path))]
        mod $name {}
    )*};
}

documents! {
    algorithms: "algorithms.md",
    attribute_and_middleware: "attribute-and-middleware.md",
    bans: "bans.md",
    costs: "costs.md",
    exemptions: "exemptions.md",
    getting_started: "getting-started.md",
    glossary: "glossary.md",
    keys: "keys.md",
    middleware_order: "middleware-order.md",
    migration_from_actix_extensible_rate_limit: "migration/from-actix-extensible-rate-limit.md",
    migration_from_actix_governor: "migration/from-actix-governor.md",
    migration_from_actix_limitation: "migration/from-actix-limitation.md",
    migration_from_actix_ratelimit: "migration/from-actix-ratelimit.md",
    migration_from_aspnet_core: "migration/from-aspnet-core.md",
    migration_from_bucket4j: "migration/from-bucket4j.md",
    migration_from_express_rate_limit: "migration/from-express-rate-limit.md",
    migration_from_flask_limiter: "migration/from-flask-limiter.md",
    operating: "operating.md",
    performance: "performance.md",
    plans: "plans.md",
    policies_file: "policies-file.md",
    production_checklist: "production-checklist.md",
    proxies: "proxies.md",
    redis: "redis.md",
    redis_failures: "redis-failures.md",
    responses: "responses.md",
    security: "security.md",
    shadow_mode: "shadow-mode.md",
    special_routes: "special-routes.md",
    stores: "stores.md",
    telemetry: "telemetry.md",
    testing: "testing.md",
    troubleshooting: "troubleshooting.md",
    under_attack: "under-attack.md",
}
