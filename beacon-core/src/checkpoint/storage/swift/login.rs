//! Logging in to OpenStack Swift: Keystone v3, or the older TempAuth (v1) that stand-alone Swift has.
//!
//! Sources: Identity API v3, "Authentication and token management"; Swift's `tempauth` middleware.

use std::fmt;

use reqwest::{Client, RequestBuilder, Response, StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::super::url::{StorageUrl, server_address};
use super::super::{Variables, refused};
use crate::checkpoint::ObjectError;

/// Where to log in, and as whom. Its `Debug` shows no secret.
pub(super) struct Login {
    address: Url,
    how: How,
}

enum How {
    TempAuth { user: String, key: String },
    Keystone { body: Value, region: Option<String>, interface: String },
}

/// What a login gives. No `Debug`: the token is as good as the password.
pub(super) struct Session {
    pub(super) storage: Url,
    pub(super) token: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.how {
            How::TempAuth { .. } => "TempAuth",
            How::Keystone { .. } => "Keystone",
        };
        write!(f, "{kind} at {}", self.address)
    }
}

impl Login {
    /// `ST_AUTH`, `ST_USER`, `ST_KEY`, or `OS_AUTH_URL` with a user or an application credential.
    ///
    /// # Errors
    /// Names what is missing or wrong.
    pub(super) fn new(url: &mut StorageUrl, variables: &Variables) -> Result<Self, ObjectError> {
        let shown = url.shown();
        let (region, interface) = (url.option("region"), url.option("interface"));
        let need = |name: &str| variables.get(name).ok_or_else(|| refused(format!("{shown}: {name} is not set")));
        if let Some(auth) = variables.get("ST_AUTH") {
            let how = How::TempAuth { user: need("ST_USER")?, key: need("ST_KEY")? };
            return Ok(Self { address: server_address(&shown, "ST_AUTH", &auth)?, how });
        }
        let Some(auth) = variables.get("OS_AUTH_URL") else {
            return Err(refused(format!(
                "{shown}: no login; set OS_AUTH_URL with OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME and the domains, or \
                 with OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET; without Keystone set ST_AUTH, \
                 ST_USER and ST_KEY"
            )));
        };
        let mut address = server_address(&shown, "OS_AUTH_URL", &auth)?;
        let path = address.path().trim_end_matches('/').to_owned();
        if path.ends_with("/v2.0") {
            return Err(refused(format!("{shown}: OS_AUTH_URL is of version 2 of Keystone, only version 3 is spoken")));
        }
        let version = if path.ends_with("/v3") { "" } else { "/v3" };
        address.set_path(&format!("{path}{version}/auth/tokens"));
        let body = json!({ "auth": auth_request(variables, &need)? });
        let region = region.or_else(|| variables.get("OS_REGION_NAME"));
        let interface = interface.or_else(|| variables.get("OS_INTERFACE")).unwrap_or_else(|| "public".to_owned());
        Ok(Self { address, how: How::Keystone { body, region, interface: interface.replace("URL", "") } })
    }

    /// The request that logs in.
    pub(super) fn request(&self, client: &Client) -> RequestBuilder {
        match &self.how {
            How::TempAuth { user, key } => {
                client.get(self.address.clone()).header("x-auth-user", user).header("x-auth-key", key)
            }
            How::Keystone { body, .. } => {
                client.post(self.address.clone()).header("content-type", "application/json").body(body.to_string())
            }
        }
    }

    /// What its answer gives.
    ///
    /// # Errors
    /// Says what is missing in it, or that it was a refusal.
    pub(super) async fn session(&self, answer: Response) -> Result<Session, Refused> {
        match answer.status() {
            status if status.is_success() => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Err(Refused::Login(status)),
            status => return Err(Refused::Answer(format!("it answers {status}"))),
        }
        let header = |headers: &HeaderMap, name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            value.ok_or_else(|| Refused::Answer(format!("its answer has no {name}")))
        };
        let (token, storage) = match &self.how {
            How::TempAuth { .. } => {
                (header(answer.headers(), "x-auth-token")?, header(answer.headers(), "x-storage-url")?)
            }
            How::Keystone { region, interface, .. } => {
                let token = header(answer.headers(), "x-subject-token")?;
                let text = answer.text().await.map_err(|error| Refused::Answer(error.without_url().to_string()))?;
                (token, endpoint(&text, region.as_deref(), interface).map_err(Refused::Answer)?)
            }
        };
        let storage =
            Url::parse(&storage).map_err(|error| Refused::Answer(format!("its address of Swift: {error}")))?;
        Ok(Session { storage, token })
    }
}

/// Why there is no session.
pub(super) enum Refused {
    /// The login is wrong or missing a right.
    Login(StatusCode),
    /// Something else answered than was expected.
    Answer(String),
}

