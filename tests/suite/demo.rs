//! What a newcomer types first.

use std::time::{Duration, Instant};

use trunkline_tests::command::{self, Printed};

async fn demo(arguments: &[&str]) -> Printed {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut all = vec!["demo"];
    all.extend_from_slice(arguments);
    let printed = command::run(&all, folder.path(), &[]).await.expect(0);
    assert!(began.elapsed() < Duration::from_secs(60), "took {:?}", began.elapsed());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "the demo leaves things behind: {left:?}");
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_by_itself_with_an_account_that_balances() {
    let printed = demo(&[]).await;
    assert!(printed.out.contains("balanced   "), "{}", printed.out);
    for word in ["accepted", "routed", "delivered", "dead", "replay"] {
        assert!(printed.out.contains(word), "no word of `{word}`:\n{}", printed.out);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_stays_ill_leaves_dead_letters() {
    let printed = demo(&["--keep-failing"]).await;
    assert!(printed.out.contains("balanced   "), "{}", printed.out);
    let account = printed.out.split_once("The account").unwrap().1;
    assert!(!account.contains("+ 0 dead"), "nothing is dead:\n{}", printed.out);
}
