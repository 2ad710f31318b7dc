//! Collects the log lines that this process writes.

use std::sync::{Mutex, Once};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static OTHER_LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        if record.target() == "rateguard" {
            LINES.lock().unwrap().push(line);
        } else {
            OTHER_LINES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// Starts to collect log lines. Only the first call has an effect.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Collector).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// Returns the log lines with the target `rateguard` that contain this text.
pub fn with(text: &str) -> Vec<String> {
    LINES.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

/// Returns the log lines of all targets that contain this text.
pub fn from_all_targets_with(text: &str) -> Vec<String> {
    let others = OTHER_LINES.lock().unwrap();
    let mut lines: Vec<_> = others.iter().filter(|line| line.contains(text)).cloned().collect();
    lines.extend(with(text));
    lines
}
