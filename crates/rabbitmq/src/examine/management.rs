//! The management plugin's HTTP API, asked by GET only.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;
use reqwest::{Certificate, Client, StatusCode};
use serde_json::Value;
use trunkline_broker::{ChannelSpec, Setting};
use trunkline_core::{Clock, Examination, Fault};

use super::policy;
use crate::connection::Address;
use crate::names::Names;
use crate::options::Options;
use crate::topology::partition_queues;

/// Queues in one answer.
const PAGE: usize = 500;
/// No installation has more; an answer that says so is not followed without end.
const MOST_PAGES: u64 = 1000;

/// Where the API is, and who asks.
pub(super) struct Management {
    client: Client,
    url: String,
    user: (String, String),
    vhost: String,
    prefix: String,
}

/// Why there is no answer.
enum NoAnswer {
    /// The user may not ask this.
    Forbidden,
    Failed(String),
}

impl Management {
    pub(super) fn new(url: &str, options: &Options, address: &Address) -> Result<Self, String> {
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(options.connect_timeout)
            .timeout(options.connect_timeout);
        if let Some(ca) = options.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
            let pem =
                std::fs::read(ca).map_err(|error| format!("{} can't be read: {error}", ca.display()))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
            builder = builder.tls_certs_merge(authorities);
        }
        let (user, password) = address.user();
        Ok(Self {
            client: builder.build().map_err(|error| error.to_string())?,
            url: url.trim_end_matches('/').to_owned(),
            user: (user.to_owned(), password.to_owned()),
            vhost: utf8_percent_encode(address.vhost(), NON_ALPHANUMERIC).to_string(),
            prefix: options.prefix.clone(),
        })
    }

    pub(super) async fn examine(
        &self,
        names: &Names,
        specs: &[ChannelSpec],
        found: &mut Examination<Setting>,
    ) {
        match self.get("overview", Some(&mut *found)).await {
            Ok(overview) => judge_version(&overview, found),
            Err(NoAnswer::Forbidden) => {
                let problem = "the management API refuses this user";
                let remedy =
                    "give the user the tag `monitoring` (`rabbitmqctl set_user_tags USER monitoring`)";
                return found.error(Setting::Management, Fault::Permission, problem, remedy);
            }
            Err(NoAnswer::Failed(why)) => {
                let problem = format!("the management API does not answer: {why}");
                let remedy = "check `broker.management`, and that the plugin is enabled (`rabbitmq-plugins enable \
                              rabbitmq_management`)";
                return found.error(Setting::Management, Fault::Unreachable, problem, remedy);
            }
        }
        self.nodes(found).await;
        self.queues(names, specs, found).await;
        self.permissions(names, specs, found).await;
    }

    /// Alarms stop every publisher.
    async fn nodes(&self, found: &mut Examination<Setting>) {
        let nodes = match self.get("nodes", None).await {
            Ok(nodes) => nodes,
            Err(error) => return found.unseen(format!("RabbitMQ's alarms: {}", error.told("monitoring"))),
        };
        for node in nodes.as_array().into_iter().flatten() {
            let name = node["name"].as_str().unwrap_or_default();
            for (alarm, what) in [("mem_alarm", "memory"), ("disk_free_alarm", "disk room")] {
                if node[alarm] == true {
                    let problem = format!("node `{name}` is short of {what}: RabbitMQ lets nobody publish");
                    let remedy = "free what it lacks, or see what waits with `trunkline destinations`";
                    found.error(Setting::Address, Fault::Unsafe, problem, remedy);
                }
            }
            if node["running"] == false {
                let problem = format!("node `{name}` does not run");
                found.warning(Setting::Address, Fault::Unreachable, problem, "start it, or forget it");
            }
        }
    }

    /// Policies, by what they come to on each of our queues.
    async fn queues(&self, names: &Names, specs: &[ChannelSpec], found: &mut Examination<Setting>) {
        let ours = Ours::of(names, specs);
        let name =
            utf8_percent_encode(&format!("^{}", regex::escape(&self.prefix)), NON_ALPHANUMERIC).to_string();
        let columns = "name,type,policy,operator_policy,effective_policy_definition,members,online";
        let mut looked = 0;
        for page in 1..=MOST_PAGES {
            let path = format!(
                "queues/{}?page={page}&page_size={PAGE}&use_regex=true&name={name}&columns={columns}",
                self.vhost
            );
            let answer = match self.get(&path, None).await {
                Ok(answer) => answer,
                Err(error) => return found.unseen(format!("policies: {}", error.told("management"))),
            };
            for queue in answer["items"].as_array().into_iter().flatten() {
                if let Some(delays) = ours.delays(queue["name"].as_str().unwrap_or_default()) {
                    looked += 1;
                    policy::judge(queue, delays, found);
                }
            }
            if answer["page_count"].as_u64().is_none_or(|count| page >= count) {
                break;
            }
        }
        found.seen(format!("policies of {looked} queues"));
    }

    /// Only administrators may ask what somebody may do.
    async fn permissions(&self, names: &Names, specs: &[ChannelSpec], found: &mut Examination<Setting>) {
        let user = utf8_percent_encode(&self.user.0, NON_ALPHANUMERIC);
        let permissions = match self.get(&format!("permissions/{}/{user}", self.vhost), None).await {
            Ok(permissions) => permissions,
            Err(error) => {
                return found.unseen(format!("the user's permissions: {}", error.told("administrator")));
            }
        };
        for (right, why) in [("write", "publish to"), ("read", "take from")] {
            let Some(pattern) = permissions[right].as_str() else { continue };
            let Ok(pattern) = Regex::new(pattern) else { continue };
            // RabbitMQ reads an empty pattern as one that nothing fits.
            let fits = |name: &str| !pattern.as_str().is_empty() && pattern.is_match(name);
            let mut all = specs.iter().flat_map(|spec| {
                spec.groups.iter().map(|group| match right {
                    "write" => names.group(&spec.name, group),
                    _ => names.queue(&spec.name, group, 0),
                })
            });
            if let Some(name) = all.find(|name| !fits(name.as_str())) {
                let problem = format!("the user may not {why} `{name}`: its `{right}` is `{pattern}`");
                let remedy = "set the permissions that docs/operations.md names under \"On RabbitMQ\"";
                found.error(Setting::Address, Fault::Permission, problem, remedy);
            }
        }
    }

    async fn get(&self, path: &str, clock: Option<&mut Examination<Setting>>) -> Result<Value, NoAnswer> {
        let failed = |error: reqwest::Error| NoAnswer::Failed(causes(&error.without_url()));
        let asked = SystemTime::now();
        let request = self.client.get(format!("{}/api/{path}", self.url));
        let answer = request.basic_auth(&self.user.0, Some(&self.user.1)).send().await.map_err(failed)?;
        if let Some(found) = clock {
            found.clocks.extend(clock_of(&answer, asked));
        }
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(NoAnswer::Forbidden),
            status => return Err(NoAnswer::Failed(format!("it answers {status}"))),
        }
        let body = answer.bytes().await.map_err(failed)?;
        serde_json::from_slice(&body).map_err(|error| NoAnswer::Failed(format!("it is no JSON: {error}")))
    }
}