/// The part of a token request that says who asks, and for which project.
fn auth_request(
    variables: &Variables,
    need: &dyn Fn(&str) -> Result<String, ObjectError>,
) -> Result<Value, ObjectError> {
    let get = |name: &str| variables.get(name);
    let domain = |of: &str| {
        let own =
            |what: &str| get(&format!("OS_{of}_DOMAIN_{what}")).or_else(|| get(&format!("OS_DEFAULT_DOMAIN_{what}")));
        match own("ID") {
            Some(id) => json!({ "id": id }),
            None => json!({ "name": own("NAME").unwrap_or_else(|| "Default".to_owned()) }),
        }
    };
    let user = || match get("OS_USER_ID") {
        Some(id) => Ok::<_, ObjectError>(json!({ "id": id })),
        None => Ok(json!({ "name": need("OS_USERNAME")?, "domain": domain("USER") })),
    };
    if let Some(secret) = get("OS_APPLICATION_CREDENTIAL_SECRET") {
        let credential = match get("OS_APPLICATION_CREDENTIAL_ID") {
            Some(id) => json!({ "id": id, "secret": secret }),
            None => json!({ "name": need("OS_APPLICATION_CREDENTIAL_NAME")?, "user": user()?, "secret": secret }),
        };
        // It is of a project already, and may not ask for another one.
        return Ok(json!({
            "identity": { "methods": ["application_credential"], "application_credential": credential }
        }));
    }
    let mut user = user()?;
    user["password"] = need("OS_PASSWORD")?.into();
    let project = match get("OS_PROJECT_ID").or_else(|| get("OS_TENANT_ID")) {
        Some(id) => json!({ "id": id }),
        None => {
            let name = get("OS_PROJECT_NAME").or_else(|| get("OS_TENANT_NAME"));
            let name = name.map_or_else(|| need("OS_PROJECT_NAME"), Ok)?;
            json!({ "name": name, "domain": domain("PROJECT") })
        }
    };
    Ok(json!({
        "identity": { "methods": ["password"], "password": { "user": user } },
        "scope": { "project": project },
    }))
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    catalog: Vec<CatalogEntry>,
}

#[derive(Deserialize)]
struct CatalogEntry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    region: Option<String>,
    url: String,
}

/// Swift's address in a token's catalogue.
fn endpoint(answer: &str, region: Option<&str>, interface: &str) -> Result<String, String> {
    let answer: Answer = serde_json::from_str(answer).map_err(|error| format!("its answer is no token: {error}"))?;
    let stores = answer.token.catalog.into_iter().filter(|entry| entry.kind == "object-store");
    let mut all: Vec<_> = stores.flat_map(|entry| entry.endpoints).filter(|end| end.interface == interface).collect();
    if let Some(region) = region {
        all.retain(|end| end.region.as_deref() == Some(region));
    }
    match all.len() {
        1 => Ok(all.remove(0).url),
        0 => Err(format!(
            "its catalogue has no object-store with interface {interface}{}",
            region.map(|region| format!(" in region {region}")).unwrap_or_default()
        )),
        _ => {
            let regions: Vec<_> = all.iter().filter_map(|end| end.region.as_deref()).collect();
            Err(format!(
                "its catalogue has several regions ({}): choose by ?region=… or OS_REGION_NAME",
                regions.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(variables: &[(&str, &str)]) -> Result<Login, String> {
        let mut url = StorageUrl::parse("swift://container").expect("a URL");
        Login::new(&mut url, &Variables::only(variables.iter().copied())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_login_needs_is_named() {
        assert!(login(&[]).expect_err("none").contains("OS_AUTH_URL"));
        assert!(
            login(&[("ST_AUTH", "http://swift/auth/v1.0"), ("ST_USER", "a")]).expect_err("no key").contains("ST_KEY")
        );
        let keystone = [("OS_AUTH_URL", "http://keystone:5000"), ("OS_USERNAME", "u"), ("OS_PASSWORD", "hush")];
        assert!(login(&keystone).expect_err("no project").contains("OS_PROJECT_NAME"));
        assert!(login(&[("OS_AUTH_URL", "http://keystone/v2.0")]).expect_err("old").contains("version 3"));
    }

    #[test]
    fn a_password_login_asks_for_a_token_of_its_project() {
        let login = login(&[
            ("OS_AUTH_URL", "https://keystone:5000/v3/"),
            ("OS_USERNAME", "u"),
            ("OS_PASSWORD", "hush"),
            ("OS_PROJECT_NAME", "p"),
            ("OS_USER_DOMAIN_NAME", "d"),
        ])
        .expect("a login");
        assert_eq!(format!("{login:?}"), "Keystone at https://keystone:5000/v3/auth/tokens");
        let How::Keystone { body, interface, .. } = login.how else { panic!("Keystone") };
        let user = json!({ "name": "u", "domain": { "name": "d" }, "password": "hush" });
        let project = json!({ "name": "p", "domain": { "name": "Default" } });
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        assert_eq!(body, json!({ "auth": { "identity": identity, "scope": { "project": project } } }));
        assert_eq!(interface, "public");
    }

    #[test]
    fn an_application_credential_asks_for_no_project() {
        let login = login(&[
            ("OS_AUTH_URL", "https://keystone"),
            ("OS_APPLICATION_CREDENTIAL_ID", "id"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "hush"),
        ])
        .expect("a login");
        let How::Keystone { body, .. } = login.how else { panic!("Keystone") };
        let credential = json!({ "id": "id", "secret": "hush" });
        let identity = json!({ "methods": ["application_credential"], "application_credential": credential });
        assert_eq!(body, json!({ "auth": { "identity": identity } }));
    }

    #[test]
    fn swift_is_found_in_the_catalogue_by_region_and_interface() {
        let end = |region: &str, interface: &str| json!({ "region": region, "interface": interface, "url": format!("https://{region}/{interface}"), "id": "1" });
        let ends = [end("gra", "public"), end("gra", "internal"), end("sbg", "public")];
        let catalog = json!([{ "type": "compute", "endpoints": [] }, { "type": "object-store", "endpoints": ends }]);
        let answer = json!({ "token": { "catalog": catalog } }).to_string();
        assert_eq!(endpoint(&answer, Some("sbg"), "public").as_deref(), Ok("https://sbg/public"));
        assert_eq!(endpoint(&answer, None, "internal").as_deref(), Ok("https://gra/internal"));
        assert!(endpoint(&answer, None, "public").expect_err("two").contains("gra, sbg"));
        assert!(endpoint(&answer, Some("bhs"), "public").expect_err("none").contains("bhs"));
        assert!(endpoint("<html>", None, "public").is_err());
    }
}
