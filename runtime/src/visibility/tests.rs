//! The question over real connections, and what each answer means.

use super::*;
use crate::config::Config;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use std::path::Path;

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";

type Answer = fn(&Uri, &HeaderMap) -> Response;

/// Serves one answer on loopback; returns the repository's address.
async fn serve(answer: Answer) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .fallback(async |State(answer): State<Answer>, uri: Uri, headers: HeaderMap| answer(&uri, &headers))
        .with_state(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/shop/retail.git")
}

fn watch(url: &str, more: &str) -> Arc<VisibilityWatch> {
    let text = format!(
        "data_dir = \"d\"\ntag_root = \"env:X\"\n[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n[visibility]\ntimeout_ms = 5000\n{more}\n[[mirror]]\nid = \"m\"\n\
         stack = \"https://a.keboola.com\"\nproject_id = \"1\"\ntoken = \"env:X\"\nrepository = \"file:r.git\"\n\
         visibility_url = \"{url}\"\n"
    );
    let config = Config::parse(&text, Path::new("mirror.toml")).unwrap();
    VisibilityWatch::new(&config.mirrors[0], &config.visibility, &config.git).unwrap()
}

#[track_caller]
fn advertised(uri: &Uri, headers: &HeaderMap) -> Response {
    assert_eq!(
        uri.path_and_query().map(ToString::to_string).as_deref(),
        Some("/shop/retail.git/info/refs?service=git-upload-pack")
    );
    for name in ["authorization", "cookie", "x-storageapi-token"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    (
        [("content-type", ADVERTISEMENT)],
        "001e# service=git-upload-pack\n0000",
    )
        .into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_a_stranger_tell_who_may_read() {
    let cases: [(Answer, Visibility); 14] = [
        (advertised, Visibility::Public),
        (
            |_, _| StatusCode::UNAUTHORIZED.into_response(),
            Visibility::Private,
        ),
        (|_, _| StatusCode::FORBIDDEN.into_response(), Visibility::Private),
        (|_, _| StatusCode::NOT_FOUND.into_response(), Visibility::Private),
        (|_, _| StatusCode::GONE.into_response(), Visibility::Unknown),
        (
            |_, _| StatusCode::PROXY_AUTHENTICATION_REQUIRED.into_response(),
            Visibility::Unknown,
        ),
        (
            |_, _| StatusCode::NON_AUTHORITATIVE_INFORMATION.into_response(),
            Visibility::Unknown,
        ),
        (
            |_, _| (StatusCode::FOUND, [("location", "/users/sign_in")]).into_response(),
            Visibility::Unknown,
        ),
        // Too many questions are no answer.
        (
            |_, _| (StatusCode::FORBIDDEN, [("retry-after", "soon")]).into_response(),
            Visibility::Unknown,
        ),
        (
            |_, _| (StatusCode::FORBIDDEN, [("x-ratelimit-remaining", "0")]).into_response(),
            Visibility::Unknown,
        ),
        (
            |_, _| StatusCode::TOO_MANY_REQUESTS.into_response(),
            Visibility::Unknown,
        ),
        (
            |_, _| StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Visibility::Unknown,
        ),
        // A page to log in on.
        (
            |_, _| ([("content-type", "text/html")], "<html>Sign in</html>").into_response(),
            Visibility::Unknown,
        ),
        (
            |_, _| ([("content-type", ADVERTISEMENT)], "nonsense").into_response(),
            Visibility::Unknown,
        ),
    ];
    for (index, (answer, expected)) in cases.into_iter().enumerate() {
        let url = serve(answer).await;
        assert_eq!(watch(&url, "").ask().await, expected, "case {index}");
    }
    // Nobody listens.
    assert_eq!(
        watch("http://127.0.0.1:9/x.git", "").ask().await,
        Visibility::Unknown
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_on_the_same_host_only() {
    let within: Answer = |uri, _| match uri.path().starts_with("/moved/") {
        true => ([("content-type", ADVERTISEMENT)], "000eversion 2\n0000").into_response(),
        false => (StatusCode::FOUND, [("location", "/moved/info/refs")]).into_response(),
    };
    assert_eq!(watch(&serve(within).await, "").ask().await, Visibility::Public);
    let away: Answer = |_, _| (StatusCode::FOUND, [("location", "http://localhost:1/")]).into_response();
    assert_eq!(watch(&serve(away).await, "").ask().await, Visibility::Unknown);
    let around: Answer = |uri, _| {
        let location = format!("{}x", uri.path());
        (StatusCode::FOUND, [("location", location)]).into_response()
    };
    assert_eq!(watch(&serve(around).await, "").ask().await, Visibility::Unknown);
}

#[tokio::test]
async fn an_address_that_may_not_be_used_is_not_asked() {
    let text = "data_dir = \"d\"\ntag_root = \"env:X\"\n[[mirror]]\nid = \"m\"\nstack = \"https://a.keboola.com\"\n\
         project_id = \"1\"\ntoken = \"env:X\"\nrepository = \"file:r.git\"\n\
         visibility_url = \"https://169.254.169.254/x.git\"\n";
    let config = Config::parse(text, Path::new("mirror.toml")).unwrap();
    let refused = VisibilityWatch::new(&config.mirrors[0], &config.visibility, &config.git).unwrap_err();
    let said = crate::app::chain(&refused);
    assert!(said.contains("169.254.169.254"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_host_is_private_and_is_not_asked() {
    let url = serve(|_, _| panic!("nobody asks")).await;
    let watch = watch(&url, "private_hosts = [\"127.0.0.1\"]");
    assert_eq!(watch.ask().await, Visibility::Private);
    assert!(!watch.may_change());
}

#[test]
fn the_public_gets_neither_samples_nor_ciphertext() {
    let spec = |settings: &str| {
        let text = format!(
            "data_dir = \"d\"\ntag_root = \"env:X\"\n[[mirror]]\nid = \"m\"\nstack = \"https://a.keboola.com\"\n\
             project_id = \"1\"\ntoken = \"env:X\"\nrepository = \"file:r.git\"\n{settings}\n"
        );
        let config = Config::parse(&text, Path::new("mirror.toml")).unwrap();
        config.mirrors[0].clone()
    };
    let check = |settings: &str, visibility, samples, secrets, blocked: (bool, bool)| {
        let expected = Exports {
            samples,
            secrets,
            samples_blocked: blocked.0,
            encrypted_blocked: blocked.1,
        };
        assert_eq!(
            Exports::of(&spec(settings), visibility),
            expected,
            "{settings} {visibility:?}"
        );
    };
    use SecretsChoice::{Encrypted, Masked, Omitted};
    let no = (false, false);
    check("samples = true", Visibility::Private, true, Encrypted, no);
    check("samples = true", Visibility::Public, false, Masked, (true, false));
    check(
        "samples = true",
        Visibility::Unknown,
        false,
        Masked,
        (true, false),
    );
    check(
        "secrets = \"encrypted\"",
        Visibility::Public,
        false,
        Masked,
        (false, true),
    );
    check(
        "secrets = \"encrypted\"",
        Visibility::Private,
        false,
        Encrypted,
        no,
    );
    check("secrets = \"omitted\"", Visibility::Public, false, Omitted, no);
    check("secrets = \"omitted\"", Visibility::Private, false, Omitted, no);
}
