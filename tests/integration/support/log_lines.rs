//! What has been logged in this process.

use std::sync::{Mutex, Once};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES_OF_OTHERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

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
            LINES_OF_OTHERS.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// Begins to collect.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Collector).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// The lines so far with this text in them.
pub fn with(text: &str) -> Vec<String> {
    LINES.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

/// The same, whoever has written them.
pub fn of_everybody_with(text: &str) -> Vec<String> {
    let others = LINES_OF_OTHERS.lock().unwrap();
    let mut lines: Vec<_> = others.iter().filter(|line| line.contains(text)).cloned().collect();
    lines.extend(with(text));
    lines
}
