//! A look at a cluster and at the topics of channels, by a client that only asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::admin::ConfigResource;
use rdkafka::error::RDKafkaErrorCode;
use trunkline_broker::{ChannelSpec, Ensure, Examine, Setting};
use trunkline_core::{Examination, Fault};

use crate::asker::Asker;
use crate::cluster::{Cluster, Topic};
use crate::context::Common;
use crate::error::{ConnectError, KafkaFailure};
use crate::names;
use crate::options::Options;
use crate::properties;
use crate::register::blocking;
use crate::topology::max_batch;

/// Examines a Kafka cluster. It makes no producer and joins no group.
#[derive(Debug)]
pub struct KafkaExaminer {
    options: Arc<Options>,
}

impl KafkaExaminer {
    /// An examiner of the cluster that the options name; nothing is contacted yet.
    ///
    /// # Errors
    /// [`ConnectError`] when the options can't be used.
    pub fn new(options: Options) -> Result<Self, ConnectError> {
        properties::check(&options)?;
        Ok(Self { options: Arc::new(options) })
    }
}

#[async_trait]
impl Examine for KafkaExaminer {
    async fn examine(&self, specs: &[ChannelSpec], mode: Ensure, found: &mut Examination<Setting>) {
        let options = self.options.clone();
        let connected = blocking(move || {
            let failure = |cause| KafkaFailure::Refused {
                bootstrap: options.bootstrap.clone(),
                action: "be asked".to_owned(),
                cause,
            };
            let asker = Arc::new(Asker::new(options.clone(), Common::new(&options)).map_err(failure)?);
            let cluster = asker.cluster()?;
            Ok((asker, cluster))
        });
        let (asker, cluster) = match connected.await {
            Ok(connected) => connected,
            Err(error) => {
                let remedy = "check that it runs, the address, and what it asks for: TLS (`broker.tls`) and SASL \
                              (`broker.properties`); its own log says why it refused";
                return found.error(Setting::Address, Fault::Unreachable, error.to_string(), remedy);
            }
        };
        let look = Look { options: &self.options, asker: &asker, cluster: &cluster, mode };
        look.cluster(found).await;
        look.topics(specs, found).await;
        look.groups(specs, found).await;
        found.unseen(
            "whether the user may write, commit and create: Kafka tells it only when it is tried (docs/operations.md \
             names what is needed)",
        );
    }
}

struct Look<'a> {
    options: &'a Options,
    asker: &'a Arc<Asker>,
    cluster: &'a Cluster,
    mode: Ensure,
}

