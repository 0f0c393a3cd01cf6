//! Real brokers, started, killed, halted and ended.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xtask::brokers::kafka::{self, Kafka};
use xtask::brokers::postgres::{self, Postgres};
use xtask::brokers::rabbitmq::{self, RabbitMq};
use xtask::brokers::{self, Server, Status};

#[test]
fn a_private_kafka() {
    if brokers::skipped("xtask::a_private_kafka") {
        return;
    }
    let kafka = Kafka::launch(&kafka::Settings::default().property("message.max.bytes", "123456")).unwrap();
    let properties = std::fs::read_to_string(kafka.folder().join("server.properties")).unwrap();
    assert!(properties.contains("message.max.bytes=123456"), "{properties}");
    assert_eq!(kafka.url(), format!("kafka://{}", kafka.address()));
    comes_and_goes(kafka, |kafka| api_versions(kafka.address()));
}

#[test]
fn a_private_rabbitmq() {
    if brokers::skipped("xtask::a_private_rabbitmq") {
        return;
    }
    let settings = rabbitmq::Settings {
        consumer_timeout: Some(Duration::from_secs(7)),
        ..rabbitmq::Settings::default().configure("heartbeat", "13")
    };
    let rabbitmq = RabbitMq::launch(&settings).unwrap();
    let eval = |script: &str| rabbitmq.ctl(&["eval", script]);
    let settings = "{application:get_env(rabbit, consumer_timeout), application:get_env(rabbit, heartbeat)}";
    let answer = eval(&format!("rabbit_vhost:add(<<\"kept\">>, <<\"me\">>), {settings}.")).unwrap();
    assert_eq!(answer.trim(), "{{ok,7000},{ok,13}}");
    rabbitmq.kill();
    assert!(!amqp(rabbitmq.url()));
    let refused = rabbitmq.ctl(&["list_vhosts"]).unwrap_err();
    assert!(refused.to_string().contains("not running"), "{refused}");
    rabbitmq.start().unwrap();
    assert!(amqp(rabbitmq.url()));
    assert!(rabbitmq.ctl(&["list_vhosts"]).unwrap().contains("kept"));
    rabbitmq.pause();
    assert!(!amqp(rabbitmq.url()));
    rabbitmq.resume();
    assert!(amqp(rabbitmq.url()));
    is_gone_when_dropped(rabbitmq);
}

#[test]
fn a_private_postgres() {
    if brokers::skipped("xtask::a_private_postgres") {
        return;
    }
    let postgres = Postgres::launch(&postgres::Settings::default().set("max_connections", "17")).unwrap();
    assert_eq!(psql(postgres.url(), "show max_connections").as_deref(), Some("17"));
    psql(postgres.url(), "create table kept ()").unwrap();
    postgres.restart().unwrap();
    comes_and_goes(postgres, |postgres| {
        psql(postgres.url(), "select count(*) from kept").as_deref() == Some("0")
    });
}

/// Each way in which a test treats its broker; `serves` asks it something.
#[track_caller]
fn comes_and_goes<B: std::ops::Deref<Target = Server>>(broker: B, serves: impl Fn(&B) -> bool) {
    assert!(serves(&broker));
    let first = broker.id().unwrap();
    assert!(broker.memory() > 1 << 20);
    broker.start().unwrap();
    assert_eq!(broker.id(), Some(first), "one that runs is left alone");

    broker.kill();
    assert_eq!(broker.id(), None);
    assert!(!serves(&broker));
    broker.start().unwrap();
    assert!(broker.id().is_some_and(|second| second != first));
    assert!(serves(&broker));

    broker.pause();
    assert!(!serves(&broker));
    broker.resume();
    assert!(serves(&broker));
    is_gone_when_dropped(broker);
}

#[track_caller]
fn is_gone_when_dropped<B: std::ops::Deref<Target = Server>>(broker: B) {
    let (id, folder) = (broker.id().unwrap(), broker.folder().to_owned());
    assert!(folder.is_dir());
    drop(broker);
    assert!(!runs(id));
    assert!(!folder.exists());
}

