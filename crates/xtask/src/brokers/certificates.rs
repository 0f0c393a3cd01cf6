//! Certificates for the listeners and clients of test brokers.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use super::{BrokersError, folder};

/// PEM files. Every certificate is for `localhost` and `127.0.0.1` and good for servers and clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificates {
    /// The authority that the shared brokers trust, and that signed what is theirs.
    pub ca: PathBuf,
    /// Of the brokers.
    pub server: Pair,
    /// Of a client whom the brokers let in; its common name is `bus`.
    pub client: Pair,
    /// Signed by `ca`, and expired since 2021.
    pub expired: Pair,
    /// An authority that nobody trusts.
    pub foreign_ca: PathBuf,
    /// Signed by `foreign_ca`.
    pub foreign: Pair,
}

/// A certificate with its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub certificate: PathBuf,
    /// PKCS#8.
    pub key: PathBuf,
    /// Key, certificate and authority in one file, as Kafka wants its key store.
    pub bundle: PathBuf,
}

impl Certificates {
    /// Makes new ones in `folder`, which is created.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn generate(folder: &Path) -> Result<Certificates, BrokersError> {
        folder::create(folder)?;
        let ca = Authority::new(folder, "ca", "Trunkline test authority")?;
        let foreign_ca = Authority::new(folder, "foreign-ca", "Another authority")?;
        Ok(Certificates {
            server: ca.sign(folder, "server", "localhost", 2099)?,
            client: ca.sign(folder, "client", "bus", 2099)?,
            expired: ca.sign(folder, "expired", "bus", 2021)?,
            foreign: foreign_ca.sign(folder, "foreign", "bus", 2099)?,
            ca: ca.path,
            foreign_ca: foreign_ca.path,
        })
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    path: PathBuf,
}

impl Authority {
    fn new(folder: &Path, file: &str, name: &str) -> Result<Authority, BrokersError> {
        let mut params = params(Vec::new(), name, 2099)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let path = folder.join(format!("{file}.pem"));
        folder::write(&path, &pem)?;
        Ok(Authority { issuer: Issuer::new(params, key), pem, path })
    }

    fn sign(&self, folder: &Path, file: &str, name: &str, until: i32) -> Result<Pair, BrokersError> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = params(names, name, until)?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let key = key.serialize_pem();
        let pair = Pair {
            certificate: folder.join(format!("{file}.pem")),
            key: folder.join(format!("{file}.key")),
            bundle: folder.join(format!("{file}-bundle.pem")),
        };
        folder::write(&pair.certificate, &certificate)?;
        folder::write(&pair.key, &key)?;
        folder::write(&pair.bundle, &format!("{key}{certificate}{}", self.pem))?;
        Ok(pair)
    }
}

fn params(names: Vec<String>, name: &str, until: i32) -> Result<CertificateParams, BrokersError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    Ok(params)
}
