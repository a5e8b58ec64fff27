//! The conversation with a mail server: connect, secure, log in, hand over.
//!
//! lettre's connection speaks the protocol; the order of steps is ours, because what Alertmanager's users rely on is not
//! what lettre's transport does: a server that offers no login is spoken to without one, and a password never crosses a
//! network in the clear.

use std::{error::Error as StdError, fmt, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use beacon_plan::receiver::Email;
use lettre::{
    address::Envelope,
    transport::smtp::{
        self,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        extension::ClientId,
    },
};

use super::{TIMEOUT, address, handover::hand_over};
use crate::{
    channel::{ChannelError, trust::Trust},
    decide::smtp::Failure,
};

/// How long a server that has taken the mail may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// A mail server and how to talk to it.
pub struct Server {
    host: String,
    port: u16,
    hello: ClientId,
    tls: Option<Tls>,
    login: Option<Login>,
}

enum Tls {
    /// From the first byte.
    Wrapped(TlsParameters),
    /// By STARTTLS, or no mail is sent.
    Upgraded(TlsParameters),
}

struct Login {
    username: String,
    password: String,
    identity: String,
}

/// Where and why a conversation ended early.
pub struct SessionError {
    /// What was being done.
    pub step: &'static str,
    /// What kind of failure it is.
    pub failure: Failure,
    /// The server's reply, or the error.
    pub said: String,
}

impl Server {
    /// Checks what the plan says of the server.
    ///
    /// # Errors
    ///
    /// For a greeting or certificate name that is none, and for a login by CRAM-MD5 only.
    pub fn new(email: &Email, trust: &Trust) -> Result<Self, ChannelError> {
        let (host, port) = (address::host(&email.smarthost).to_owned(), email.smarthost.port);
        let wrapped = port == address::SUBMISSIONS;
        let tls = if wrapped || email.require_tls {
            let name = email.tls.server_name.as_deref().unwrap_or(&host);
            let parameters = tls_parameters(name, email.tls.insecure_skip_verify, trust)?;
            Some(if wrapped { Tls::Wrapped(parameters) } else { Tls::Upgraded(parameters) })
        } else {
            None
        };
        Ok(Self { host, port, hello: hello(&email.hello)?, tls, login: login(email)? })
    }

    /// Hands one mail over; what the server said to it, and to addresses that it refused while it took others.
    ///
    /// # Errors
    ///
    /// With the step that failed. The server has the mail only if the failure was a lost connection after its last line.
    pub async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<String, SessionError> {
        let mut connection = self.connect().await?;
        self.secure(&mut connection).await?;
        let logged_in = self.log_in(&mut connection).await?;
        let step = if logged_in || self.login.is_none() {
            "sending the mail"
        } else {
            "sending the mail without logging in, as the server offers neither PLAIN nor LOGIN"
        };
        let said = hand_over(&mut connection, envelope, mail, step).await?;
        // The mail is the server's now. Its goodbye is not waited for: a slow one would make a sent mail look unsent.
        tokio::spawn(async move { tokio::time::timeout(GOODBYE, connection.abort()).await.is_ok() });
        Ok(said)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SessionError> {
        let wrapping = match &self.tls {
            Some(Tls::Wrapped(parameters)) => Some(parameters.clone()),
            Some(Tls::Upgraded(_)) | None => None,
        };
        let address = (self.host.as_str(), self.port);
        AsyncSmtpConnection::connect_tokio1(address, Some(TIMEOUT), &self.hello, wrapping, None)
            .await
            .map_err(|error| failed("connecting to the smarthost", &error))
    }

    async fn secure(&self, connection: &mut AsyncSmtpConnection) -> Result<(), SessionError> {
        const STEP: &str = "securing the connection";
        let Some(Tls::Upgraded(parameters)) = &self.tls else {
            return Ok(());
        };
        if !connection.can_starttls() {
            let said = "the smarthost doesn't offer STARTTLS, and require_tls is true (the default)";
            return Err(SessionError { step: STEP, failure: Failure::Mismatch, said: said.to_owned() });
        }
        connection.starttls(parameters.clone(), &self.hello).await.map_err(|error| failed(STEP, &error))
    }

    /// False if there was no login: none configured, or none offered.
    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<bool, SessionError> {
        const STEP: &str = "logging in";
        let Some(login) = &self.login else {
            return Ok(false);
        };
        let server = connection.server_info();
        let plain = server.supports_auth_mechanism(Mechanism::Plain);
        if !plain && !server.supports_auth_mechanism(Mechanism::Login) {
            return Ok(false);
        }
        if !connection.is_encrypted() && !address::is_this_machine(&self.host) {
            let said = "the connection is not encrypted, so the password is not sent; set require_tls to true";
            return Err(SessionError { step: STEP, failure: Failure::Mismatch, said: said.to_owned() });
        }
        let answer = if plain {
            connection.command(login.plain()).await
        } else {
            let credentials = Credentials::new(login.username.clone(), login.password.clone());
            connection.auth(&[Mechanism::Login], &credentials).await
        };
        answer.map(|_| true).map_err(|error| failed(STEP, &error))
    }
}

impl Login {
    /// The whole command. Not lettre's, which knows no identity (RFC 4616 §2).
    fn plain(&self) -> String {
        let message = format!("{}\0{}\0{}", self.identity, self.username, self.password);
        format!("AUTH PLAIN {}\r\n", BASE64_STANDARD.encode(message))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

fn tls_parameters(name: &str, accept_any: bool, trust: &Trust) -> Result<TlsParameters, ChannelError> {
    let broken = |error: smtp::Error| ChannelError::new("tls_config", error.to_string());
    let mut builder = TlsParameters::builder(name.to_owned())
        .certificate_store(CertificateStore::None)
        .dangerous_accept_invalid_certs(accept_any)
        .dangerous_accept_invalid_hostnames(accept_any);
    for authority in trust.authorities() {
        builder = builder.add_root_certificate(Certificate::from_der(authority.to_vec()).map_err(broken)?);
    }
    builder.build().map_err(broken)
}

/// The name for EHLO: it becomes part of a command, so nothing that could end one.
fn hello(name: &str) -> Result<ClientId, ChannelError> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ChannelError::new("hello", format!("`{}` is not a host name", name.escape_default())));
    }
    Ok(ClientId::Domain(name.to_owned()))
}

fn login(email: &Email) -> Result<Option<Login>, ChannelError> {
    if email.auth_password.is_redacted() {
        return Err(ChannelError::redacted("auth_password"));
    }
    if email.auth_username.is_empty() {
        return Ok(None);
    }
    if email.auth_password.is_empty() && !email.auth_secret.is_empty() {
        return Err(ChannelError::new(
            "auth_secret",
            "CRAM-MD5 is not supported; set auth_password, for PLAIN or LOGIN",
        ));
    }
    Ok(Some(Login {
        username: email.auth_username.clone(),
        password: email.auth_password.expose().to_owned(),
        identity: email.auth_identity.clone(),
    }))
}

/// What an error of lettre means.
pub(super) fn failed(step: &'static str, error: &smtp::Error) -> SessionError {
    let code = error.status().map(u16::from);
    let failure = match code {
        Some(code) if error.is_permanent() => Failure::Refused5(code),
        Some(code) => Failure::Refused4(code),
        // lettre's word for what it will not do: a non-ASCII address and a server without SMTPUTF8, for example.
        None if error.is_client() => Failure::Mismatch,
        None => Failure::Connection,
    };
    // The innermost cause is the reply, or what the system said; those around it repeat it.
    let mut cause: &dyn StdError = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let said = cause.to_string();
    SessionError { step, failure, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_login_carries_the_identity() {
        let own = |text: &str| text.to_owned();
        let login = Login { identity: own("Ursel"), username: own("Kurt"), password: own("xipj3plmq") };
        // The second example of RFC 4616 §4.
        assert_eq!(login.plain(), "AUTH PLAIN VXJzZWwAS3VydAB4aXBqM3BsbXE=\r\n");
    }

    #[test]
    fn greeting_cannot_end_its_command() {
        assert!(hello("beacon.example.org").is_ok());
        for name in ["", "a\r\nRCPT TO:<b@c>", "a b"] {
            assert_eq!(hello(name).err().map(|error| error.setting), Some("hello"), "{name:?}");
        }
    }
}
