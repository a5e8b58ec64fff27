//! Handing one mail over on a connection that is ready for it.
//!
//! What lettre's `send` does, but for this: an address that the server will not have, such as that of somebody who has
//! left, does not keep the mail from the others.

use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt},
        extension::{Extension, MailBodyParameter, MailParameter},
    },
};

use super::session::{SessionError, failed};
use crate::decide::smtp::Failure;

/// What the server said to the mail, and to addresses that it refused.
///
/// # Errors
///
/// When it refuses all addresses, or one of them for now: then nobody gets the mail, and all of them later.
pub async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    mail: &[u8],
    step: &'static str,
) -> Result<String, SessionError> {
    let options = options(connection, envelope, mail, step)?;
    connection.command(Mail::new(envelope.from().cloned(), options)).await.map_err(|error| failed(step, &error))?;
    let mut refused: Vec<(&Address, SessionError)> = Vec::new();
    for address in envelope.to() {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) => {
                let error = failed(step, &error);
                if !error.failure.is_final() {
                    return Err(error);
                }
                refused.push((address, error));
            }
        }
    }
    if refused.len() == envelope.to().len()
        && let Some((_, error)) = refused.pop()
    {
        return Err(error);
    }
    connection.command(Data).await.map_err(|error| failed(step, &error))?;
    let reply = connection.message(mail).await.map_err(|error| failed(step, &error))?;
    let words: Vec<&str> = reply.message().collect();
    let mut said = format!("{} {}", reply.code(), words.join(" "));
    for (address, error) in refused {
        // Its reply may quote anything, and is in the ledger without what is secret.
        tracing::warn!(%address, "a mail server refuses an address of a receiver; the others got the mail");
        said += &format!("; not to {address}: {}", error.said);
    }
    Ok(said)
}

/// What the mail needs of the server beyond ASCII.
fn options(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    mail: &[u8],
    step: &'static str,
) -> Result<Vec<MailParameter>, SessionError> {
    let server = connection.server_info();
    let lacks = |what: &str| SessionError { step, failure: Failure::Mismatch, said: what.to_owned() };
    let mut options = Vec::new();
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !envelope.from().into_iter().chain(envelope.to()).all(is_ascii) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            return Err(lacks("an address is not ASCII, and the smarthost doesn't offer SMTPUTF8"));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !mail.is_ascii() {
        if !server.supports_feature(Extension::EightBitMime) {
            return Err(lacks("the mail is not ASCII, and the smarthost doesn't offer 8BITMIME"));
        }
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}
