//! The last times of something that seldom happens.

use alloc::collections::VecDeque;

/// Most that are kept; the oldest go first.
const KEPT_MAX: usize = 64;

/// Times, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Times<T>(VecDeque<T>);

impl<T> Times<T> {
    pub(super) const NONE: Self = Self(VecDeque::new());

    /// Adds the latest.
    pub(super) fn keep(&mut self, time: T) {
        if self.0.len() >= KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(time);
    }

    /// Forgets the oldest for as long as they are old.
    pub(super) fn forget(&mut self, is_old: impl Fn(&T) -> bool) {
        while self.0.front().is_some_and(&is_old) {
            self.0.pop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.0.back()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut times = Times::NONE;
        (0..=KEPT_MAX).for_each(|time| times.keep(time));
        assert_eq!((times.len(), times.iter().next(), times.last()), (KEPT_MAX, Some(&1), Some(&KEPT_MAX)));
        times.forget(|time| *time < KEPT_MAX);
        assert_eq!(times.iter().collect::<alloc::vec::Vec<_>>(), [&KEPT_MAX]);
        times.forget(|_| true);
        assert!(times.is_empty());
    }
}
