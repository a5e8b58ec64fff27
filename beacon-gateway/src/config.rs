//! Settings of a gateway.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::metrics::Dialect;
use beacon_plan::Plan;
use beacon_proto::topics::Topics;

/// Where the routing plan comes from.
#[derive(Clone, Debug)]
pub enum PlanSource {
    /// An `alertmanager.yml`, read at start and at each reload.
    File(PathBuf),
    /// A plan that is part of the program ([`Plan::builtin_terminal`]); a reload changes nothing.
    Builtin(Arc<Plan>),
}

impl fmt::Display for PlanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Builtin(plan) => f.write_str(plan.name()),
        }
    }
}

/// Called with each plan that was read and found good, before it is published, at start and at each reload. An error
/// refuses the plan: the old one stays. With it, what shares the process (a notifier that holds the secrets) follows.
pub type PlanHook = Arc<dyn Fn(&Plan) -> Result<(), String> + Send + Sync>;

/// Gives more families of metrics as text, without the line that ends OpenMetrics: those of what shares the process.
pub type MoreMetrics = Arc<dyn Fn(Dialect) -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// Settings of a gateway; [`GatewayConfig::new`] has the defaults.
#[derive(Clone)]
pub struct GatewayConfig {
    /// `host:port`, or `:port` for all addresses of the machine. Port 0 takes a free one.
    pub listen: String,
    /// Under which URL people reach this gateway, for links; also the default of the route prefix, by its path.
    pub external_url: Option<String>,
    /// The path that all routes are under: `/` or `/alertmanager`.
    pub route_prefix: Option<String>,
    /// Where the plan comes from.
    pub plan: PlanSource,
    /// No other gateway works on this log. Then the file counts at each start, also when it was replaced before; among many it
    /// may be a file that was forgotten, and is published only when it is new or was written since.
    pub alone: bool,
    /// Is told of every plan that is taken.
    pub on_plan: Option<PlanHook>,
    /// Is asked at each scrape.
    pub more_metrics: Option<MoreMetrics>,
    /// Names of the shared topics.
    pub topics: Topics,
    /// How many partitions topics get that do not exist yet. More: more workers in parallel, longer commits.
    pub partitions: u32,
    /// Whose alerts and silences these are; empty is the default tenant.
    pub tenant: String,
    /// Larger bodies are refused with 413. Larger: bigger batches, and more memory that one client can take.
    pub max_body_bytes: usize,
    /// How long a read waits for what this gateway wrote before, and any request for a log that is not there yet,
    /// before it goes on with what there is.
    pub read_wait: Duration,
    /// How long an append may take before the client is told to try again. Longer: survives longer pauses of the log,
    /// and holds clients longer.
    pub append_timeout: Duration,
    /// How long an expired silence is kept to be looked at.
    pub silence_retention: Duration,
}

impl GatewayConfig {
    /// Listens on Alertmanager's port; defaults for all else.
    pub fn new(plan: PlanSource) -> Self {
        Self {
            listen: ":9093".to_owned(),
            external_url: None,
            route_prefix: None,
            plan,
            alone: false,
            on_plan: None,
            more_metrics: None,
            topics: Topics::default(),
            partitions: 8,
            tenant: String::new(),
            max_body_bytes: 32 * 1024 * 1024,
            read_wait: Duration::from_secs(2),
            append_timeout: Duration::from_secs(10),
            silence_retention: Duration::from_secs(120 * 60 * 60),
        }
    }

    /// The addresses to try, in turn: all of IPv6 and with it IPv4 first, where no host is given.
    ///
    /// # Errors
    /// When `listen` has no port, or its host is not known.
    pub async fn listen_addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        use anyhow::Context;
        if let Some(port) = self.listen.strip_prefix(':') {
            let port = port.parse().with_context(|| format!("{:?} has no port number after the colon", self.listen))?;
            let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
            return Ok(any.map(|host| SocketAddr::new(host, port)).to_vec());
        }
        let found = tokio::net::lookup_host(&self.listen)
            .await
            .with_context(|| format!("{:?} is not an address to listen on: give host:port or :port", self.listen))?;
        Ok(found.collect())
    }

    /// The path that all routes are under, without a slash at its end; empty for the root.
    pub fn prefix(&self) -> String {
        let path_of_url = || {
            let url = self.external_url.as_deref()?;
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            rest.find('/').map(|slash| rest[slash..].to_owned())
        };
        let prefix = self.route_prefix.clone().or_else(path_of_url).unwrap_or_default();
        let inner = prefix.trim_matches('/');
        if inner.is_empty() { String::new() } else { format!("/{inner}") }
    }
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("listen", &self.listen)
            .field("external_url", &self.external_url)
            .field("route_prefix", &self.route_prefix)
            .field("plan", &self.plan.to_string())
            .field("alone", &self.alone)
            .field("topics", &self.topics)
            .field("partitions", &self.partitions)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(external_url: Option<&str>, route_prefix: Option<&str>) -> String {
        let mut config = GatewayConfig::new(PlanSource::Builtin(Arc::new(Plan::builtin_terminal())));
        config.external_url = external_url.map(str::to_owned);
        config.route_prefix = route_prefix.map(str::to_owned);
        config.prefix()
    }

    #[test]
    fn the_route_prefix_comes_from_the_external_url_unless_given() {
        assert_eq!(prefix(None, None), "");
        assert_eq!(prefix(Some("http://example.org"), None), "");
        assert_eq!(prefix(Some("http://example.org/alerts/"), None), "/alerts");
        assert_eq!(prefix(Some("http://example.org/alerts/"), Some("/")), "");
        assert_eq!(prefix(None, Some("am/")), "/am");
    }

    #[tokio::test]
    async fn an_address_without_a_host_is_every_address() {
        let mut config = GatewayConfig::new(PlanSource::Builtin(Arc::new(Plan::builtin_terminal())));
        let addresses = config.listen_addresses().await.expect("valid");
        assert_eq!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[::]:9093", "0.0.0.0:9093"]);
        config.listen = "nowhere".to_owned();
        assert!(config.listen_addresses().await.expect_err("no port").to_string().contains("\"nowhere\""));
    }
}
