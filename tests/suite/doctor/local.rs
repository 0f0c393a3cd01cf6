//! Secrets, clocks, and a configuration that is not valid: what needs no server.

use std::os::unix::fs::PermissionsExt;

use super::Told;
use super::platforms::Platform;

#[tokio::test]
async fn secrets_that_are_missing_or_everybodys() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\nbroker: embedded:./data\nsources:\n  shop:\n    adapter: shopify\n    settings:\n      secret: \
                \"${env:TRUNKLINE_DOCTOR_UNSET}\"\n  pay:\n    adapter: stripe\n    settings:\n      secret: \"${file:pay.key}\"\n";
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let key = folder.path().join("pay.key");
    std::fs::write(&key, "canary-secret").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = Told::of(folder.path(), &[], &[], 1).await;
    told.has(
        "TL-C010",
        "7 sources.shop.settings.secret",
        "`TRUNKLINE_DOCTOR_UNSET` is not set",
        "set it in the environment",
    );
    told.has(
        "TL-D006",
        "11 sources.pay.settings.secret",
        "everybody on this machine may read the secret in `pay.key` (mode 0644)",
        "chmod o-rwx pay.key",
    );
    told.counts(2);
    assert!(!format!("{told:?}").contains("canary"), "{told:?}");

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let told = Told::of(folder.path(), &[], &[("TRUNKLINE_DOCTOR_UNSET", "x")], 0).await;
    told.counts(0);
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off() {
    let an_hour_ago = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let platform = Platform::start(200, Some(an_hour_ago)).await;
    let told = Told::of_text(&platform.configuration("http", ""), 1).await;
    told.has("TL-D007", "5 destinations.crm", "s ahead of that of 127.0.0.1", "NTP");
    told.counts(1);
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_is_all_that_is_found() {
    let told = Told::of_text("version: 1\nbroker: redis://h\nstor: x\n", 1).await;
    told.has("TL-C003", "2 broker", "`redis`, which is no engine", "kafka://");
    told.has("TL-C002", "3 stor", "no section `stor`", "store");
    told.counts(2);
    assert!(told.said("unseen", "all").contains("not valid"), "{told:?}");
}
