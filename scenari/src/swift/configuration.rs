//! The configuration of a Swift for tests.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::KEY;

/// Where each server listens, on 127.0.0.1.
pub(super) struct Ports {
    pub(super) memcached: u16,
    pub(super) account: u16,
    pub(super) container: u16,
    pub(super) object: u16,
    pub(super) proxy: u16,
}

/// Who runs this: Swift started by root becomes another user unless told to stay.
pub(super) fn user() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("cannot start id")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Names and texts of all files. Time-outs are generous: a slow machine is no failed one; nor is a disk with a hundredth left,
/// which Swift would keep free by refusing everything (`fallocate_reserve`).
pub(super) fn files(directory: &Path, ports: &Ports, user: &str) -> Vec<(&'static str, String)> {
    let directory = directory.display();
    let default = |port: u16| {
        format!(
            "[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {directory}
devices = {directory}/devices
mount_check = false
fallocate_reserve = 0
log_level = WARNING
"
        )
    };
    let server = |name: &str, port: u16| {
        format!(
            "{}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
conn_timeout = 30
node_timeout = 60
container_update_timeout = 60
",
            default(port)
        )
    };
    let swift = "[swift-hash]
swift_hash_path_prefix = beacon
swift_hash_path_suffix = beacon
[storage-policy:0]
name = Policy-0
default = yes
";
    let proxy = format!(
        "{}
[pipeline:main]
pipeline = catch_errors cache tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 30
node_timeout = 60
recoverable_node_timeout = 60
error_suppression_limit = 1000000
[filter:tempauth]
use = egg:swift#tempauth
user_beacon_keeper = {KEY} .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{}
[filter:catch_errors]
use = egg:swift#catch_errors
",
        default(ports.proxy),
        ports.memcached
    );
    vec![
        ("swift.conf", swift.to_owned()),
        ("account-server.conf", server("account", ports.account)),
        ("container-server.conf", server("container", ports.container)),
        ("object-server.conf", server("object", ports.object)),
        ("proxy-server.conf", proxy),
    ]
}
