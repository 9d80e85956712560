//! Which keys have a breaker: as a plain list in the order of use says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::resilience::breaker::keyed::LOOKED_AT;
use crate::resilience::key::Key;

/// How one key's breaker stands: it opens with one failure, for half a minute, and closes with one success.
#[derive(Clone, Copy, Default)]
struct Child {
    open_until: Option<u64>,
    is_probed: bool,
    /// Another one with each change, so that late results are known.
    stamp: u64,
}

/// The keys in the order of their last use, and what must be known of each.
#[derive(Default)]
struct Naive {
    order: Vec<u8>,
    children: BTreeMap<u8, Child>,
    out: Vec<u8>,
    untracked: u64,
}

impl Naive {
    /// Whether the key has a breaker, after a call of it. A breaker that nobody asked for a probe for 90 s more may go.
    fn touch(&mut self, key: u8, max_keys: usize, now: u64) -> bool {
        if let Some(at) = self.order.iter().position(|known| *known == key) {
            self.order.remove(at);
        } else if self.order.len() == max_keys {
            let mut looks = 0;
            let gone = loop {
                if looks == LOOKED_AT {
                    break None;
                }
                looks += 1;
                let oldest = self.order.remove(0);
                let child = &self.children[&oldest];
                let is_open = child
                    .open_until
                    .is_some_and(|until| child.is_probed || now < until + 90);
                if !is_open && !self.out.contains(&oldest) {
                    break Some(oldest);
                }
                self.order.push(oldest);
            };
            let Some(gone) = gone else {
                self.untracked += 1;
                return false;
            };
            self.children.remove(&gone);
        }
        self.order.push(key);
        self.children.entry(key).or_default();
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing that must be remembered is ever forgotten, and of the rest the one unused for longest goes.
    #[test]
    fn the_keys_with_a_breaker_are_those_of_a_list_in_the_order_of_use(
        max_keys in 1_usize..12,
        steps in proptest::collection::vec((0_u8..10, 0_u8..16), 1..250)
    ) {
        let keys = BreakerKeys {
            failure_threshold: 1,
            success_threshold: 1,
            reset_timeout: SECOND * 30,
            half_open_timeout: SECOND * 3_600,
            ..usual()
        };
        let mut bed = Bed::new(BreakerKeys { failure_threshold: 1_000_000, ..usual() });
        let keyed = Keyed::new(spec(keys), max_keys, 1, Arc::new(|_, _| {}));
        let (mut naive, mut now) = (Naive::default(), 0_u64);
        let mut out: Vec<(Permit, u8, bool, Child)> = Vec::new();
        let name = |key: u8| Key::of(&[key]);
        for (step, key) in steps {
            match step {
                0..5 => {
                    let real = keyed.admit(&bed.breaker, name(key), bed.now);
                    let is_tracked = naive.touch(key, max_keys, now);
                    let mut child = Child::default();
                    if is_tracked {
                        let known = naive.children.get_mut(&key).unwrap();
                        let rejects = known.open_until.is_some_and(|until| now < until || known.is_probed);
                        prop_assert_eq!(real.is_err(), rejects);
                        if !rejects && known.open_until.is_some() && !known.is_probed {
                            // The probe belongs to the half-open state, which is another one.
                            (known.is_probed, known.stamp) = (true, known.stamp + 1);
                        }
                        child = *known;
                    }
                    if let Ok(permit) = real {
                        prop_assert_eq!(permit.key().is_some(), is_tracked);
                        if is_tracked {
                            naive.out.push(key);
                        }
                        out.push((permit, key, is_tracked, child));
                    }
                }
                5..9 => if !out.is_empty() {
                    let at = usize::from(key) % out.len();
                    let (permit, key, is_tracked, seen) = out.swap_remove(at);
                    let fails = step < 7;
                    permit.finish(if fails { TIMEOUT } else { SUCCESS }, bed.now);
                    if is_tracked {
                        let at = naive.out.iter().position(|other| *other == key).unwrap();
                        naive.out.swap_remove(at);
                        let known = naive.children.get_mut(&key).unwrap();
                        if known.stamp == seen.stamp {
                            if fails {
                                *known = Child { open_until: Some(now + 30), is_probed: false, stamp: known.stamp + 1 };
                            } else if known.is_probed {
                                *known = Child { open_until: None, is_probed: false, stamp: known.stamp + 1 };
                            }
                        }
                    }
                },
                _ => {
                    now += u64::from(key);
                    bed.wait(SECOND * u32::from(key));
                }
            }
            for key in 0..16 {
                let has_one = naive.children.contains_key(&key);
                prop_assert_eq!(keyed.get(name(key)).is_some(), has_one);
            }
            let counts = keyed.counts(bed.now);
            prop_assert_eq!((counts.total, counts.untracked), (naive.order.len(), naive.untracked));
            let open = naive.children.values().filter(|child| child.open_until.is_some());
            prop_assert_eq!(counts.open + counts.half_open, open.count());
        }
    }
}
