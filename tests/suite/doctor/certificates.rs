//! Certificates that have ended: a platform's, and ours before the broker.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xtask::brokers::{Certificates, Pair};

use super::Told;
use super::platforms::configuration;

/// A platform over TLS that answers 204; its port.
async fn serve(pair: &Pair) -> (u16, JoinHandle<()>) {
    let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let config =
        ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok_and(|count| count > 0) {
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.ok();
                stream.shutdown().await.ok();
            }
        }
    });
    (port, serving)
}

/// The destination over TLS, examined by a process that trusts this authority.
async fn told(folder: &Path, pair: &Pair, ca: &Path, code: i32) -> Told {
    let (port, serving) = serve(pair).await;
    std::fs::write(
        folder.join("trunkline.yaml"),
        configuration(&format!("https://localhost:{port}/hook"), ""),
    )
    .unwrap();
    let told = Told::of(folder, &[], &[("SSL_CERT_FILE", ca.to_str().unwrap())], code).await;
    serving.abort();
    told
}

#[tokio::test]
async fn a_platforms_certificate_that_has_ended_or_is_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::generate(&folder.path().join("certs")).unwrap();
    let place = "7 destinations.crm.settings.url";
    let (ca, folder) = (&certificates.ca, folder.path());
    let ended = told(folder, &certificates.expired, ca, 1).await;
    ended.has("TL-D004", place, "certificate", "renew its certificate");
    ended.counts(1);
    let foreign = told(folder, &certificates.foreign, ca, 1).await;
    foreign.has("TL-D004", place, "certificate", "renew its certificate");
    told(folder, &certificates.server, ca, 0).await.counts(0);
}

#[tokio::test]
async fn our_own_certificate_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let Certificates { ca, expired, .. } = Certificates::generate(&folder.path().join("certs")).unwrap();
    let port = trunkline_tests::ports::free();
    let text = format!(
        "version: 1\nbroker:\n  url: kafka://127.0.0.1:{port}\n  tls:\n    ca: {}\n    certificate: {}\n    key: {}\n",
        ca.display(),
        expired.certificate.display(),
        expired.key.display()
    );
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let told = Told::of(folder.path(), &[], &[], 1).await;
    told.has("TL-D004", "5 broker.tls", "ends 2021-01-01", "have a new one signed");
    // What failed first hides nothing of the rest.
    told.has("TL-D001", "3 broker.url", "takes no connection", "check that it runs");
}
