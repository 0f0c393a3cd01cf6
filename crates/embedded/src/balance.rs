//! Who gets which partition.

use std::collections::HashMap;

/// The member that should own each partition: evenly, and moving as few as possible. `None` where nobody is there.
pub(crate) fn balance(owners: &[Option<u64>], members: &[u64]) -> Vec<Option<u64>> {
    if members.is_empty() {
        return vec![None; owners.len()];
    }
    let fewest = owners.len() / members.len();
    let mut with_one_more = owners.len() % members.len();
    let mut owned: HashMap<u64, usize> = members.iter().map(|member| (*member, 0)).collect();
    let mut wanted: Vec<Option<u64>> = Vec::with_capacity(owners.len());
    for owner in owners {
        let kept = owner.filter(|owner| {
            owned.get_mut(owner).is_some_and(|count| {
                let may = *count < fewest || (*count == fewest && with_one_more > 0);
                if may {
                    with_one_more -= usize::from(*count == fewest);
                    *count += 1;
                }
                may
            })
        });
        wanted.push(kept);
    }
    for partition in wanted.iter_mut().filter(|partition| partition.is_none()) {
        // Ties go to the member that joined first, so that the outcome is the same every time.
        let least = members.iter().min_by_key(|member| owned.get(*member)).copied();
        if let Some(count) = least.and_then(|member| owned.get_mut(&member)) {
            *count += 1;
        }
        *partition = least;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_differ_by_one_at_most_and_nothing_moves_twice(
            owners in proptest::collection::vec(proptest::option::of(0_u64..6), 1..40),
            members in proptest::collection::btree_set(0_u64..6, 1..6),
        ) {
            let members: Vec<u64> = members.into_iter().collect();
            let wanted = balance(&owners, &members);
            let share = |member: u64| wanted.iter().filter(|owner| **owner == Some(member)).count();
            let shares: Vec<usize> = members.iter().map(|member| share(*member)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), owners.len());
            prop_assert!(shares.iter().max().zip(shares.iter().min()).is_some_and(|(most, least)| most - least <= 1));
            prop_assert_eq!(balance(&wanted, &members), wanted);
        }
    }

    #[test]
    fn a_member_that_joins_takes_only_its_share() {
        let wanted = balance(&[Some(1), Some(1), Some(1), Some(1)], &[1, 2]);
        assert_eq!(wanted, [Some(1), Some(1), Some(2), Some(2)]);
    }

    #[test]
    fn nobody_gets_anything_when_nobody_is_there() {
        assert_eq!(balance(&[Some(1), None], &[]), [None, None]);
    }
}