#[test]
fn a_private_broker_ends_with_a_process_that_is_killed() {
    if brokers::skipped("xtask::a_private_broker_ends_with_a_process_that_is_killed") {
        return;
    }
    let mut owner = own_test("helper_launches_and_hangs", &[]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let launched = lines.filter_map(|line| line.split_once("launched ").map(|(_, rest)| rest.to_owned()));
    let line = launched.take(1).next().expect("it launches one");
    let (id, folder) = line.split_once(' ').unwrap();
    let id = id.parse().unwrap();
    assert!(runs(id));
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("its process ends", || !runs(id));
    eventually("its folder is removed", || !Path::new(folder).exists());
}

#[test]
#[ignore = "part of the test above, in a process of its own"]
fn helper_launches_and_hangs() {
    let postgres = Postgres::launch(&postgres::Settings::default()).unwrap();
    println!("launched {} {}", postgres.id().unwrap(), postgres.folder().display());
    thread::sleep(Duration::from_secs(600));
}

/// Twice, because the second start finds what the first one left.
#[test]
fn the_shared_brokers_go_up_and_down_twice() {
    if brokers::skipped("xtask::the_shared_brokers_go_up_and_down_twice") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let xtask = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("brokers").args(arguments.split(' ')).env("TRUNKLINE_TEST_BROKERS", folder.path());
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "brokers {arguments}: {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    };
    let environment = [("TRUNKLINE_TEST_BROKERS", folder.path().to_str().unwrap())];
    for (kinds, ended) in
        [("postgres kafka", "Kafka ended\nPostgreSQL ended\n"), ("postgres", "PostgreSQL ended\n")]
    {
        let first = xtask(&format!("up {kinds}"));
        assert!(!first.contains("does not run"), "{first}");
        let ids = |text: &str| -> Vec<u32> {
            let lines = text.lines().filter_map(|line| line.split_once("process "));
            lines.map(|(_, rest)| rest.split(',').next().unwrap().parse().unwrap()).collect()
        };
        assert_eq!(ids(&xtask(&format!("up {kinds}"))), ids(&first), "those that run are left alone");
        assert!(own_test("helper_controls_the_shared_ones", &environment).status().unwrap().success());
        let second = xtask("status");
        assert!(ids(&second).len() == ids(&first).len() && ids(&second) != ids(&first), "{second}");
        assert_eq!(xtask("down"), ended);
        assert!(ids(&second).into_iter().all(|id| !runs(id)));
        assert_eq!(xtask("down"), "");
        assert!(xtask("status").contains("cargo xtask brokers up"));
    }
}

#[test]
#[ignore = "part of the test above, in a process that is told where the brokers are"]
fn helper_controls_the_shared_ones() {
    let statuses = brokers::status().unwrap();
    assert!(statuses.iter().all(|Status { id, memory, .. }| id.is_some() && *memory > 0), "{statuses:?}");
    let shared = brokers::shared().unwrap();
    if let Ok(kafka) = shared.kafka() {
        assert!(api_versions(&kafka.addresses.plain));
        assert!(kafka.addresses.sasl.is_some() && kafka.certificates.unwrap().client.key.is_file());
    }
    let postgres = shared.postgres().unwrap();
    let serves = || psql(&postgres.url, "select 7").as_deref() == Some("7");
    assert!(serves());
    postgres.control.kill().unwrap();
    assert!(!serves());
    postgres.control.start().unwrap();
    assert!(serves());
    let missing = shared.rabbitmq().unwrap_err().to_string();
    assert!(
        missing.contains("cargo xtask brokers up") && missing.contains("TRUNKLINE_TEST_RABBITMQ"),
        "{missing}"
    );
}

/// This program again, for one of its ignored tests, without what a test run says of its own brokers.
fn own_test(name: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).envs(environment.iter().copied());
    for kind in brokers::Kind::ALL {
        command.env_remove(kind.variable());
    }
    command
}

/// Whether it runs; one that ended and that nobody waited for does not.
fn runs(id: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}

fn eventually(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a query answers, if the server does within two seconds.
fn psql(url: &str, query: &str) -> Option<String> {
    let child: Child = Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", query, url])
        .env("PGCONNECT_TIMEOUT", "2")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// Asks a Kafka what it understands (key 18, version 0).
fn api_versions(address: &str) -> bool {
    let answer = ask(address, &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 9, 255, 255], 10);
    // Size, the correlation id that was sent, no error.
    answer.is_ok_and(|answer| answer[4..] == [0, 0, 0, 9, 0, 0])
}

/// Greets a RabbitMQ and looks for its first frame's beginning.
fn amqp(url: &str) -> bool {
    let address = url.strip_prefix("amqp://guest:guest@").unwrap().strip_suffix("/%2f").unwrap();
    ask(address, b"AMQP\x00\x00\x09\x01", 3).is_ok_and(|answer| answer == [1, 0, 0])
}

fn ask(address: &str, request: &[u8], count: usize) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(request)?;
    let mut answer = vec![0; count];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
