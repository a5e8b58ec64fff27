//! `http_config`: how a request is authorized and whether redirects are followed.

use super::{At, Fields, unsupported};
use crate::receiver::{HttpAuth, HttpClient};
use crate::secret::Secret;

pub(super) fn read(at: &At<'_>) -> Option<HttpClient> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::HTTP);
    let ways = [
        fields.get("basic_auth").and_then(|at| basic(&at)),
        fields.get("authorization").and_then(|at| authorization(&at)),
        bearer(&fields),
    ];
    let mut ways = ways.into_iter().flatten();
    let auth = ways.next();
    if ways.next().is_some() {
        at.invalid("only one of basic_auth, authorization and bearer_token may be there; keep one");
    }
    let follow_redirects = fields.boolean("follow_redirects", true);
    fields.finish();
    Some(HttpClient { auth, follow_redirects })
}

fn basic(at: &At<'_>) -> Option<HttpAuth> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::BASIC_AUTH);
    let username = fields.text("username").unwrap_or_default();
    let password = fields.secret("password").unwrap_or_default();
    fields.finish();
    Some(HttpAuth::Basic { username, password })
}

fn authorization(at: &At<'_>) -> Option<HttpAuth> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::AUTHORIZATION);
    let scheme = fields.get("type").and_then(|at| scheme(&at)).unwrap_or_else(|| BEARER.to_owned());
    let credentials = credentials(&fields, "credentials").unwrap_or_default();
    fields.finish();
    Some(HttpAuth::Scheme { scheme, credentials })
}

const BEARER: &str = "Bearer";

fn scheme(at: &At<'_>) -> Option<String> {
    let scheme = at.text()?.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        at.invalid("the type cannot be basic; use basic_auth instead of authorization");
        return None;
    }
    if !scheme.chars().all(|c| c.is_ascii_graphic()) {
        at.invalid("the type of an authorization is one word, for example Bearer");
        return None;
    }
    (!scheme.is_empty()).then(|| scheme.to_owned())
}

fn bearer(fields: &Fields<'_>) -> Option<HttpAuth> {
    let credentials = credentials(fields, "bearer_token")?;
    Some(HttpAuth::Scheme { scheme: BEARER.to_owned(), credentials })
}

/// A secret that goes into a header.
fn credentials(fields: &Fields<'_>, key: &'static str) -> Option<Secret> {
    let secret = fields.secret(key)?;
    if secret.expose().chars().any(char::is_control) {
        fields
            .at
            .invalid(format!("`{key}` has a line break or another control character in it, which no header can carry"));
        return None;
    }
    Some(secret)
}
