//! When certificates end.

use chrono::{DateTime, Utc};
use thiserror::Error;
use x509_parser::pem::Pem;

/// Bytes that are no certificate.
#[derive(Debug, Error)]
#[error("it holds no certificate: {0}")]
pub struct CertificateError(String);

/// When a certificate in DER, as a server shows it, is no longer valid.
///
/// # Errors
/// [`CertificateError`] when it is none.
pub fn ends_der(der: &[u8]) -> Result<DateTime<Utc>, CertificateError> {
    let wrong = |problem: String| CertificateError(problem);
    let (_, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|error| wrong(error.to_string()))?;
    let seconds = certificate.validity().not_after.timestamp();
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| wrong(format!("its end is {seconds}")))
}

/// When the first certificate of a file in PEM is no longer valid: of a chain the one that is shown as one's own.
///
/// # Errors
/// [`CertificateError`] when there is none.
pub fn ends_pem(pem: &[u8]) -> Result<DateTime<Utc>, CertificateError> {
    for block in Pem::iter_from_buffer(pem) {
        let block = block.map_err(|error| CertificateError(error.to_string()))?;
        if block.label == "CERTIFICATE" {
            return ends_der(&block.contents);
        }
    }
    Err(CertificateError("there is no block `CERTIFICATE` in it".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_an_error() {
        assert!(ends_pem(b"").is_err());
        assert!(ends_pem(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
        assert!(ends_der(b"0").is_err());
    }
}
