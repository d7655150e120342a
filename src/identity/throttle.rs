//! Has somebody guessed too often?
//!
//! Counted per name, per address, and per both together, whether or not an account has the name: what is said and how
//! long it takes shows nothing about which accounts there are. One address locks a name for itself, not for its owner
//! elsewhere; many addresses together lock it for all. An attempt counts as failed when it begins, so that a crowd of
//! attempts at once is no way around.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::terms::{Clock, Instant};

/// Failures before the first wait.
const BOTH_MAX: u32 = 10;
const ADDRESS_MAX: u32 = 50;
const NAME_MAX: u32 = 100;
/// The first wait; each further failure doubles it.
const WAIT: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// After so long without an attempt nothing is remembered.
const FORGET: Duration = Duration::from_secs(3600);
/// So many names and addresses are remembered; one more and the oldest is forgotten.
const REMEMBERED_MAX: usize = 16_384;
/// Of a name so much is remembered, in characters; no account has a longer one.
const NAME_CHARS_MAX: usize = 65;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Whom {
    Name(String),
    Address(IpAddr),
    Both(String, IpAddr),
}

struct Failures {
    count: u32,
    last: Instant,
    closed_until: Instant,
}

/// Who has failed to sign in, how often, and until when they wait.
pub struct Throttle {
    clock: Clock,
    failures: Mutex<HashMap<Whom, Failures>>,
}

/// One attempt under way; it counts as failed unless it is told that it succeeded.
#[must_use]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    whom: Vec<Whom>,
    closes: bool,
}

impl Throttle {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, failures: Mutex::default() }
    }

    /// Begins an attempt for `name` from `address`.
    ///
    /// # Errors
    /// How long to wait, where too many have failed.
    pub fn enter(&self, name: &str, address: Option<IpAddr>) -> Result<Attempt<'_>, Duration> {
        let whom = whom(name, address);
        let now = self.clock.now();
        let mut failures = self.lock();
        let wait = whom.iter().filter_map(|w| failures.get(w)).map(|f| between(now, f.closed_until)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        let mut closes = false;
        for one in &whom {
            make_room(&mut failures, now);
            let known = failures.entry(one.clone()).or_insert(Failures { count: 0, last: now, closed_until: now });
            if between(known.last, now) > FORGET {
                known.count = 0;
            }
            known.count = known.count.saturating_add(1);
            known.last = now;
            if let Some(beyond) = known.count.checked_sub(one.most()) {
                known.closed_until = now.plus(wait_after(beyond));
                closes = true;
            }
        }
        Ok(Attempt { throttle: self, whom, closes })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whom, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttle")
    }
}

impl Attempt<'_> {
    /// Whether a failure of this attempt makes the next one wait.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// It succeeded: the name's failures here are forgotten, and it counts against nobody.
    pub fn succeeded(self) {
        let now = self.throttle.clock.now();
        let mut failures = self.throttle.lock();
        for one in &self.whom {
            if matches!(one, Whom::Both(..)) {
                failures.remove(one);
            } else if let Some(known) = failures.get_mut(one) {
                known.count = known.count.saturating_sub(1);
                if known.count < one.most() {
                    known.closed_until = now;
                }
            }
        }
    }
}

impl Whom {
    /// With so many failures the next attempt waits.
    fn most(&self) -> u32 {
        match self {
            Self::Name(_) => NAME_MAX,
            Self::Address(_) => ADDRESS_MAX,
            Self::Both(..) => BOTH_MAX,
        }
    }
}

