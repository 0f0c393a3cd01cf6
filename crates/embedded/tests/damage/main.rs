//! Flipped bits and cut files: whatever happens to the files, a directory reads back equal or reports damage (E3, E4).
//!
//! `TRUNKLINE_CASES` says how many cases are tried, or `all`, or which single one (`flip:FILE:BIT`,
//! `truncate:FILE:LENGTH`); `TRUNKLINE_SEED` which of all. A failure prints its case.

mod image;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{Image, Outcome};
use trunkline_embedded::{EmbeddedBroker, OpenError, Options};

/// One way to damage a file.
#[derive(Debug, Clone, Copy)]
enum Case {
    Flip { file: usize, bit: usize },
    Truncate { file: usize, length: usize },
}

/// Bits of the database that a run of all cases found: flipped, they take a lane's row from its channel, which was then
/// salvaged with too few partitions. Every run tries them.
const FOUND: [usize; 7] = [24688, 24703, 28106, 28231, 28241, 28257, 28307];

/// What became of the cases.
#[derive(Debug, Default)]
struct Tally {
    equal: AtomicUsize,
    reported: AtomicUsize,
    salvaged: AtomicUsize,
    /// Each has printed what is wrong.
    wrong: AtomicUsize,
}

#[test]
fn damage_is_reported_or_harmless() {
    let image = Image::make();
    let all = all_cases(&image);
    let total = all.len();
    let seed = setting("TRUNKLINE_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(3);
    let cases = match setting("TRUNKLINE_CASES").as_deref() {
        Some(one) if one.contains(':') => {
            vec![Case::parse(one).expect("flip:FILE:BIT or truncate:FILE:LENGTH")]
        }
        Some("all") => all,
        wanted => {
            let count = wanted.map_or(2000, |count| count.parse().expect("a number or `all`"));
            let found = FOUND.into_iter().map(|bit| Case::Flip { file: 0, bit });
            found.chain(sample(&all, count, seed)).collect()
        }
    };
    let tally = Tally::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = image::place();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { break };
                    let tried = || try_case(&image, (index, *case), place.path(), &tally);
                    // The other cases are tried all the same.
                    if std::panic::catch_unwind(AssertUnwindSafe(tried)).is_err() {
                        tally.wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    println!("{} cases of {} with seed {seed}: {tally:?}", cases.len(), total);
    assert_eq!(tally.wrong.load(Ordering::Relaxed), 0, "cases that went wrong, each named above");
    if cases.len() < 100 {
        return;
    }
    let share = |count: &AtomicUsize| count.load(Ordering::Relaxed) * 20 > cases.len();
    assert!(
        share(&tally.equal) && share(&tally.reported),
        "the cases must hit what matters and what does not: {tally:?}"
    );
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every bit of every file, and every length.
fn all_cases(image: &Image) -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, content) in image.files.iter().enumerate() {
        cases.extend((0..content.used * 8).map(|bit| Case::Flip { file, bit }));
        cases.extend((0..content.used).map(|length| Case::Truncate { file, length }));
    }
    cases
}

/// So many of them, the same for the same seed; as many of each file.
fn sample(all: &[Case], count: usize, seed: u64) -> Vec<Case> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let of =
        |wanted: usize| all.iter().filter(move |case| case.file() == wanted).copied().collect::<Vec<_>>();
    let by_file: Vec<Vec<Case>> = (0..).map(of).take_while(|cases| !cases.is_empty()).collect();
    (0..count)
        .map(|index| {
            let cases = &by_file[index % by_file.len()];
            cases[usize::try_from(random() % cases.len() as u64).expect("an index")]
        })
        .collect()
}

impl Case {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (kind, file, at) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        match kind {
            "flip" => Some(Self::Flip { file, bit: at }),
            "truncate" => Some(Self::Truncate { file, length: at }),
            _ => None,
        }
    }

    fn file(&self) -> usize {
        match self {
            Self::Flip { file, .. } | Self::Truncate { file, .. } => *file,
        }
    }

    fn is_found(&self) -> bool {
        matches!(self, Self::Flip { file: 0, bit } if FOUND.contains(bit))
    }

    fn apply(&self, content: &mut Vec<u8>) {
        match *self {
            Self::Flip { bit, .. } => content[bit / 8] ^= 1 << (bit % 8),
            Self::Truncate { length, .. } => content.truncate(length),
        }
    }
}

fn try_case(image: &Image, (index, case): (usize, Case), place: &Path, tally: &Tally) {
    let directory = place.join("case");
    image.lay_out(&directory, |file, content| {
        if file == case.file() {
            case.apply(content);
        }
    });
    // Large databases are not checked whole at the opening: then reading must find it.
    let verify_bytes = if index.is_multiple_of(2) { 0 } else { u64::MAX };
    match EmbeddedBroker::open(&directory, Options { verify_bytes, ..image::options() }) {
        Err(OpenError::Damaged { .. }) => {
            let reported = tally.reported.fetch_add(1, Ordering::Relaxed);
            if reported.is_multiple_of(5) || case.is_found() {
                salvage(image, case, &directory);
                tally.salvaged.fetch_add(1, Ordering::Relaxed);
            }
        }
        Err(error) => panic!("{case:?} is not reported as damage: {error:?}"),
        Ok(broker) => {
            match image.read_back(&broker) {
                Outcome::Equal => tally.equal.fetch_add(1, Ordering::Relaxed),
                Outcome::Reported => tally.reported.fetch_add(1, Ordering::Relaxed),
                Outcome::Different(how) => panic!("{case:?} in {}: {how}", image.files[case.file()].name),
            };
            broker.close();
        }
    }
}

/// Accepting the damage opens the directory, keeps only what was stored, takes new records, and leaves the old files.
fn salvage(image: &Image, case: Case, directory: &Path) {
    let options = Options { accept_damage: true, ..image::options() };
    let broker = EmbeddedBroker::open(directory, options)
        .unwrap_or_else(|error| panic!("{case:?} can't be accepted: {error:?}"));
    if let Err(how) = image.read_what_is_left(&broker) {
        panic!("{case:?} in {}, accepted: {how}", image.files[case.file()].name);
    }
    broker.close();
    let aside = std::fs::read_dir(directory).expect("the directory").filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("damaged-"))
    });
    assert_eq!(aside.count(), 1, "{case:?}: the damaged files are set aside");
    let again = EmbeddedBroker::open(directory, image::options());
    again.unwrap_or_else(|error| panic!("{case:?}, accepted, is whole: {error:?}")).close();
}
