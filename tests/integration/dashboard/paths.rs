//! Tests that the page finds its files and its data below any path.

use actix_rateguard::{RateGuard, operator};
use actix_web::{App, HttpRequest, test::init_service, web};

use super::links;
use crate::support::app::get;

/// Returns the path of a link on the page at `base`, as a browser determines it for the links of the page.
fn resolve(base: &str, link: &str) -> String {
    assert!(!link.starts_with('/') && !link.contains(".."), "{link}");
    let (folder, _) = base.rsplit_once('/').unwrap();
    format!("{folder}/{link}")
}

#[actix_web::test]
async fn links_work_below_every_prefix_with_and_without_a_slash() {
    let guard = RateGuard::in_memory();
    for prefix in ["", "/operator", "/internal/rate-limits"] {
        let endpoints = operator::endpoints(&guard).allow_if(|_: &HttpRequest| true);
        let app = init_service(App::new().service(web::scope(prefix).service(endpoints))).await;
        for path in ["/dashboard", "/dashboard/"] {
            let base = format!("{prefix}{path}");
            let page = get(&app, 1, &base).await;
            assert_eq!(page.status, 200, "{base}");
            let links = links(&page.body);
            assert!(links.iter().any(|link| link.ends_with("main.js")), "{base}: {links:?}");
            for link in links {
                let path = resolve(&base, link);
                assert_eq!(
                    path,
                    format!("{prefix}/dashboard/{}", link.rsplit('/').next().unwrap())
                );
                assert_eq!(get(&app, 1, &path).await.status, 200, "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn scripts_import_only_files_of_the_dashboard() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().service(super::endpoints(&guard))).await;
    let mut files = vec!["main.js".to_owned()];
    let mut visited = 0;
    while visited < files.len() {
        let path = format!("/operator/dashboard/{}", files[visited]);
        let file = get(&app, 1, &path).await;
        assert_eq!(file.status, 200, "{path}");
        for import in file.body.split(" from \"").skip(1) {
            let name =
                import.split('"').next().unwrap().strip_prefix("./").expect("a relative path");
            if !files.iter().any(|file| file == name) {
                files.push(name.to_owned());
            }
        }
        visited += 1;
    }
    assert!(visited >= 15, "{files:?}");
}
