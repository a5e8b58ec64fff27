//! Record keys: readable, with the tenant first.

/// Key of an alert on `alerts` and `alerts.state`: `tenant/fingerprint`.
pub fn alert(tenant: &str, fingerprint: &str) -> String {
    format!("{tenant}/{fingerprint}")
}

/// Key of a silence on `silences`: `tenant/id`.
pub fn silence(tenant: &str, id: &str) -> String {
    format!("{tenant}/{id}")
}

/// Key of a group on `notifications` and `deliveries`: `tenant/group_key`.
pub fn group(tenant: &str, group_key: &str) -> String {
    format!("{tenant}/{group_key}")
}