impl Look<'_> {
    async fn cluster(&self, found: &mut Examination<Setting>) {
        let count = self.cluster.brokers.len();
        let version = match self.cluster.brokers.first() {
            Some(broker) => self.asker.broker_setting(*broker, "inter.broker.protocol.version").await,
            None => Ok(None),
        };
        match version {
            Ok(Some(version)) => {
                found.seen(format!("Kafka: {count} broker(s), speaking {version} among themselves"));
                if is_too_old(&version) {
                    let problem = format!("the cluster speaks Kafka {version}; Trunkline needs 3.0 or later");
                    found.error(Setting::Address, Fault::Version, problem, "upgrade the cluster");
                }
            }
            Ok(None) => found.seen(format!("Kafka: {count} broker(s)")),
            Err(_) => {
                found.seen(format!("Kafka: {count} broker(s)"));
                found.unseen("the version of Kafka: the user may not describe the brokers' settings");
            }
        }
        if let Some(wanted) = self.options.replication.filter(|wanted| usize::from(*wanted) > count) {
            let problem =
                format!("{wanted} copies of each record are wanted, and the cluster has {count} broker(s)");
            let remedy = "add brokers, or lower `broker.replication`; until then no topic can be made";
            found.error(Setting::Replication, Fault::Unsafe, problem, remedy);
        }
    }

    async fn topics(&self, specs: &[ChannelSpec], found: &mut Examination<Setting>) {
        let prefix = &self.options.prefix;
        let mut there: Vec<(Role<'_>, String, &Topic)> = Vec::new();
        for spec in specs {
            let names = [names::topic(prefix, &spec.name), names::delay_topic(prefix, &spec.name)];
            for (role, name) in [Role::Channel(spec), Role::Delay(spec)].into_iter().zip(names) {
                match self.cluster.topics.get(&name) {
                    Some(topic) => there.push((role, name, topic)),
                    None => self.missing(&role, &name, found),
                }
            }
        }
        let catalog = names::catalog_topic(prefix);
        if let Some(topic) = self.cluster.topics.get(&catalog) {
            there.push((Role::Catalog, catalog, topic));
        }
        let channels = there.iter().filter(|(role, ..)| matches!(role, Role::Channel(_))).count();
        found.seen(format!("{channels} of {} channels are there", specs.len()));
        for (role, name, topic) in &there {
            self.copies(role, name, topic, found);
        }
        let names: Vec<&str> = there.iter().map(|(_, name, _)| name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        match self.asker.settings(&names).await {
            Ok(settings) => {
                for ((role, name, topic), settings) in there.iter().zip(&settings) {
                    judge_settings(role, name, topic, settings, found);
                }
            }
            Err(error) => {
                let remedy =
                    "grant DescribeConfigs on the topics, so that a retention that loses records is seen";
                found.error(Setting::Address, refused(&error), error.to_string(), remedy);
            }
        }
    }

    /// A topic that is not there is made by a start, or must be there.
    fn missing(&self, role: &Role<'_>, name: &str, found: &mut Examination<Setting>) {
        if let (Role::Channel(spec), Ensure::Verify) = (role, self.mode) {
            let problem = format!("channel `{}` does not exist: there is no topic `{name}`", spec.name);
            let remedy = "make it as docs/operations.md says, or let Trunkline make it with `ensure: create`";
            found.error(Setting::Ensure, Fault::Missing, problem, remedy);
        }
    }

    /// Partitions, and how many copies there are of each.
    fn copies(&self, role: &Role<'_>, name: &str, topic: &Topic, found: &mut Examination<Setting>) {
        if let Role::Channel(spec) = role
            && topic.partitions.len() != usize::from(spec.partitions)
        {
            let (has, wanted) = (topic.partitions.len(), spec.partitions);
            let problem = format!("topic `{name}` has {has} partitions, but {wanted} are configured");
            let remedy =
                "write what exists, or follow \"Changing the number of partitions\" in docs/operations.md";
            found.error(Setting::Partitions, Fault::Differs, problem, remedy);
        }
        let unled = topic.partitions.iter().filter(|partition| partition.leader < 0).count();
        if unled > 0 {
            let problem =
                format!("{unled} partition(s) of topic `{name}` have no leader: nothing goes in or out");
            let remedy = "bring back the brokers that hold them (`kafka-topics.sh --describe --unavailable-partitions`)";
            found.error(Setting::Address, Fault::Unreachable, problem, remedy);
        }
        let behind =
            topic.partitions.iter().filter(|partition| partition.in_sync < partition.replicas).count();
        if behind > 0 {
            let problem = format!("{behind} partition(s) of topic `{name}` lack a copy that is up to date");
            let remedy = "look for brokers that are away or slow (`kafka-topics.sh --describe --under-replicated-partitions`)";
            found.warning(Setting::Address, Fault::Unsafe, problem, remedy);
        }
        let copies = topic.copies();
        if let Some(wanted) = self.options.replication.filter(|wanted| copies < usize::from(*wanted)) {
            let problem =
                format!("topic `{name}` keeps {copies} cop(ies) of each record, but {wanted} are configured");
            let remedy = "raise it with `kafka-reassign-partitions.sh`, or write what exists";
            found.error(Setting::Replication, Fault::Differs, problem, remedy);
        } else if copies < 2 && self.cluster.brokers.len() > 1 {
            let problem =
                format!("topic `{name}` keeps a single copy of each record: one broker's loss loses them");
            let remedy = "raise it with `kafka-reassign-partitions.sh`, and set `broker.replication: 3` for topics to come";
            found.warning(Setting::Replication, Fault::Unsafe, problem, remedy);
        }
    }

    /// Who is in the groups, and whether that may be asked.
    async fn groups(&self, specs: &[ChannelSpec], found: &mut Examination<Setting>) {
        let groups: BTreeSet<String> = specs
            .iter()
            .flat_map(|spec| &spec.groups)
            .map(|group| names::group(&self.options.prefix, group))
            .collect();
        for group in groups {
            let (asker, name) = (self.asker.clone(), group.clone());
            match blocking(move || asker.members(&name)).await {
                Ok(members) => found.sharing.push(members),
                Err(error) => {
                    let remedy = format!("grant Read and Describe on the group `{group}`");
                    found.error(Setting::Address, refused(&error), error.to_string(), remedy);
                }
            }
        }
    }
}

/// What a topic is for.
enum Role<'a> {
    Channel(&'a ChannelSpec),
    Delay(&'a ChannelSpec),
    Catalog,
}

fn judge_settings(
    role: &Role<'_>,
    name: &str,
    topic: &Topic,
    settings: &ConfigResource,
    found: &mut Examination<Setting>,
) {
    let values: BTreeMap<&str, &str> = settings
        .entries
        .iter()
        .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
        .collect();
    let value = |setting: &str| values.get(setting).copied();
    match role {
        Role::Catalog => judge_catalog(name, value("cleanup.policy"), found),
        Role::Channel(spec) | Role::Delay(spec) => {
            judge_retention(name, &value, found);
            let wanted = max_batch(spec.max_record);
            let takes = value("max.message.bytes").and_then(|text| text.parse::<usize>().ok());
            if let Some(takes) = takes.filter(|takes| *takes < wanted) {
                let problem = format!(
                    "topic `{name}` takes batches of {takes} bytes, and `channels.max_record` needs {wanted}: larger \
                     records are refused"
                );
                let remedy =
                    format!("set `max.message.bytes={wanted}` on the topic, or lower `channels.max_record`");
                found.error(Setting::MaxRecord, Fault::Differs, problem, remedy);
            }
        }
    }
    judge_copies(name, topic.copies(), &value, found);
}

fn judge_catalog(name: &str, policy: Option<&str>, found: &mut Examination<Setting>) {
    if let Some(policy) = policy.filter(|policy| *policy != "compact") {
        let problem = format!(
            "topic `{name}` has `cleanup.policy={policy}`: what channels were declared as is forgotten with time"
        );
        let remedy = "set `cleanup.policy=compact` on it";
        found.error(Setting::Channels, Fault::Unsafe, problem, remedy);
    }
}

fn judge_retention<'v>(
    name: &str,
    value: &impl Fn(&str) -> Option<&'v str>,
    found: &mut Examination<Setting>,
) {
    if let Some(policy) = value("cleanup.policy").filter(|policy| policy.contains("compact")) {
        let problem = format!(
            "topic `{name}` is compacted (`cleanup.policy={policy}`): of records with one key only the last stays, and \
             the others are lost"
        );
        let remedy = "set `cleanup.policy=delete` on the topic";
        found.error(Setting::Channels, Fault::Unsafe, problem, remedy);
    }
    for setting in ["retention.ms", "retention.bytes"] {
        if let Some(limit) = value(setting).filter(|limit| *limit != "-1") {
            let problem = format!(
                "topic `{name}` has `{setting}={limit}`: Kafka deletes records that nobody has settled yet"
            );
            let remedy = format!(
                "set `{setting}=-1` on the topic; Trunkline deletes what is settled, after `channels.*.keep`"
            );
            found.error(Setting::Channels, Fault::Unsafe, problem, remedy);
        }
    }
}

fn judge_copies<'v>(
    name: &str,
    copies: usize,
    value: &impl Fn(&str) -> Option<&'v str>,
    found: &mut Examination<Setting>,
) {
    let least = value("min.insync.replicas").and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
    if least > copies {
        let problem = format!(
            "topic `{name}` has `min.insync.replicas={least}` and {copies} cop(ies): it takes no record"
        );
        let remedy = "lower `min.insync.replicas` of the topic, or give it more replicas";
        found.error(Setting::Replication, Fault::Unsafe, problem, remedy);
    }
    if copies < 2 {
        return;
    }
    if least < 2 {
        let problem = format!(
            "topic `{name}` has {copies} copies and `min.insync.replicas={least}`: a record counts as stored when one \
             broker has it, and is lost with that broker"
        );
        let remedy = "set `min.insync.replicas=2` on the topic";
        found.warning(Setting::Replication, Fault::Unsafe, problem, remedy);
    }
    if value("unclean.leader.election.enable") == Some("true") {
        let problem = format!(
            "topic `{name}` has `unclean.leader.election.enable=true`: a broker that lacks records may become leader, \
             and they are lost"
        );
        let remedy = "set `unclean.leader.election.enable=false` on the topic";
        found.error(Setting::Replication, Fault::Unsafe, problem, remedy);
    }
}

