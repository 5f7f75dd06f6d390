//! Bounds on whoever comes to the API over the network: so many connections at once, of all and from one address, and so many
//! wrong tokens a minute from one. It knows no clock; what a token is worth is the engine's.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Most connections of all, and from one address.
const CONNECTIONS_MAX: usize = 128;
const OF_ONE_MAX: usize = 32;
/// So many wrong tokens within so long, and nobody is let in from there until that is over.
const WRONG_MAX: u32 = 10;
const WITHIN: Duration = Duration::from_secs(60);
/// Most addresses of which wrong tokens are remembered; the one whose time ends first goes first.
const ADDRESSES_MAX: usize = 1_024;

/// From where somebody comes: of IPv6 the network, since one host has all of its addresses.
fn from(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

/// How many wrong tokens came from where.
#[derive(Debug, Default)]
pub(crate) struct Tries(BTreeMap<IpAddr, (u32, Instant)>);

impl Tries {
    /// A wrong token came from there.
    pub(crate) fn failed(&mut self, ip: IpAddr, now: Instant) {
        let ip = from(ip);
        self.0.retain(|_, (_, until)| *until > now);
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&ip) {
            let first = self.0.iter().min_by_key(|(_, (_, until))| *until).map(|(ip, _)| *ip);
            first.and_then(|ip| self.0.remove(&ip));
        }
        let (count, _) = self.0.entry(ip).or_insert((0, now + WITHIN));
        *count = count.saturating_add(1);
    }

    /// How long nobody is let in from there; nothing when somebody may try.
    pub(crate) fn wait(&self, ip: IpAddr, now: Instant) -> Option<Duration> {
        let (count, until) = self.0.get(&from(ip))?;
        let left = until.saturating_duration_since(now);
        (*count >= WRONG_MAX && !left.is_zero()).then_some(left)
    }
}

/// Places for connections.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<IpAddr, usize>>);

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>, IpAddr);

impl Places {
    /// All free.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A place for somebody from there; none when there are as many as may be.
    pub(crate) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let ip = from(ip);
        let mut open = self.lock();
        let own = open.get(&ip).copied().unwrap_or(0);
        if own >= OF_ONE_MAX || open.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        open.insert(ip, own + 1);
        Some(Place(self.clone(), ip))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        // No code panics while it holds the lock half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.0.lock();
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn wrong_tokens_shut_out_where_they_came_from_for_a_while() {
        let (mut tries, begun) = (Tries::default(), Instant::now());
        for turn in 0..WRONG_MAX {
            assert_eq!(tries.wait(ip("10.0.0.7"), begun), None, "{turn}");
            tries.failed(ip("10.0.0.7"), begun);
        }
        assert_eq!(tries.wait(ip("10.0.0.7"), begun), Some(WITHIN));
        assert_eq!(tries.wait(ip("::ffff:10.0.0.7"), begun), Some(WITHIN), "the same address");
        assert_eq!(tries.wait(ip("10.0.0.8"), begun), None);
        assert_eq!(tries.wait(ip("10.0.0.7"), begun + WITHIN), None, "it ends");
        tries.failed(ip("10.0.0.7"), begun + WITHIN);
        assert_eq!(tries.wait(ip("10.0.0.7"), begun + WITHIN), None, "and is counted anew");
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_the_list_has_a_bound() {
        let (mut tries, begun) = (Tries::default(), Instant::now());
        (0..WRONG_MAX).for_each(|host| tries.failed(ip(&format!("2001:db8::{host:x}")), begun));
        assert!(tries.wait(ip("2001:db8::ffff"), begun).is_some());
        assert!(tries.wait(ip("2001:db8:0:1::"), begun).is_none());
        for number in 0..100_000_u32 {
            tries.failed(IpAddr::V4(number.into()), begun);
        }
        assert_eq!(tries.0.len(), ADDRESSES_MAX);
    }

    #[test]
    fn places_are_bounded_of_all_and_of_one_and_come_back() {
        let places = Places::new();
        let greedy: Vec<Place> = (0..1_000).map_while(|_| places.take(ip("10.0.0.7"))).collect();
        assert_eq!(greedy.len(), OF_ONE_MAX);
        let others: Vec<Place> = (0..1_000_u32).filter_map(|number| places.take(IpAddr::V4(number.into()))).collect();
        assert_eq!(others.len(), CONNECTIONS_MAX - OF_ONE_MAX);
        drop((greedy, others));
        assert!(places.take(ip("10.0.0.7")).is_some() && places.lock().is_empty());
    }
}
