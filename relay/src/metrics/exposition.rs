//! Writes Prometheus' text format: a line of help and one of type for each metric, then its samples.

use std::fmt::Write;

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, with sum and count.
    Histogram,
}

/// The text as far as it is written.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

/// A metric whose samples are being written.
pub(crate) struct Metric<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a metric.
    pub(crate) fn metric(&mut self, name: &'static str, kind: Kind, help: &str) -> Metric<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        line(&mut self.0, format_args!("# HELP {name} {help}"));
        line(&mut self.0, format_args!("# TYPE {name} {kind}"));
        Metric { text: &mut self.0, name }
    }

    /// Everything that was written.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl Metric<'_> {
    /// One value.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// One value of a histogram; `part` is `_bucket`, `_sum` or `_count`.
    pub(crate) fn part(&mut self, part: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        line(self.text, format_args!("{}{part}{labels} {value}", self.name));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a string succeeds");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        text.metric("m", Kind::Gauge, "help").sample(&[("l", "a\"b\\c\nd")], 0.5);
        assert_eq!(text.into_text(), "# HELP m help\n# TYPE m gauge\nm{l=\"a\\\"b\\\\c\\nd\"} 0.5\n");
    }
}
