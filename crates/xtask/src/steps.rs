//! A list of steps, told as they run: `[3/8] wasm node: compile (about 3 min the first time)`.
//!
//! The first step that fails ends the list. A table of all that ran can be printed at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::summary::Counts;

/// How a step ended, unless by an error.
pub(crate) enum Done {
    /// It did its work.
    Made,
    /// There was nothing to do; the text says why.
    Kept(String),
    /// It ran tests.
    Tested {
        /// What the runner counted.
        counts: Counts,
        /// Why the step failed nevertheless or because of that.
        failure: Option<anyhow::Error>,
    },
}

/// One step.
pub(crate) struct Step<'a> {
    title: String,
    note: Option<String>,
    run: Box<dyn FnOnce() -> Result<Done> + 'a>,
}

impl<'a> Step<'a> {
    /// A step with a title that says what it makes.
    pub(crate) fn new(title: impl Into<String>, run: impl FnOnce() -> Result<Done> + 'a) -> Self {
        Self { title: title.into(), note: None, run: Box::new(run) }
    }

    /// Says how long it takes, if `first`.
    pub(crate) fn takes(mut self, first: bool, time: &str) -> Self {
        self.note = first.then(|| format!("about {time} the first time"));
        self
    }
}

/// What came of a list of steps.
pub(crate) struct Report {
    rows: Vec<Row>,
    /// Tests over all steps. A step that fails without having counted a failed test counts as one.
    pub(crate) counts: Counts,
    /// The error of the step that ended the list.
    pub(crate) failure: Option<anyhow::Error>,
}

struct Row {
    title: String,
    time: Duration,
    result: String,
}

/// Runs the steps in order, to the end or to the first that fails.
pub(crate) fn run(steps: Vec<Step<'_>>) -> Report {
    let total = steps.len();
    let mut report = Report { rows: Vec::new(), counts: Counts::default(), failure: None };
    for (index, step) in steps.into_iter().enumerate() {
        let number = format!("[{}/{total}]", index + 1);
        let note = step.note.map(|note| format!(" ({note})")).unwrap_or_default();
        eprintln!("{number} {}{note}", step.title);
        let start = Instant::now();
        let result = (step.run)();
        let time = start.elapsed();
        let (result, failure) = match result {
            Ok(Done::Made) => ("done".to_owned(), None),
            Ok(Done::Kept(why)) => (why, None),
            Ok(Done::Tested { counts, failure }) => {
                report.counts += counts;
                (format!("{} passed, {} failed", counts.passed, counts.failed), failure)
            }
            Err(error) => ("FAILED".to_owned(), Some(error)),
        };
        if let Some(error) = failure {
            report.counts.failed = report.counts.failed.max(1);
            report.failure = Some(error.context(format!("step {number} failed: {}", step.title)));
        }
        eprintln!("{number} {result} ({})", human(time));
        report.rows.push(Row { title: step.title, time, result });
        if report.failure.is_some() {
            break;
        }
    }
    report
}

impl Report {
    /// The table of steps with their times.
    pub(crate) fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.title.chars().count()).max().unwrap_or(0);
        let mut table = String::new();
        for row in &self.rows {
            table.push_str(&format!("{:width$}  {:>12}  {}\n", row.title, human(row.time), row.result));
        }
        let total: Duration = self.rows.iter().map(|row| row.time).sum();
        table.push_str(&format!("{:width$}  {:>12}\n", "together", human(total)));
        table
    }

    /// Turns a failure into the command's error.
    pub(crate) fn into_result(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// A duration for people: `3.4 s`, `2 min 41 s`.
pub(crate) fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn tested(passed: u64, failed: u64) -> Result<Done> {
        let failure = (failed > 0).then(|| anyhow!("a test failed"));
        Ok(Done::Tested { counts: Counts { passed, failed }, failure })
    }

    #[test]
    fn a_failing_step_ends_the_list_and_counts() {
        let report = run(vec![
            Step::new("tests", || tested(4, 0)),
            Step::new("lint", || Err(anyhow!("a warning"))),
            Step::new("never", || panic!("a step after a failure")),
        ]);
        assert_eq!(report.counts, Counts { passed: 4, failed: 1 });
        let table = report.table();
        assert!(table.contains("4 passed") && table.contains("FAILED") && !table.contains("never"), "{table}");
        let error = format!("{:#}", report.into_result().expect_err("a failure"));
        assert_eq!(error, "step [2/3] failed: lint: a warning");
    }

    #[test]
    fn failed_tests_fail_the_step_and_are_counted_once() {
        let report = run(vec![Step::new("tests", || tested(1, 3)), Step::new("never", || panic!("after a failure"))]);
        assert_eq!(report.counts, Counts { passed: 1, failed: 3 });
        assert!(report.into_result().is_err());
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(human(Duration::from_millis(3_420)), "3.4 s");
        assert_eq!(human(Duration::from_secs(161)), "2 min 41 s");
        assert_eq!(human(Duration::from_secs(3_720)), "1 h 02 min");
    }
}
