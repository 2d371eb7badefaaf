//! Which journeys the demo works on, and the script.

use super::fleet::FLAG;
use super::journey::document;
use crate::domain::bucket::{BUCKETS, Bucket};

/// The percentages of the script, in hundredths: up, and back.
pub const SCRIPT: [u16; 5] = [0, 1_000, 5_000, 10_000, 0];

/// Ids for `count` journeys whose buckets lie evenly over the scale, one in each `count`-th of it: of ten journeys
/// exactly one is on the fixed path at 10 % and five at 50 %, so that even a small demo shows both paths side by side.
pub fn journey_ids(count: u16) -> Vec<String> {
    let mut ids: Vec<Option<String>> = vec![None; usize::from(count)];
    let mut missing = ids.len();
    for number in 1..=MAX_TRIED {
        if missing == 0 {
            break;
        }
        let id = format!("J{number:04}");
        let bucket = Bucket::of(FLAG, &document::key(&id)).index();
        let part = u32::from(bucket) * u32::from(count) / u32::from(BUCKETS);
        if let Some(free) = ids.get_mut(part as usize).filter(|id| id.is_none()) {
            *free = Some(id);
            missing -= 1;
        }
    }
    ids.into_iter().flatten().collect()
}

/// The most ids that are tried; far more than any allowed number of journeys needs.
const MAX_TRIED: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::percent::Percent;

    #[test]
    fn a_percentage_takes_exactly_its_share_of_the_journeys() {
        let check = |count: u16, hundredths: u16, expected: usize| {
            let percent = Percent::from_hundredths(hundredths).unwrap();
            let fixed = journey_ids(count)
                .iter()
                .filter(|id| percent.admits(Bucket::of(FLAG, &document::key(id))))
                .count();
            assert_eq!(fixed, expected, "{count} journeys at {percent}");
        };

        check(10, 0, 0);
        check(10, 1_000, 1);
        check(10, 5_000, 5);
        check(10, 10_000, 10);
        check(100, 1_000, 10);
    }

    #[test]
    fn as_many_as_were_asked_for_and_no_two_alike() {
        for count in [0, 1, 2, 10, 100] {
            let mut ids = journey_ids(count);
            ids.sort();
            ids.dedup();

            assert_eq!(ids.len(), usize::from(count));
        }
    }
}