fn whom(name: &str, address: Option<IpAddr>) -> Vec<Whom> {
    let name: String = name.chars().take(NAME_CHARS_MAX).map(|c| c.to_ascii_lowercase()).collect();
    let mut whom = vec![Whom::Name(name.clone())];
    if let Some(address) = address.map(network) {
        whom.extend([Whom::Address(address), Whom::Both(name, address)]);
    }
    whom
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

fn wait_after(beyond: u32) -> Duration {
    let doubled = 2_u32.checked_pow(beyond).and_then(|times| WAIT.checked_mul(times));
    doubled.map_or(WAIT_MAX, |wait| wait.min(WAIT_MAX))
}

/// From `earlier` to `later`; nothing where the clock went back.
fn between(earlier: Instant, later: Instant) -> Duration {
    Duration::from_micros(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}

fn make_room(failures: &mut HashMap<Whom, Failures>, now: Instant) {
    if failures.len() < REMEMBERED_MAX {
        return;
    }
    failures.retain(|_, f| between(f.last, now) <= FORGET);
    if failures.len() >= REMEMBERED_MAX
        && let Some(oldest) = failures.iter().min_by_key(|(_, f)| f.last).map(|(whom, _)| whom.clone())
    {
        failures.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;

    struct House {
        hand: Arc<AtomicI64>,
        throttle: Throttle,
    }

    fn house() -> House {
        let hand = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let seen = Arc::clone(&hand);
        House { hand, throttle: Throttle::new(Clock::from_fn(move || Instant(seen.load(Ordering::SeqCst)))) }
    }

    impl House {
        fn wait(&self, time: Duration) {
            self.hand.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
        }

        fn fail(&self, name: &str, from: &str) -> Result<(), Duration> {
            self.throttle.enter(name, Some(from.parse().unwrap())).map(drop)
        }
    }

    #[test]
    fn ten_failures_make_one_wait_and_each_further_one_longer() {
        let house = house();
        for _ in 0..10 {
            assert_eq!(house.fail("hanako", "192.0.2.1"), Ok(()));
        }
        assert_eq!(house.fail("hanako", "192.0.2.1"), Err(WAIT));
        assert_eq!(house.fail("HANAKO", "192.0.2.1"), Err(WAIT), "in whatever case");
        house.wait(WAIT);
        assert_eq!(house.fail("hanako", "192.0.2.1"), Ok(()));
        assert_eq!(house.fail("hanako", "192.0.2.1"), Err(2 * WAIT));
        for _ in 0..20 {
            house.wait(WAIT_MAX);
            assert_eq!(house.fail("hanako", "192.0.2.1"), Ok(()));
        }
        assert_eq!(house.fail("hanako", "192.0.2.1"), Err(WAIT_MAX), "never longer");
    }

    #[test]
    fn the_owner_elsewhere_is_not_locked_out_by_one_guesser() {
        let house = house();
        for _ in 0..1000 {
            let _waits = house.fail("hanako", "192.0.2.1");
        }
        assert_eq!(house.fail("hanako", "198.51.100.7"), Ok(()));
    }

    #[test]
    fn many_addresses_together_lock_a_name_and_many_names_an_address() {
        let house = house();
        for n in 0..100 {
            assert_eq!(house.fail("hanako", &format!("192.0.2.{n}")), Ok(()));
        }
        assert!(house.fail("hanako", "198.51.100.7").is_err());
        for n in 0..50 {
            assert_eq!(house.fail(&format!("name{n}"), "203.0.113.5"), Ok(()));
        }
        assert!(house.fail("another", "203.0.113.5").is_err());
        assert!(house.fail("another", "203.0.113.6").is_ok());
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let house = house();
        for n in 0..50 {
            assert_eq!(house.fail(&format!("name{n}"), &format!("2001:db8::{n:x}")), Ok(()));
        }
        assert!(house.fail("another", "2001:db8::ffff:1").is_err());
        assert!(house.fail("another", "2001:db8:0:1::1").is_ok());
        for n in 0..50 {
            let _counted = house.fail(&format!("mapped{n}"), "::ffff:192.0.2.9");
        }
        assert!(house.fail("another", "192.0.2.9").is_err(), "the same machine in two spellings");
    }

    #[test]
    fn who_signs_in_starts_anew_and_a_crowd_at_once_is_counted() {
        let house = house();
        let from = Some("192.0.2.1".parse().unwrap());
        for _ in 0..5 {
            for _ in 0..9 {
                assert_eq!(house.fail("hanako", "192.0.2.1"), Ok(()));
            }
            house.throttle.enter("hanako", from).unwrap().succeeded();
        }
        let crowd: Vec<_> = (0..20).map(|_| house.throttle.enter("jiro", from)).collect();
        assert!(crowd.iter().filter(|attempt| attempt.is_ok()).count() <= 10, "none has failed yet, and all wait");
        house.wait(FORGET + WAIT_MAX);
        assert_eq!(house.fail("jiro", "192.0.2.1"), Ok(()));
    }

    #[test]
    fn memory_is_bounded_whatever_names_are_tried() {
        let house = house();
        for n in 0..REMEMBERED_MAX + 100 {
            house.wait(Duration::from_micros(1));
            house.throttle.enter(&format!("{n:x<200}"), None).map(drop).unwrap();
        }
        assert!(house.throttle.lock().len() <= REMEMBERED_MAX);
    }
}
