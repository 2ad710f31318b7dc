//! Tests plans in a policies file. The program selects a plan by its name.

use actix_rateguard::{Limit, Plan, RateLimit, key, rate_limit};
use actix_web::{HttpRequest, Responder, get, test::TestRequest, web};

use super::without_polling;
use crate::support::{
    app::{from_client, send},
    folder::Folder,
};

#[get("/report")]
#[rate_limit(plan = |req: &HttpRequest| plan_of(req), key = "header:X-User")]
async fn report() -> impl Responder {
    "ok"
}

fn plan_of(request: &HttpRequest) -> Plan {
    let name = request.headers().get("X-Plan").map(|it| it.to_str().unwrap().to_owned());
    Plan::named(name.unwrap_or_default())
}

#[actix_web::test]
async fn plans_are_selected_by_name() {
    let folder = Folder::new();
    let path = folder.file(
        "rateguard.toml",
        "[plans]\nfree = \"1/minute; 9/hour\"\nenterprise = \"unlimited\"\n",
    );
    let guard = without_polling(path)
        .plan("free", Plan::of("8/minute"))
        .plan("pro", Plan::of("2/minute"))
        .build()
        .unwrap();
    let limit =
        RateLimit::new(&guard, Limit::plan(plan_of).key(key::header("X-User")).name("plans"));
    let resource = web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"));
    let app = app!(guard, report, resource);
    for path in ["/report", "/middleware"] {
        for (plan, expected) in [
            ("free", [200, 429, 429]),
            ("pro", [200, 200, 429]),
            ("enterprise", [200, 200, 200]),
            // The file does not have this plan. The guard must report an error and must not use a different plan.
            ("gold", [500, 500, 500]),
            ("", [500, 500, 500]),
        ] {
            let mut statuses = Vec::new();
            for _ in 0..3 {
                let request = TestRequest::get().uri(path);
                let request =
                    request.insert_header(("X-User", plan)).insert_header(("X-Plan", plan));
                statuses.push(send(&app, from_client(1, request)).await.status);
            }
            assert_eq!(statuses, expected, "{path} {plan}");
        }
    }
}
