//! What Alertmanager 0.25 to 0.28 has and Beacon has not yet: refused by name, because a page that never comes is worse
//! than a start that fails.

use super::Fields;

/// Keys with the way out.
pub(super) type Table = &'static [(&'static [&'static str], &'static str)];

/// Reports every key of the table that says something.
pub(super) fn refuse(fields: &Fields<'_>, table: Table) {
    for (keys, way_out) in table {
        for key in *keys {
            fields.refuse(key, way_out);
        }
    }
}

pub(super) const ROOT: Table = &[
    (&["inhibit_rules"], "remove the rules, or keep this part of the alerts on Alertmanager until they are"),
    (&["time_intervals", "mute_time_intervals"], "remove them; a silence can mute for a time instead"),
    (&["templates"], "remove it; messages have the contents of the default templates"),
    (&["tracing"], "remove it"),
];

pub(super) const GLOBAL: Table = &[
    (&["smtp_auth_password_file", "smtp_auth_secret_file"], FILE),
    (&["smtp_force_implicit_tls"], "remove it and use a port with STARTTLS, usually 587"),
    (
        &[
            "slack_api_url",
            "slack_api_url_file",
            "slack_app_token",
            "slack_app_token_file",
            "slack_app_url",
            "pagerduty_url",
            "opsgenie_api_url",
            "opsgenie_api_key",
            "opsgenie_api_key_file",
            "wechat_api_url",
            "wechat_api_secret",
            "wechat_api_secret_file",
            "wechat_api_corp_id",
            "victorops_api_url",
            "victorops_api_key",
            "victorops_api_key_file",
            "telegram_api_url",
            "telegram_bot_token",
            "telegram_bot_token_file",
            "webex_api_url",
            "jira_api_url",
            "rocketchat_api_url",
            "rocketchat_token",
            "rocketchat_token_file",
            "rocketchat_token_id",
            "rocketchat_token_id_file",
            "mattermost_webhook_url",
            "mattermost_webhook_url_file",
        ],
        "remove it: the channel that it is for is not there yet",
    ),
];

pub(super) const RECEIVER: Table = &[(
    &[
        "discord_configs",
        "incidentio_configs",
        "pagerduty_configs",
        "slack_configs",
        "opsgenie_configs",
        "wechat_configs",
        "pushover_configs",
        "victorops_configs",
        "sns_configs",
        "telegram_configs",
        "webex_configs",
        "msteams_configs",
        "msteamsv2_configs",
        "jira_configs",
        "rocketchat_configs",
        "mattermost_configs",
    ],
    "use webhook_configs or email_configs, or leave this receiver on Alertmanager",
)];

pub(super) const ROUTE: Table =
    &[(&["mute_time_intervals", "active_time_intervals"], "remove it; a silence can mute for a time instead")];

pub(super) const HTTP: Table = &[
    (&["oauth2"], "use basic_auth or authorization"),
    (&["bearer_token_file"], FILE),
    (&["tls_config"], "remove it; certificates must be signed by an authority that this machine trusts"),
    (
        &["proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header"],
        "remove it; webhooks are reached directly, and proxies in the environment are not used either",
    ),
    (&["http_headers"], "remove it"),
    (&["enable_http2"], "remove it; requests are made with HTTP/1.1"),
];

pub(super) const BASIC_AUTH: Table = &[
    (&["username_file", "password_file"], FILE),
    (&["username_ref", "password_ref"], "write the value into the configuration"),
];

pub(super) const AUTHORIZATION: Table =
    &[(&["credentials_file"], FILE), (&["credentials_ref"], "write the value into the configuration")];

pub(super) const TLS: Table = &[
    (
        &["ca", "cert", "key", "ca_file", "cert_file", "key_file", "ca_ref", "cert_ref", "key_ref"],
        "remove it; the \
      certificate must be signed by an authority that this machine trusts",
    ),
    (&["min_version", "max_version"], "remove it; TLS 1.2 and 1.3 are used"),
];

pub(super) const WEBHOOK: Table = &[(&["url_file"], "write the URL into `url`")];

pub(super) const EMAIL: Table = &[
    (&["auth_password_file", "auth_secret_file"], FILE),
    (&["force_implicit_tls", "implicit_tls"], "remove it and use a port with STARTTLS, usually 587"),
    (&["threading"], "remove it"),
];

const FILE: &str = "write the value into the configuration and keep that readable for its owner only";