impl NoAnswer {
    fn told(self, tag: &str) -> String {
        match self {
            NoAnswer::Forbidden => format!("the user lacks the tag `{tag}`"),
            NoAnswer::Failed(why) => why,
        }
    }
}

/// Which queues are ours.
struct Ours {
    queues: BTreeSet<String>,
    /// What the names of their delay levels begin with.
    levels: Vec<String>,
}

impl Ours {
    fn of(names: &Names, specs: &[ChannelSpec]) -> Self {
        let mut queues: BTreeSet<String> =
            [names.ledger(), names.foreign()].map(|name| name.to_string()).into();
        let mut levels = Vec::new();
        for spec in specs {
            for group in &spec.groups {
                let own = partition_queues(names, &spec.name, group, spec.partitions);
                queues.extend(own.iter().map(ToString::to_string));
                levels.push(names.level(&spec.name, group, 0).as_str().trim_end_matches('0').to_owned());
            }
        }
        Self { queues, levels }
    }

    /// Whether a queue is one in which records wait for their time; `None` when it is not ours.
    fn delays(&self, name: &str) -> Option<bool> {
        if self.queues.contains(name) {
            return Some(false);
        }
        self.levels.iter().any(|level| name.starts_with(level.as_str())).then_some(true)
    }
}

fn judge_version(overview: &Value, found: &mut Examination<Setting>) {
    let Some(version) = overview["rabbitmq_version"].as_str() else {
        return found.unseen("RabbitMQ's version: the management API does not tell it to this user");
    };
    found.seen(format!("RabbitMQ {version}"));
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (parts.next(), parts.next())
        && (major, minor) < (3, 10)
    {
        let problem = format!("RabbitMQ {version} is too old: Trunkline needs 3.10 or later");
        found.error(Setting::Address, Fault::Version, problem, "upgrade it");
    }
}

/// The server's time by its `Date` header, which has whole seconds.
fn clock_of(answer: &reqwest::Response, asked: SystemTime) -> Option<Clock> {
    let date = answer.headers().get("date")?.to_str().ok()?;
    let theirs = DateTime::parse_from_rfc2822(date).ok()?.timestamp_millis();
    let millis = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis().try_into().unwrap_or(i64::MAX)
    };
    let (before, after): (i64, i64) = (millis(asked), millis(SystemTime::now()));
    let ours = before.midpoint(after);
    Some(Clock {
        whose: "RabbitMQ's management API".to_owned(),
        ours_ahead_ms: ours - theirs,
        within_ms: (after - before) / 2 + 1000,
    })
}

fn causes(error: &reqwest::Error) -> String {
    let sources = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    sources.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
