//! Servers whose certificate is not trusted: which one, why, and what to do.

use std::error::Error;
use std::{fmt, io};

use rustls::CertificateError;

/// Why a server is not trusted. No passing trouble: a person must change something.
#[derive(Clone, Debug)]
pub(super) struct Distrust(String);

impl Distrust {
    /// What a failed request to `server`, which is `host:port`, says of its certificate, if that is why it failed.
    pub(super) fn find(server: Option<&str>, error: &(dyn Error + 'static)) -> Option<Self> {
        let why = certificate_error(error)?;
        Some(Self(format!("the certificate of {} is not trusted: {}", server.unwrap_or("the server"), way_out(why))))
    }

    /// The one that is among the causes of an error.
    pub(super) fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Distrust {}

fn way_out(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "no authority that is known here has signed it; add its authority to those of this machine, or name a PEM \
             file with it by SSL_CERT_FILE"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is for another name ({why}); is the address right?")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            format!("{why}; is the clock of this machine right? If so, whoever runs the storage must renew it")
        }
        _ => why.to_string(),
    }
}

fn certificate_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    causes(error).find_map(|cause| match cause.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(why),
        _ => None,
    })
}

/// An error and what is below it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| below(*error))
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // Of what an I/O error is made of `source()` tells only the cause.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(why: CertificateError) -> Option<String> {
        let below = io::Error::other(rustls::Error::InvalidCertificate(why));
        // As it comes from a handshake: one in the other.
        let error = opendal::Error::new(opendal::ErrorKind::Unexpected, "send http request")
            .set_source(io::Error::other(below));
        Distrust::find(Some("storage.example.org:443"), &error).map(|distrust| distrust.to_string())
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_found_below_other_errors() {
        for (why, says) in [
            (CertificateError::UnknownIssuer, "SSL_CERT_FILE"),
            (CertificateError::NotValidForName, "is the address right?"),
            (CertificateError::Expired, "clock"),
            (CertificateError::Revoked, "Revoked"),
        ] {
            let text = found(why).expect("found");
            assert!(text.contains("of storage.example.org:443 is not trusted") && text.contains(says), "{text}");
        }
    }

    #[test]
    fn other_trouble_is_none_of_certificates() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(Distrust::find(None, &refused).is_none());
        let alert = io::Error::other(rustls::Error::HandshakeNotComplete);
        assert!(Distrust::find(None, &alert).is_none());
    }
}
