//! Samples and their quantiles.

use std::time::Duration;

use serde_json::Value;

use super::report::rounded;

/// Measured values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn add_ms(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1e3);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many values are at least this.
    pub(crate) fn at_least(&self, least: f64) -> usize {
        self.0.iter().filter(|value| **value >= least).count()
    }

    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// The nearest-rank quantile: the least value that so many are not above.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        let rank = (q * values.len() as f64).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied()
    }

    pub(crate) fn cell(&self, q: f64) -> Value {
        self.quantile(q).map_or(Value::Null, |value| rounded(value, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let mut sample = Sample::default();
        assert_eq!(sample.quantile(0.5), None);
        (1..=200).rev().for_each(|value| sample.add(f64::from(value)));
        let asked = [0.0, 0.5, 0.95, 0.99, 1.0].map(|q| sample.quantile(q));
        assert_eq!(asked, [1.0, 100.0, 190.0, 198.0, 200.0].map(Some));
    }
}
