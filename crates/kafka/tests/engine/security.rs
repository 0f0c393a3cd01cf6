//! TLS and SASL against the listeners that ask for them.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trunkline_broker::Broker;
use trunkline_kafka::{ConnectError, KafkaBroker, Options, Tls};
use xtask::brokers::kafka::{PASSWORD, USER};

use crate::stage::{Consumer, Stage, ensure, records, spec, texts};

impl Stage {
    /// Options for the listener with SASL over TLS; `None` where there is none.
    fn sasl(&self, properties: &[(&str, &str)]) -> Option<Options> {
        let address = self.kafka.addresses.sasl.clone()?;
        let certificates = self.kafka.certificates.as_ref()?;
        let tls = Some(Tls { ca: Some(certificates.ca.clone()), ..Tls::default() });
        let properties =
            properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request_timeout = Duration::from_secs(8);
        Some(Options { bootstrap: address, tls, properties, request_timeout, ..self.options("sasl") })
    }
}

/// Publishes and consumes one record.
async fn works(options: Options) {
    let broker = KafkaBroker::connect(options).await.unwrap();
    ensure(&broker, &spec("secret", 1, &["reader"])).await;
    broker.publish(records("secret", 0..1)).await.unwrap();
    let mut consumer = Consumer::join(&broker, "secret", "reader").await;
    let taken = consumer.take(1).await;
    assert_eq!(texts(&taken), ["0"]);
    consumer.settle(taken).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sasl_plain_and_scram_let_in_whoever_knows_the_password() {
    let case = "sasl_plain_and_scram_let_in_whoever_knows_the_password";
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let Some(stage) = Stage::set(case) else { return };
        let user = |password| {
            stage.sasl(&[("sasl.mechanism", mechanism), ("sasl.username", USER), ("sasl.password", password)])
        };
        let Some(options) = user(PASSWORD) else { return };
        works(options).await;
        let wrong = "not-the-password";
        let begun = Instant::now();
        let refused = KafkaBroker::connect(user(wrong).unwrap()).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Unreachable { .. }), "{refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let told = format!("{refused} {refused:?}");
        assert!(told.contains("localhost") && !told.contains(wrong), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oauthbearer_takes_its_token_from_a_file() {
    let Some(stage) = Stage::set("oauthbearer_takes_its_token_from_a_file") else { return };
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 600;
    let claims = format!(r#"{{"sub":"{USER}","iat":{},"exp":{until}}}"#, until - 700);
    let token =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims));
    let file = std::env::temp_dir().join(format!("trunkline-kafka-token-{}", std::process::id()));
    std::fs::write(&file, token).unwrap();
    let properties = [
        ("sasl.mechanism", "OAUTHBEARER"),
        ("trunkline.oauth.token.file", file.to_str().unwrap()),
        ("trunkline.oauth.principal", USER),
    ];
    if let Some(options) = stage.sasl(&properties) {
        works(options.clone()).await;
        works(Options { transactional: true, ..options }).await;
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls_lets_in_whoever_has_a_certificate() {
    let Some(stage) = Stage::set("mutual_tls_lets_in_whoever_has_a_certificate") else { return };
    let (Some(address), Some(certificates)) = (&stage.kafka.addresses.tls, &stage.kafka.certificates) else {
        return;
    };
    let with = |tls| Options {
        bootstrap: address.clone(),
        tls: Some(tls),
        request_timeout: Duration::from_secs(8),
        ..stage.options("tls")
    };
    let full = Tls {
        ca: Some(certificates.ca.clone()),
        certificate: Some(certificates.client.certificate.clone()),
        key: Some(certificates.client.key.clone()),
    };
    works(with(full.clone())).await;
    let nameless = Tls { certificate: None, key: None, ..full.clone() };
    let refused = KafkaBroker::connect(with(nameless)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Unreachable { .. }), "{refused:?}");
    let stranger = Tls { ca: None, ..full };
    let refused = KafkaBroker::connect(with(stranger)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Unreachable { .. }), "{refused:?}");
}
