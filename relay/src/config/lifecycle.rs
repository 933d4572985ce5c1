//! `--lifecycle STATE=TIME`: how the directory waits for silent nodes.

use std::time::Duration;

use openred_core::lifecycle::LifecycleConfig;

use super::{ConfigError, value};

/// The waits by the names of their states, and the field of [`LifecycleConfig`] that each is.
const WAITS: [(&str, &str, Field); 10] = [
    ("heartbeat", "heartbeat", |config| &mut config.heartbeat),
    ("active", "active", |config| &mut config.active),
    ("pending-first-check", "first_check", |config| &mut config.first_check),
    ("failed-first-check", "failed_first_check", |config| &mut config.failed_first_check),
    ("retry-48-hours", "first_retry", |config| &mut config.first_retry),
    ("retry-2-weeks", "second_retry", |config| &mut config.second_retry),
    ("retry-2-months", "third_retry", |config| &mut config.third_retry),
    ("coma", "coma", |config| &mut config.coma),
    ("draining", "draining", |config| &mut config.draining),
    ("grace", "grace", |config| &mut config.grace),
];

type Field = fn(&mut LifecycleConfig) -> &mut Duration;

/// One wait: its place among all of them, and its time.
pub(crate) fn wait(text: &str) -> Result<(usize, Duration), String> {
    let wrong = || {
        let names = WAITS.map(|(name, ..)| name).join(", ");
        format!("give a state, an equals sign and a time, such as active=90s; the states are {names}")
    };
    let (name, time) = text.split_once('=').ok_or_else(wrong)?;
    let place = WAITS.iter().position(|(known, ..)| *known == name).ok_or_else(wrong)?;
    let time = match time.strip_suffix('d').map(str::parse::<u32>) {
        Some(Ok(days)) if days > 0 => Duration::from_secs(u64::from(days) * 24 * 60 * 60),
        _ => value::duration(time).map_err(|reason| format!("{reason}, or days such as 14d"))?,
    };
    Ok((place, time))
}

/// The defaults with these waits in their places.
pub(crate) fn waits(given: &[(usize, Duration)]) -> Result<LifecycleConfig, ConfigError> {
    let mut config = LifecycleConfig::default();
    for (place, time) in given {
        *(WAITS[*place].2)(&mut config) = *time;
    }
    config.validate().map_err(|error| {
        let mut reason = error.to_string();
        // Longer names first, since `first_check` ends another.
        for field in ["failed_first_check", "first_check", "first_retry", "second_retry", "third_retry"] {
            let name = WAITS.iter().find(|(_, known, _)| *known == field).map_or(field, |(name, ..)| name);
            reason = reason.replace(field, name);
        }
        ConfigError::Missing(format!("--lifecycle: the times do not fit together: {reason}"))
    })?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(given: &[&str]) -> Result<LifecycleConfig, String> {
        let given = given.iter().map(|text| wait(text)).collect::<Result<Vec<_>, _>>()?;
        waits(&given).map_err(|error| error.to_string())
    }

    #[test]
    fn waits_are_named_by_their_states_and_the_others_keep_their_defaults() {
        let config = config(&["heartbeat=1s", "active=3", "coma=365d", "grace=3s"]).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!((config.heartbeat, config.active, config.grace), (second, 3 * second, 3 * second));
        assert_eq!(config.coma, 365 * 24 * 3600 * second);
        assert_eq!(config.first_check, LifecycleConfig::default().first_check);
    }

    #[test]
    fn a_wrong_wait_is_told_what_would_be_right() {
        for wrong in ["active", "sleepy=1s", "=1s", "active=", "active=0d", "coma=-1d", "coma=3weeks"] {
            let reason = config(&[wrong]).unwrap_err();
            assert!(reason.contains("active=90s") || reason.contains("14d"), "{wrong}: {reason}");
        }
        let reason = config(&["pending-first-check=2h"]).unwrap_err();
        assert!(reason.starts_with("--lifecycle: ") && reason.contains("pending-first-check is longer"), "{reason}");
        assert!(reason.contains("than failed-first-check"), "{reason}");
    }
}
