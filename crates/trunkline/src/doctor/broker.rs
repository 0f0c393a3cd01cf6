//! The broker, by its engine's examiner.

use std::error::Error;
use std::time::Duration;

use trunkline_core::{Examination, Fault};
use trunkline_sdk::broker::Setting;
use trunkline_sdk::certificate::ends_pem;
use trunkline_sdk::chrono::{TimeDelta, Utc};
use trunkline_sdk::config::Shared;
use trunkline_sdk::service::{OpenError, broker_servers, examiner, instance_name};
use trunkline_sdk::topology;

use super::reach::reach;
use super::spot::Spot;
use super::{Part, bounded, placed};

/// A client's certificate that ends sooner is told.
const SOON: TimeDelta = TimeDelta::days(14);

pub(super) async fn examine(shared: &Shared, within: Duration) -> Part {
    let mut found = Examination::default();
    judge_certificate(shared, &mut found);
    bounded(within, Setting::Address, &mut found, async |found| {
        if let Err(error) = look(shared, within / 2, found).await {
            let causes = std::iter::successors(error.source(), |cause| (*cause).source());
            let why = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            match error {
                // The unset secret is a finding of its own.
                OpenError::Secret(_) => found.unseen(format!("the broker as a whole: {why}")),
                _ => found.error(Setting::Address, Fault::Unreachable, why, "correct `broker`"),
            }
        }
    })
    .await;
    let whole = spot(shared, Setting::Address);
    Part { name: "broker".to_owned(), found: placed(found, |at| spot(shared, at)), whole }
}

async fn look(
    shared: &Shared,
    patience: Duration,
    found: &mut Examination<Setting>,
) -> Result<(), OpenError> {
    let client = format!("{}-doctor", instance_name());
    let examiner = examiner(shared, &client, patience)?;
    if reach(&broker_servers(shared)?, patience, &Setting::Address, found).await {
        examiner.examine(&topology::channels(shared), shared.broker.ensure, found).await;
    } else {
        found.unseen("what is on the broker: it can't be reached");
    }
    Ok(())
}

/// The certificate that we show to the broker. That of the broker is judged where the connection is made.
fn judge_certificate(shared: &Shared, found: &mut Examination<Setting>) {
    let Some((_, file)) = shared.broker.tls_files().find(|(key, _)| *key == "certificate") else { return };
    // A file that can't be read is a finding of the configuration's.
    let Ok(pem) = std::fs::read(shared.folder.join(file)) else { return };
    let remedy = "have a new one signed by the broker's authority, and put it in its place";
    match ends_pem(&pem) {
        Ok(end) if end - Utc::now() < SOON => {
            let problem = format!("our certificate `{file}` ends {}", end.format("%Y-%m-%d %H:%M UTC"));
            if end < Utc::now() {
                found.error(Setting::Tls, Fault::Certificate, problem, remedy);
            } else {
                found.warning(Setting::Tls, Fault::Certificate, problem, remedy);
            }
        }
        Ok(_) => {}
        Err(error) => {
            found.error(
                Setting::Tls,
                Fault::Certificate,
                format!("`{file}` can't be shown to the broker: {error}"),
                remedy,
            );
        }
    }
}

fn spot(shared: &Shared, setting: Setting) -> Spot {
    let (section, key) = match setting {
        Setting::Address => ("broker", "url"),
        Setting::Tls => ("broker", "tls"),
        Setting::Management => ("broker", "management"),
        Setting::Replication => ("broker", "replication"),
        Setting::Ensure => ("broker", "ensure"),
        Setting::Partitions => ("channels", "partitions"),
        Setting::MaxRecord => ("channels", "max_record"),
        Setting::Channels => ("channels", "prefix"),
    };
    Spot::at(shared, section, key)
}
