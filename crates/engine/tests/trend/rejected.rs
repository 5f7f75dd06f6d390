//! Two common ways to look for leaks that were tried and not taken, to print their figures beside ours.

/// What was seen since the last restart: hours and shares of the limit.
pub(crate) type Past<'a> = &'a [(f64, f64)];

/// Least squares over six hours: a good fit that reaches the limit within a day.
pub(crate) fn line(past: Past<'_>) -> bool {
    let recent = since(past, 6.0);
    if recent.len() < 30 {
        return false;
    }
    let count = recent.len() as f64;
    let mean = recent.iter().fold((0.0, 0.0), |(at, value), point| (at + point.0 / count, value + point.1 / count));
    let sum = |of: fn(f64, f64) -> f64| recent.iter().map(|point| of(point.0 - mean.0, point.1 - mean.1)).sum::<f64>();
    let (both, at, value) = (sum(|at, value| at * value), sum(|at, _| at * at), sum(|_, value| value * value));
    let slope = both / at;
    let level = recent.last().expect("there are values").1;
    slope > 0.0 && both * both / (at * value) > 0.9 && (1.0 - level) / slope < 24.0
}

/// Mann and Kendall over the hourly means of a day: nearly all pairs rise, and the limit is reached within a week.
pub(crate) fn pairs(past: Past<'_>) -> bool {
    let mut hours: Vec<(f64, f64, f64)> = Vec::new();
    for (at, value) in since(past, 24.0) {
        match hours.last_mut() {
            Some(hour) if hour.0 == at.floor() => {
                hour.1 += value;
                hour.2 += 1.0;
            }
            Some(_) | None => hours.push((at.floor(), *value, 1.0)),
        }
    }
    if hours.len() < 12 {
        return false;
    }
    let means: Vec<f64> = hours.iter().map(|(_, sum, count)| sum / count).collect();
    let rises =
        |(index, value): (usize, &f64)| means[index + 1..].iter().map(|later| (later - value).signum()).sum::<f64>();
    let count = means.len() as f64;
    let tau = means.iter().enumerate().map(rises).sum::<f64>() / (count * (count - 1.0) / 2.0);
    let (first, last) = (means.first().expect("there are means"), means.last().expect("there are means"));
    tau > 0.8 && (1.0 - last) / ((last - first) / count) < 168.0
}

fn since(past: Past<'_>, hours: f64) -> Past<'_> {
    let now = past.last().map_or(0.0, |last| last.0);
    &past[past.partition_point(|point| point.0 < now - hours)..]
}
