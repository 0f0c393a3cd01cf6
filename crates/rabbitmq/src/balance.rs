//! Who gets which partition, so that everybody who knows the same members comes to the same answer without asking.

/// The member that should have each partition: the one with the highest score for it that has room left. Shares differ by
/// one at most, and a member that comes or goes moves few partitions beside its own. `members` must be sorted and distinct;
/// `None` where nobody is there.
pub(crate) fn balance<'m>(what: &str, partitions: u16, members: &[&'m str]) -> Vec<Option<&'m str>> {
    let count = members.len();
    if count == 0 {
        return vec![None; usize::from(partitions)];
    }
    let fewest = usize::from(partitions) / count;
    let mut with_one_more = usize::from(partitions) % count;
    let mut shares = vec![0_usize; count];
    let mut wanted = Vec::with_capacity(usize::from(partitions));
    for partition in 0..partitions {
        let mut ranked: Vec<(u64, usize)> = members
            .iter()
            .enumerate()
            .map(|(index, member)| (score(what, partition, member), index))
            .collect();
        ranked.sort_unstable_by_key(|(score, index)| (std::cmp::Reverse(*score), *index));
        let room = |index: usize| shares[index] < fewest || (shares[index] == fewest && with_one_more > 0);
        let chosen = ranked.into_iter().map(|(_, index)| index).find(|index| room(*index));
        if let Some(index) = chosen {
            with_one_more -= usize::from(shares[index] == fewest);
            shares[index] += 1;
        }
        wanted.push(chosen.map(|index| members[index]));
    }
    wanted
}

/// FNV-1a over the three, its bits well mixed.
fn score(what: &str, partition: u16, member: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let bytes = what.bytes().chain([0]).chain(partition.to_be_bytes()).chain(member.bytes());
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(members: &[u8]) -> Vec<String> {
        members.iter().map(|member| format!("member-{member}")).collect()
    }

    proptest! {
        #[test]
        fn shares_differ_by_one_at_most_and_everybody_agrees(
            partitions in 0_u16..40,
            members in proptest::collection::btree_set(0_u8..9, 1..7),
        ) {
            let names = names(&members.into_iter().collect::<Vec<_>>());
            let members: Vec<&str> = names.iter().map(String::as_str).collect();
            let wanted = balance("deliver.crm", partitions, &members);
            let share = |member: &str| wanted.iter().filter(|owner| **owner == Some(member)).count();
            let shares: Vec<usize> = members.iter().map(|member| share(member)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), usize::from(partitions));
            prop_assert!(shares.iter().max().zip(shares.iter().min()).is_some_and(|(most, least)| most - least <= 1));
            prop_assert_eq!(balance("deliver.crm", partitions, &members), wanted);
        }
    }

    #[test]
    fn nobody_gets_anything_when_nobody_is_there() {
        assert_eq!(balance("events", 2, &[]), [None, None]);
    }

    #[test]
    fn channels_of_one_partition_are_spread() {
        let mine =
            (0..100).filter(|n| balance(&format!("deliver.d{n}"), 1, &["a", "b"]) == [Some("a")]).count();
        assert!((25..=75).contains(&mine), "{mine} of 100");
    }
}
