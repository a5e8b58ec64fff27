//! URLs of storage: `scheme://container/prefix?option=value`.

use std::collections::BTreeMap;

use url::Url;

use super::refused;
use crate::checkpoint::ObjectError;

/// A URL taken apart. Options are taken by whoever knows them; those left over are refused by [`StorageUrl::finish`].
#[derive(Debug)]
pub(super) struct StorageUrl {
    scheme: String,
    pub(super) container: String,
    /// Without slashes at its ends; may be empty.
    pub(super) prefix: String,
    options: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl StorageUrl {
    /// # Errors
    /// When it is no such URL, or carries a login. The message never repeats what may be a secret.
    pub(super) fn parse(text: &str) -> Result<Self, ObjectError> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let example = format!("{scheme}://container/prefix");
        let url = Url::parse(text).map_err(|error| refused(format!("a {scheme}:// URL of storage: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(format!(
                "a {scheme}:// URL of storage carries a login, which logs and process lists would show; \
                 write {example} and give the login by environment variables"
            )));
        }
        let container = url.host_str().unwrap_or_default().to_owned();
        if container.is_empty() || url.port().is_some() || url.fragment().is_some() {
            return Err(refused(format!("a {scheme}:// URL of storage: expected {example}")));
        }
        let prefix = url.path().trim_matches('/').to_owned();
        // As it is written it is part of names: no escapes, no empty parts.
        if prefix.contains(['%', '\\']) || (!prefix.is_empty() && prefix.split('/').any(str::is_empty)) {
            return Err(refused(format!(
                "{scheme}://{container}: the prefix `{prefix}` is to be of letters, digits and .-_ with single slashes"
            )));
        }
        let mut options = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if value.is_empty() || options.insert(name.to_string(), value.to_string()).is_some() {
                return Err(refused(format!("{scheme}://{container}: the option `{name}` is empty or there twice")));
            }
        }
        Ok(Self { scheme: scheme.to_owned(), container, prefix, options, known: Vec::new() })
    }

    /// How it is shown: without options.
    pub(super) fn shown(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}://{}{slash}{}", self.scheme, self.container, self.prefix)
    }

    /// The value of an option.
    pub(super) fn option(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.options.remove(name)
    }

    /// An option that is the address of a server.
    ///
    /// # Errors
    /// When it is something else, or carries a login.
    pub(super) fn address(&mut self, name: &'static str) -> Result<Option<Url>, ObjectError> {
        let shown = self.shown();
        self.option(name).map(|text| server_address(&shown, name, &text)).transpose()
    }

    /// # Errors
    /// Names options that nobody took, and those there are.
    pub(super) fn finish(self) -> Result<(), ObjectError> {
        let Some(name) = self.options.keys().next() else { return Ok(()) };
        Err(refused(format!(
            "{}: there is no option `{name}`; there are {}. Logins are given by environment variables only",
            self.shown(),
            self.known.join(", ")
        )))
    }
}

/// An HTTP address in a setting `name` of `whose`.
///
/// # Errors
/// When it is something else, or carries a login.
pub(super) fn server_address(whose: &str, name: &str, text: &str) -> Result<Url, ObjectError> {
    let wrong = |what: &str| refused(format!("{whose}: {name} {what}, such as https://storage.example.org"));
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not an address ({error}): expected one")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("is to be an http:// or https:// address"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("is to be an address without a login or options"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_container_prefix_and_options() {
        let mut url =
            StorageUrl::parse("s3://my.bucket_1/a/b/?endpoint=http://127.0.0.1:9000&region=gra").expect("one");
        assert_eq!((url.container.as_str(), url.prefix.as_str()), ("my.bucket_1", "a/b"));
        assert_eq!(url.shown(), "s3://my.bucket_1/a/b");
        let endpoint = url.address("endpoint").expect("an address").expect("there");
        assert_eq!(endpoint.as_str(), "http://127.0.0.1:9000/");
        assert_eq!(url.option("region").as_deref(), Some("gra"));
        url.finish().expect("nothing is left");
        assert_eq!(StorageUrl::parse("s3://bucket").expect("one").shown(), "s3://bucket");
    }

    #[test]
    fn a_login_in_a_url_is_refused_and_not_repeated() {
        for text in ["s3://key:hush@bucket/a", "s3://hush@bucket", "s3://bucket?endpoint=https://user:hush@host"] {
            let parsed = StorageUrl::parse(text).and_then(|mut url| url.address("endpoint").map(|_| ()));
            let error = parsed.expect_err("refused").to_string();
            assert!(error.contains("login") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn unknown_options_are_refused_by_name_without_their_value() {
        let mut url = StorageUrl::parse("s3://bucket?regoin=gra&secret=hush").expect("one");
        assert_eq!(url.option("region"), None);
        let error = url.finish().expect_err("refused").to_string();
        assert!(error.contains("`regoin`") && error.contains("there are region"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }

    #[test]
    fn what_is_no_url_of_storage_is_refused() {
        for text in [
            "s3://",
            "s3:///prefix",
            "s3://bucket:80/a",
            "s3://bucket/a#b",
            "s3://bucket/a//b",
            "s3://bucket/a%20b",
            "s3://bucket?region=",
            "s3://bucket?region=a&region=b",
        ] {
            assert!(StorageUrl::parse(text).is_err(), "{text}");
        }
        for endpoint in ["localhost:9000", "ftp://host", "https://host?x=y"] {
            assert!(server_address("s3://bucket", "endpoint", endpoint).is_err(), "{endpoint}");
        }
    }
}
