//! Keystone's token call in front of a real Swift.
//!
//! A stand-in: Keystone itself wants a database and a web server. It takes one user and one application
//! credential, answers as the Identity API v3 says, and gives the tokens of Swift's own TempAuth, which Swift then takes.

use axum::Json;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{KEY, Swift, log_in_later};
use crate::runtime;

/// The stand-in; gone when dropped.
pub struct Keystone {
    port: u16,
    _runtime: Runtime,
}

impl Keystone {
    /// Starts it; Swift is reached through whoever listens on `swift`.
    pub fn start(swift: u16) -> Self {
        Self::announcing(swift, format!("http://127.0.0.1:{swift}"))
    }

    /// The same for a Swift that has another address in the catalogue: one that begins with `public`.
    pub fn announcing(swift: u16, public: String) -> Self {
        let (runtime, port, listener) = runtime::serving("keystone");
        let service = Router::new().route("/v3/auth/tokens", post(move |body| tokens(swift, public, body)));
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { port, _runtime: runtime }
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `OS_AUTH_URL` is to be.
    pub fn auth(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The variables of a login by password.
    pub fn password_variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OS_AUTH_URL", self.auth()),
            ("OS_USERNAME", "keeper".to_owned()),
            ("OS_PASSWORD", KEY.to_owned()),
            ("OS_PROJECT_NAME", "beacon".to_owned()),
            ("OS_USER_DOMAIN_NAME", "Default".to_owned()),
            ("OS_PROJECT_DOMAIN_NAME", "Default".to_owned()),
            ("OS_REGION_NAME", "one".to_owned()),
        ]
    }

    /// The variables of a login by an application credential.
    pub fn credential_variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OS_AUTH_URL", format!("{}/v3", self.auth())),
            ("OS_APPLICATION_CREDENTIAL_ID", "credential".to_owned()),
            ("OS_APPLICATION_CREDENTIAL_SECRET", KEY.to_owned()),
            ("OS_REGION_NAME", "one".to_owned()),
        ]
    }
}

async fn tokens(swift: u16, public: String, Json(request): Json<Value>) -> Response {
    let auth = &request["auth"];
    let domain = json!({ "name": "Default" });
    let user = json!({ "name": "keeper", "domain": domain, "password": KEY });
    let by_password = json!({
        "identity": { "methods": ["password"], "password": { "user": user } },
        "scope": { "project": { "name": "beacon", "domain": domain } },
    });
    let credential = json!({ "id": "credential", "secret": KEY });
    let by_credential = json!({
        "identity": { "methods": ["application_credential"], "application_credential": credential },
    });
    if *auth != by_password && *auth != by_credential {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": { "code": 401 } }))).into_response();
    }
    let Ok((storage, token)) = log_in_later(&Swift::auth(swift)).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let storage = storage.replace(&format!("http://127.0.0.1:{swift}"), &public);
    let mut headers = HeaderMap::new();
    headers.insert("x-subject-token", token.parse().expect("it came in a header"));
    let end = |region: &str, url: &str| json!({ "region": region, "interface": "public", "url": url });
    let ends = [end("one", &storage), end("two", "http://127.0.0.1:9/")];
    let catalog = json!([{ "type": "identity", "endpoints": [] }, { "type": "object-store", "endpoints": ends }]);
    (StatusCode::CREATED, headers, Json(json!({ "token": { "catalog": catalog } }))).into_response()
}
