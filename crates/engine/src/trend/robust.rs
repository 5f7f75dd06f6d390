//! Statistics that a few wild values do not move: medians and the slopes of Theil and Sen. It knows nothing of time.

use alloc::vec::Vec;

/// The value that `share` (0 to 1) of `values` do not exceed; reorders them. `None` when there are none.
pub(super) fn quantile(values: &mut [f32], share: f32) -> Option<f32> {
    let last = values.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and `last`")]
    let rank = ((last as f32 * share.clamp(0.0, 1.0)) + 0.5) as usize;
    let (_, value, _) = values.select_nth_unstable_by(rank.min(last), f32::total_cmp);
    Some(*value)
}

/// The value in the middle; reorders them.
pub(super) fn median(values: &mut [f32]) -> Option<f32> {
    quantile(values, 0.5)
}

/// The slopes of all pairs of points, told by their middle, and how many of them rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slopes {
    /// The middle slope, per unit of time.
    pub(super) middle: f32,
    /// Nineteen of twenty intervals made like this hold the true slope, if the values around it are independent.
    pub(super) low: f32,
    /// The other end.
    pub(super) high: f32,
    /// Rising less falling pairs, as a share of all: Kendall's tau.
    pub(super) tau: f32,
}

/// Theil's and Sen's estimate over `points` of time and value, at least 3. `scratch` is kept between calls.
pub(super) fn slopes(points: &[(f32, f32)], scratch: &mut Vec<f32>) -> Option<Slopes> {
    scratch.clear();
    let (mut rising, mut falling) = (0u16, 0u16);
    for (index, &(at, value)) in points.iter().enumerate() {
        for &(later, other) in points.get(index + 1..).unwrap_or_default() {
            if later <= at {
                continue;
            }
            rising += u16::from(other > value);
            falling += u16::from(other < value);
            scratch.push((other - value) / (later - at));
        }
    }
    if scratch.len() < 3 {
        return None;
    }
    let (count, pairs) = (points.len() as f32, scratch.len() as f32);
    let spread = 1.96 * root(count * (count - 1.0) * (2.0 * count + 5.0) / 18.0);
    let margin = (spread / pairs / 2.0).min(0.5);
    let tau = (f32::from(rising) - f32::from(falling)) / pairs;
    let middle = median(scratch)?;
    let low = quantile(scratch, 0.5 - margin)?;
    let high = quantile(scratch, 0.5 + margin)?;
    Some(Slopes { middle, low, high, tau })
}

/// The square root by Newton's method: `core` has none.
pub(super) fn root(value: f32) -> f32 {
    if value <= 0.0 || !value.is_finite() {
        return 0.0;
    }
    let mut guess = if value > 1.0 { value } else { 1.0 };
    for _ in 0..48 {
        let next = 0.5 * (guess + value / guess);
        if (next - guess).abs() <= guess * 1e-6 {
            return next;
        }
        guess = next;
    }
    guess
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_wild_values_does_not_move_the_slope() {
        let points: Vec<(f32, f32)> = (0..24)
            .map(|index| (index as f32, if index % 4 == 1 { 1000.0 } else { 5.0 + 2.0 * index as f32 }))
            .collect();
        let slopes = slopes(&points, &mut Vec::new()).expect("there are points");
        assert!((slopes.middle - 2.0).abs() < 0.2, "{slopes:?}");
        assert!(slopes.low <= 2.0 && slopes.high >= 2.0, "{slopes:?}");
    }

    #[test]
    fn roots_and_middles_are_right_and_nothing_panics() {
        assert!((root(9.0) - 3.0).abs() < 1e-5 && (root(1e12) - 1e6).abs() < 1.0 && root(-1.0) == 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut []), None);
        assert_eq!(slopes(&[(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)], &mut Vec::new()), None);
    }
}
