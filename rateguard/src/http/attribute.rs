//! What the attribute expands to: a call of [`limited`].

use std::{sync::LazyLock, time::Instant};

use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, web};

use super::{
    enforce::{decided, enforce},
    headers::write_decision,
    refusal,
};
use crate::{Key, Policy, RateGuard, guard::Line};

/// A handler as actix-web calls it, with a limit in front: the check, then the extractors, then the function.
///
/// Without a `guard` it takes that of the application's data.
pub async fn limited<H, Args>(
    guard: Option<&RateGuard>,
    policy: &Policy,
    key: Key,
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse
where
    H: Handler<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    let Some(guard) = guard.or_else(|| guard_of(&request)) else {
        static LINE: LazyLock<Line> = LazyLock::new(|| Line::new(Instant::now()));
        if LINE.say(Instant::now()).is_some() {
            log::error!(
                target: "rateguard",
                "`{}` is rate-limited, but there is no `RateGuard` in the application's data; add `.app_data(guard.clone())` to the `App` or `limiter = …` to the attribute. It answers 500 until then",
                policy.name()
            );
        }
        return refusal::misconfigured();
    };

    let mut response = match enforce(guard, policy, &key, &request).await {
        Err(refusal) => refusal,
        Ok(()) => match Args::from_request(&request, &mut payload.into_inner()).await {
            Ok(arguments) => {
                handler.call(arguments).await.respond_to(&request).map_into_boxed_body()
            }
            Err(error) => HttpResponse::from_error(error),
        },
    };
    if let Some(decision) = decided(&request) {
        write_decision(&decision, response.headers_mut());
    }
    response
}

fn guard_of(request: &HttpRequest) -> Option<&RateGuard> {
    request.app_data().or_else(|| request.app_data::<web::Data<RateGuard>>().map(|data| &***data))
}
