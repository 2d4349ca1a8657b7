//! Numbers that look random and are the same in each run.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Keeps the first `always` items and a choice of the others, `wanted` in all, in their order.
    pub(super) fn choose<T>(&mut self, items: Vec<T>, always: usize, wanted: usize) -> Vec<T> {
        let mut left = items.len();
        let mut missing = wanted.max(always).min(left);
        let mut chosen = Vec::with_capacity(missing);
        for (index, item) in items.into_iter().enumerate() {
            // Each of the `left` items that remain is as likely as the others.
            if index < always || (self.next() % left as u64) < missing as u64 {
                chosen.push(item);
                missing -= 1;
            }
            left -= 1;
            if missing == 0 {
                break;
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_choice_has_the_size_that_is_wanted_and_the_items_that_must_be_in_it() {
        for seed in 0..50 {
            let chosen = Random::new(seed).choose((0..100).collect(), 3, 10);
            assert_eq!(chosen.len(), 10);
            assert_eq!(chosen[..3], [0, 1, 2]);
            assert!(chosen.is_sorted());
        }
        assert_eq!(Random::new(1).choose(vec![1, 2, 3], 0, 10), [1, 2, 3]);
        let choose = |seed| Random::new(seed).choose((0..100).collect::<Vec<_>>(), 0, 10);
        assert_eq!(choose(7), choose(7));
        assert_ne!(choose(7), choose(8));
    }
}
