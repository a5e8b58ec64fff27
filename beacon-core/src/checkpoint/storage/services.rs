//! S3, Google Cloud Storage and Azure Blob Storage: from a URL and variables to a store.

use std::sync::Arc;

use opendal::services::{Azblob, Gcs, S3};
use opendal::{Builder, Operator};

use super::dal::{DalStore, Service};
use super::url::StorageUrl;
use super::{StorageOptions, refused};
use crate::checkpoint::{ObjectError, ObjectStore};

/// `s3://bucket/prefix?endpoint=…&region=…&addressing=path|virtual&checksum=crc32c`.
pub(super) fn s3(mut url: StorageUrl, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let shown = url.shown();
    let variables = &options.variables;
    let mut service = S3::default().bucket(&url.container).root(&format!("/{}", url.prefix));
    let endpoint = url.address("endpoint")?.map(|url| url.to_string());
    let endpoint =
        endpoint.or_else(|| variables.get("AWS_ENDPOINT_URL_S3").or_else(|| variables.get("AWS_ENDPOINT_URL")));
    let region = url.option("region").or_else(|| variables.get("AWS_REGION"));
    match (region.or_else(|| variables.get("AWS_DEFAULT_REGION")), &endpoint) {
        (Some(region), _) => service = service.region(&region),
        // What is not Amazon's mostly has one region, and takes this name for it.
        (None, Some(_)) => service = service.region("us-east-1"),
        (None, None) => {
            let message = format!("{shown}: its region is not known; say it by ?region=… or by AWS_REGION");
            return Err(refused(message));
        }
    }
    if let Some(endpoint) = &endpoint {
        service = service.endpoint(endpoint.trim_end_matches('/'));
    }
    match url.option("addressing").as_deref() {
        None | Some("path") => {}
        Some("virtual") => service = service.enable_virtual_host_style(),
        Some(other) => return Err(refused(format!("{shown}: addressing `{other}` is neither path nor virtual"))),
    }
    match url.option("checksum").as_deref() {
        None => {}
        Some(algorithm @ "crc32c") => service = service.checksum_algorithm(algorithm),
        Some(other) => return Err(refused(format!("{shown}: checksum `{other}` is not crc32c"))),
    }
    if let (Some(key), Some(secret)) = (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")) {
        service = service.access_key_id(&key).secret_access_key(&secret);
        if let Some(token) = variables.get("AWS_SESSION_TOKEN") {
            service = service.session_token(&token);
        }
    }
    if !variables.are_of_process() {
        service = service.disable_config_load().disable_ec2_metadata();
    }
    url.finish()?;
    store(shown, Service::S3, service, options)
}

/// `gs://bucket/prefix?endpoint=…`.
pub(super) fn gcs(mut url: StorageUrl, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let shown = url.shown();
    let mut service = Gcs::default().bucket(&url.container).root(&format!("/{}", url.prefix));
    if let Some(endpoint) = url.address("endpoint")? {
        service = service.endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    if let Some(path) = options.variables.get("GOOGLE_APPLICATION_CREDENTIALS") {
        service = service.credential_path(&path);
    }
    if !options.variables.are_of_process() {
        service = service.disable_config_load().disable_vm_metadata();
    }
    url.finish()?;
    store(shown, Service::Gcs, service, options)
}

/// `azblob://container/prefix?account=…&endpoint=…`.
pub(super) fn azblob(mut url: StorageUrl, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let shown = url.shown();
    let variables = &options.variables;
    let mut service = Azblob::default().container(&url.container).root(&format!("/{}", url.prefix));
    let account = url.option("account").or_else(|| variables.get("AZURE_STORAGE_ACCOUNT_NAME"));
    let endpoint = match (url.address("endpoint")?, &account) {
        (Some(endpoint), _) => endpoint.as_str().trim_end_matches('/').to_owned(),
        (None, Some(account)) => format!("https://{account}.blob.core.windows.net"),
        (None, None) => {
            return Err(refused(format!(
                "{shown}: the storage account is not known; say it by ?account=… or by AZURE_STORAGE_ACCOUNT_NAME"
            )));
        }
    };
    service = service.endpoint(&endpoint);
    if let Some(account) = &account {
        service = service.account_name(account);
    }
    if let Some(key) = variables.get("AZURE_STORAGE_ACCOUNT_KEY") {
        service = service.account_key(&key);
    }
    if let Some(token) = variables.get("AZURE_STORAGE_SAS_TOKEN") {
        service = service.sas_token(token.trim_start_matches('?'));
    }
    url.finish()?;
    store(shown, Service::Azblob, service, options)
}

fn store(
    shown: String,
    service: Service,
    builder: impl Builder,
    options: &StorageOptions,
) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    // Its messages name what is wrong with a setting, and no values of logins.
    let operator = Operator::new(builder).map_err(|error| refused(format!("{shown}: {}", error.message())))?;
    Ok(Arc::new(DalStore::new(shown, service, operator, &options.patience)?))
}
