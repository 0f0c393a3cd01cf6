//! The end of a process: the gateway is told to stop first, so that what it has accepted still moves on, then the
//! router, the dispatcher and the console.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use trunkline_sdk::service::ServiceError;

use crate::cli::Service;

/// A service is told to stop when the one before it has ended, at the latest so many parts of the grace period later.
const PARTS: u32 = 8;
/// What a service needs to say that its grace period is over.
const SLACK: Duration = Duration::from_millis(500);

/// The services under way.
pub(super) struct Stages {
    tasks: JoinSet<(Service, anyhow::Result<()>)>,
    tokens: BTreeMap<Service, CancellationToken>,
    grace: Duration,
}

/// How much of the grace period is left for a service of `services`, however late it is told.
pub(super) fn share_of(grace: Duration, service: Service, services: &[Service]) -> Duration {
    let earlier = Service::ALL.iter().take_while(|other| **other != service);
    let before = earlier.filter(|other| services.contains(other)).count();
    grace * (PARTS - u32::try_from(before).unwrap_or_default()) / PARTS
}

impl Stages {
    pub(super) fn new(grace: Duration) -> Self {
        Self { tasks: JoinSet::new(), tokens: BTreeMap::new(), grace }
    }

    /// What tells `service` to stop.
    pub(super) fn token(&mut self, service: Service) -> CancellationToken {
        self.tokens.entry(service).or_default().clone()
    }

    pub(super) fn spawn(
        &mut self,
        service: Service,
        running: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            // In a task of its own, so that a panic has the service's name.
            let ended = tokio::spawn(running).await;
            (service, ended.unwrap_or_else(|panic| Err(panic.into())))
        });
    }

    /// Waits for `shutdown` or the end of a service, then ends all of them. The first error is the answer.
    pub(super) async fn until_stopped(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut answer = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => match self.note(ended) {
                // None ends before it is told to.
                Ok(()) => Err(anyhow::anyhow!("a service stopped by itself")),
                failed => failed,
            },
        };
        let told = Instant::now();
        for service in Service::ALL {
            let Some(token) = self.tokens.get(&service) else { continue };
            token.cancel();
            let until = Instant::now() + self.grace / PARTS;
            while self.tokens.contains_key(&service)
                && let Ok(Some(ended)) = timeout_at(until, self.tasks.join_next()).await
            {
                answer = answer.and(self.note(ended));
            }
        }
        while let Ok(Some(ended)) = timeout_at(told + self.grace + SLACK, self.tasks.join_next()).await {
            answer = answer.and(self.note(ended));
        }
        if !self.tokens.is_empty() {
            let names: Vec<&str> = self.tokens.keys().map(|service| service.name()).collect();
            answer = answer.and(Err(ServiceError::Unsettled(format!("of the {}", names.join(", "))).into()));
        }
        answer
    }

    /// A service has ended.
    fn note(
        &mut self,
        ended: Result<(Service, anyhow::Result<()>), tokio::task::JoinError>,
    ) -> anyhow::Result<()> {
        let (service, ended) = ended?;
        self.tokens.remove(&service);
        match &ended {
            Ok(()) => info!(service = service.name(), "stopped"),
            Err(error) => {
                error!(service = service.name(), error = format!("{error:#}"), "ended with an error")
            }
        }
        ended.map_err(|error| error.context(format!("the {} ended", service.name())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::{Arc, Mutex};

    use trunkline_sdk::service::Exit;

    use super::*;

    const GRACE: Duration = Duration::from_secs(8);

    /// Stages whose services end `lasting` after they are told, and the order in which they were told.
    fn stages(lasting: impl Fn(Service) -> Duration) -> (Stages, Arc<Mutex<Vec<Service>>>) {
        let mut stages = Stages::new(GRACE);
        let told = Arc::new(Mutex::new(Vec::new()));
        for service in Service::ALL {
            let (token, told, lasting) = (stages.token(service), told.clone(), lasting(service));
            stages.spawn(service, async move {
                token.cancelled().await;
                told.lock().unwrap().push(service);
                tokio::time::sleep(lasting).await;
                Ok(())
            });
        }
        (stages, told)
    }

    fn stopped() -> CancellationToken {
        let token = CancellationToken::new();
        token.cancel();
        token
    }

    #[tokio::test(start_paused = true)]
    async fn services_stop_one_after_the_other_and_a_slow_one_holds_none_up() {
        let (quick, told) = stages(|_| Duration::ZERO);
        quick.until_stopped(stopped()).await.unwrap();
        assert_eq!(*told.lock().unwrap(), Service::ALL);

        let began = Instant::now();
        let slow =
            |service| if service == Service::Gateway { Duration::from_secs(7) } else { Duration::ZERO };
        let (slow, told) = stages(slow);
        slow.until_stopped(stopped()).await.unwrap();
        assert_eq!(*told.lock().unwrap(), Service::ALL);
        assert_eq!(began.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_in_time_is_named() {
        let forever = |service| if service == Service::Router { 10 * GRACE } else { Duration::ZERO };
        let (stages, _told) = stages(forever);
        let error = stages.until_stopped(stopped()).await.unwrap_err();
        assert_eq!(Exit::of(error.as_ref()), Exit::Unsettled);
        assert!(error.to_string().ends_with("of the router"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_stops_the_others_and_decides_the_answer() {
        let (mut stages, told) = stages(|_| Duration::ZERO);
        stages.spawn(Service::Dispatcher, async { Err(ServiceError::Fenced.into()) });
        let error = stages.until_stopped(CancellationToken::new()).await.unwrap_err();
        assert_eq!(Exit::of(error.as_ref()), Exit::Fenced);
        assert_eq!(told.lock().unwrap().len(), 3, "all but the one that counts as ended");
    }

    #[test]
    fn each_service_has_its_share_however_late_it_is_told() {
        let shares = Service::ALL.map(|service| share_of(GRACE, service, &Service::ALL).as_secs());
        assert_eq!(shares, [8, 7, 6, 5]);
        assert_eq!(share_of(GRACE, Service::Console, &[Service::Console]), GRACE, "alone it has all of it");
    }
}