fn refused(error: &KafkaFailure) -> Fault {
    use RDKafkaErrorCode::{ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed};
    let KafkaFailure::Refused { cause, .. } = error else { return Fault::Unreachable };
    match cause.rdkafka_error_code() {
        Some(ClusterAuthorizationFailed | GroupAuthorizationFailed | TopicAuthorizationFailed) => {
            Fault::Permission
        }
        _ => Fault::Unreachable,
    }
}

/// Versions read `3.9-IV0` or `4.1-IV1`.
fn is_too_old(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_3_are_too_old() {
        for (version, old) in [("2.8-IV1", true), ("3.0-IV1", false), ("4.1-IV1", false), ("unknown", false)]
        {
            assert_eq!(is_too_old(version), old, "{version}");
        }
    }

    #[test]
    fn copies_are_judged_by_what_loses_records() {
        let check = |copies: usize, least: &'static str, unclean: &'static str| {
            let mut found = Examination::default();
            let value = |name: &str| match name {
                "min.insync.replicas" => Some(least),
                "unclean.leader.election.enable" => Some(unclean),
                _ => None,
            };
            judge_copies("events", copies, &value, &mut found);
            found.findings.len()
        };
        assert_eq!(check(1, "1", "true"), 0, "one broker has nobody to lose against");
        assert_eq!(check(3, "2", "false"), 0);
        assert_eq!(check(3, "1", "false"), 1);
        assert_eq!(check(3, "2", "true"), 1);
        assert_eq!(check(1, "2", "false"), 1);
    }
}
