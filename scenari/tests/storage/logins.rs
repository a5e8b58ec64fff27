//! Logins that are wrong, missing, or end; containers that are not there.

use std::sync::Arc;

use beacon_core::checkpoint::storage::open_with;
use beacon_core::checkpoint::{ObjectErrorKind, ObjectStore};
use scenari::azurite::Azurite;
use scenari::google::{self, Google};
use scenari::s3::{BUCKET, KEY, S3};
use scenari::swift::{Keystone, Swift};

use crate::contract::{names, noise, upload};
use crate::stores::{On, options, patience, unique};

fn opened(url: &str, variables: &[(&str, String)]) -> Arc<dyn ObjectStore> {
    open_with(url, &options(variables, patience())).expect("opened")
}

/// Every call is refused with this kind, and says all this; never the secret.
fn refused(store: &dyn ObjectStore, kind: ObjectErrorKind, says: &[&str]) {
    let errors = [
        store.get("a/one").expect_err("refused"),
        store.upload("a/one", &mut &b"x"[..], 1).expect_err("refused"),
        store.put_if_absent("a/one", b"x").expect_err("refused"),
        store.list("a/").expect_err("refused"),
        store.upload("a/large", &mut &noise(9 << 20, 1)[..], 9 << 20).expect_err("refused"),
    ];
    for error in errors {
        assert_eq!(error.kind(), kind, "{error}");
        let text = format!("{error} {error:?} {store:?} {:?}", std::error::Error::source(&error));
        for part in says {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn s3_says_that_the_secret_is_wrong() {
    let s3 = S3::start();
    let url = format!("s3://{BUCKET}?endpoint=http://127.0.0.1:{}", s3.port());
    let variables = [("AWS_ACCESS_KEY_ID", KEY.to_owned()), ("AWS_SECRET_ACCESS_KEY", "wrong-hush".to_owned())];
    refused(&*opened(&url, &variables), ObjectErrorKind::Denied, &["s3://checkpoints/a/", "AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn s3_says_that_there_is_no_login() {
    let s3 = S3::start();
    let url = format!("s3://{BUCKET}?endpoint=http://127.0.0.1:{}", s3.port());
    refused(&*opened(&url, &[]), ObjectErrorKind::Denied, &["s3://checkpoints/a/", "AWS_ACCESS_KEY_ID"]);
}

#[test]
fn s3_says_that_the_bucket_is_missing() {
    let s3 = S3::start();
    let url = format!("s3://no-such-bucket/prefix?endpoint=http://127.0.0.1:{}", s3.port());
    let variables = S3::variables().map(|(name, value)| (name, value.to_owned()));
    let store = opened(&url, &variables);
    let error = store.list("a/").expect_err("refused");
    assert_eq!(error.kind(), ObjectErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("no-such-bucket") && error.to_string().contains("make it"), "{error}");
}

#[test]
fn what_is_uploaded_with_a_checksum_is_taken() {
    let s3 = S3::start();
    let url = format!("s3://{BUCKET}?endpoint=http://127.0.0.1:{}&checksum=crc32c", s3.port());
    let store = opened(&url, &S3::variables().map(|(name, value)| (name, value.to_owned())));
    for (name, size) in [("a/small", 1000), ("a/large", 9 << 20)] {
        let bytes = noise(size, 13);
        upload(&*store, name, &bytes);
        assert!(store.get(name).expect("read") == bytes);
    }
}

#[test]
fn swift_says_that_the_key_is_wrong() {
    let swift = Swift::shared();
    let mut variables = Swift::variables(swift.port());
    variables[2].1 = "wrong-hush".to_owned();
    let store = opened("swift://container", &variables);
    refused(&*store, ObjectErrorKind::Denied, &["swift://container/a/", "TempAuth at http://127.0.0.1", "ST_"]);
}

#[test]
fn swift_says_that_the_container_is_missing() {
    let swift = Swift::shared();
    let store = opened("swift://no-such-container/prefix", &Swift::variables(swift.port()));
    for error in [
        store.list("a/").expect_err("refused"),
        store.upload("a/one", &mut &b"x"[..], 1).expect_err("refused"),
        store.upload("a/large", &mut &noise(9 << 20, 1)[..], 9 << 20).expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ObjectErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("no-such-container") && error.to_string().contains("make it"), "{error}");
    }
}

#[test]
fn azure_says_that_the_key_is_wrong() {
    let azurite = Azurite::shared();
    azurite.make_container("wrong-key");
    let url = format!("azblob://wrong-key?endpoint={}", Azurite::endpoint(azurite.port()));
    let mut variables = Azurite::variables().map(|(name, value)| (name, value.to_owned()));
    variables[1].1 = "wrong+hush++".to_owned();
    let says = ["azblob://wrong-key/a/", "AZURE_STORAGE_ACCOUNT_KEY"];
    refused(&*opened(&url, &variables), ObjectErrorKind::Denied, &says);
    variables[1].1 = "wrong hush, and no base64".to_owned();
    let error = open_with(&url, &options(&variables, patience())).expect_err("refused");
    assert_eq!(error.kind(), ObjectErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("base64") && !error.to_string().contains("hush"), "{error}");
}

#[test]
fn azure_says_that_the_container_is_missing() {
    let endpoint = Azurite::endpoint(Azurite::shared().port());
    let variables = Azurite::variables().map(|(name, value)| (name, value.to_owned()));
    let store = opened(&format!("azblob://no-such-container/prefix?endpoint={endpoint}"), &variables);
    refused(&*store, ObjectErrorKind::Configuration, &["azblob://no-such-container/prefix/a/", "make it"]);
}

#[test]
fn google_says_that_the_login_is_wrong() {
    let google = Google::start();
    let url = format!("gs://{}?endpoint=http://127.0.0.1:{}", google::BUCKET, google.port());
    let store = opened(&url, &google.variables("wrong-hush"));
    refused(&*store, ObjectErrorKind::Denied, &["gs://checkpoints/a/", "GOOGLE_APPLICATION_CREDENTIALS"]);
}

#[test]
fn google_says_that_the_bucket_is_missing() {
    let google = Google::start();
    let url = format!("gs://no-such-bucket/prefix?endpoint=http://127.0.0.1:{}", google.port());
    let store = opened(&url, &google.variables(google::SUBJECT));
    refused(&*store, ObjectErrorKind::Configuration, &["gs://no-such-bucket/prefix/a/", "make it"]);
}

#[test]
fn google_is_told_to_create_only_what_is_not_there() {
    let google = Google::start();
    let url = format!("gs://{}/some?endpoint=http://127.0.0.1:{}", google::BUCKET, google.port());
    let store = opened(&url, &google.variables(google::SUBJECT));
    upload(&*store, "a/one", b"x");
    upload(&*store, "a/large", &noise(9 << 20, 1));
    store.put_if_absent("a/one", b"y").expect("put");
    store.put_if_absent("a/two", b"y").expect("put");
    let (any, none) = (None, Some(0));
    let wanted = [("some/a/one", any), ("some/a/large", any), ("some/a/one", none), ("some/a/two", none)];
    assert_eq!(google.uploads(), wanted.map(|(name, generation)| (name.to_owned(), generation)));
}

#[test]
fn a_token_that_ends_is_renewed() {
    // Of its own: the others' tokens are to stay.
    let swift = Swift::start().expect("a Swift");
    swift.make_container("tokens");
    let store = opened("swift://tokens", &Swift::variables(swift.port()));
    upload(&*store, "a/one", b"x");
    swift.forget_tokens();
    assert_eq!(store.get("a/one").expect("read"), b"x");
    swift.forget_tokens();
    let bytes = noise(9 << 20, 1);
    upload(&*store, "a/large", &bytes);
    swift.forget_tokens();
    assert_eq!(names(&*store, "a/"), ["a/large", "a/one"]);
    swift.forget_tokens();
    store.put_if_absent("a/two", b"x").expect("put");
    swift.forget_tokens();
    store.delete("a/two").expect("deleted");
}

#[test]
fn keystone_is_logged_in_to_by_password_and_by_application_credential() {
    let swift = Swift::shared();
    let keystone = Keystone::start(swift.port());
    let container = unique("keystone");
    swift.make_container(&container);
    for variables in [keystone.password_variables(), keystone.credential_variables()] {
        let store = opened(&format!("swift://{container}"), &variables);
        upload(&*store, "a/one", b"x");
        assert_eq!(names(&*store, "a/"), ["a/one"]);
    }
    let mut wrong = keystone.password_variables();
    wrong[2].1 = "wrong-hush".to_owned();
    let store = opened(&format!("swift://{container}"), &wrong);
    refused(&*store, ObjectErrorKind::Denied, &["Keystone at http://127.0.0.1", "OS_"]);
    // A region that the catalogue does not have.
    let store = opened(&format!("swift://{container}?region=three"), &keystone.password_variables());
    let error = store.list("a/").expect_err("refused");
    assert!(error.to_string().contains("region three"), "{error}");
}

#[test]
fn urls_that_say_too_little_or_too_much_are_refused() {
    for (url, says) in [
        ("s3://bucket", "AWS_REGION"),
        ("s3://bucket?regoin=gra&region=gra", "`regoin`"),
        ("s3://bucket?region=gra&addressing=odd", "addressing"),
        ("s3://key:hush@bucket?region=gra", "login"),
        ("swift://container", "OS_AUTH_URL"),
        ("azblob://container", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("gs://bucket?region=gra", "`region`"),
        ("ftp://host/path", "swift://"),
    ] {
        let error = open_with(url, &options(&[], patience())).expect_err("refused");
        assert_eq!(error.kind(), ObjectErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(says) && !error.to_string().contains("hush"), "{url}: {error}");
    }
    let folder = On::Folder.start();
    assert!(folder.store.describe().starts_with("file:///"));
}
