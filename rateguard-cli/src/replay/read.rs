//! Reads the logs line by line, and replays their requests.

use std::io;

use super::{
    arguments::ReplayArguments,
    fields::ExtraFields,
    format::{LineError, LineParser},
    input::{Line, LineReader, LogSource, Progress, total_bytes},
    record::LogRecord,
    reorder::Reorder,
    report::{LogSummary, SkippedLine, visible},
    simulation::Simulation,
};
use crate::exit::Failure;

/// The number of skipped lines that are shown.
const SHOWN_SKIPPED: usize = 3;

/// The number of characters of a skipped line that are shown.
const SHOWN_CHARS: usize = 80;

/// Reads the logs in the given order.
///
/// # Errors
///
/// A [`Failure`] for a file that cannot be opened. An error in the middle of a file is a warning instead, because the
/// results until there are valid.
pub(super) fn read_logs(
    arguments: &ReplayArguments,
    counts_at_start: bool,
    extras: ExtraFields,
    simulation: &mut Simulation,
) -> Result<LogSummary, Failure> {
    let sources = LogSource::of_arguments(arguments.logs());
    let window = arguments.reorder_micros(counts_at_start);
    let mut reader = LogReader {
        parser: LineParser::new(arguments.format, &arguments.fields, extras, counts_at_start),
        reorder: Reorder::new(window),
        progress: Progress::new(total_bytes(&sources)),
        log: LogSummary { counts_at_start, ..LogSummary::default() },
        window,
        needs_client: simulation.policies.iter().any(|it| it.limit.needs_client()),
    };
    let name = |source: &LogSource| visible(&source.name(), SHOWN_CHARS);
    // A missing file is reported before the other files are read, which can take minutes.
    for source in &sources {
        source.check().map_err(|error| {
            Failure::usage(format!("failed to open {}: {}", name(source), reason(&error)))
        })?;
    }
    for source in &sources {
        reader.read_source(&name(source), source, simulation);
    }
    Ok(reader.finish(simulation))
}

/// Returns the text of an error of the operating system without its number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        io::ErrorKind::Unsupported => error.to_string(),
        kind => kind.to_string(),
    }
}

struct LogReader {
    parser: LineParser,
    reorder: Reorder,
    progress: Progress,
    log: LogSummary,
    /// The reorder window in microseconds.
    window: u64,
    /// Whether a line without a client is skipped. Such requests of different clients would count together.
    needs_client: bool,
}

impl LogReader {
    fn read_source(&mut self, name: &str, source: &LogSource, simulation: &mut Simulation) {
        self.parser.start_file();
        let mut lines = match source.open(self.progress.read_counter()) {
            Ok(reader) => LineReader::new(reader),
            Err(error) => {
                self.log.warnings.push(format!("failed to read {name}: {error}"));
                return;
            }
        };
        let latest_before = self.reorder.latest();
        let mut is_first = true;
        loop {
            let number = lines.number() + 1;
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    self.log
                        .warnings
                        .push(format!("failed to read {name} after line {}: {error}", number - 1));
                    break;
                }
            };
            let time = match line {
                Line::Text(text) => {
                    if text.trim_ascii().is_empty() {
                        continue;
                    }
                    self.progress.count_line();
                    self.read_line(text, simulation).map_err(|error| (error, text))
                }
                Line::TooLong(start) => {
                    self.progress.count_line();
                    Err((LineError::TooLong, start))
                }
            };
            match time {
                Ok(time) => {
                    if is_first && time.saturating_add(self.window) < latest_before {
                        self.log.warnings.push(format!(
                            "{name} begins before the end of the log before it; list rotated logs from the oldest to the newest"
                        ));
                    }
                    is_first = false;
                }
                Err((error, text)) => {
                    self.log.skipped += 1;
                    if self.log.skipped_lines.len() < SHOWN_SKIPPED {
                        self.log.skipped_lines.push(SkippedLine {
                            file: name.to_owned(),
                            number,
                            reason: error.to_string(),
                            text: visible(&String::from_utf8_lossy(text), SHOWN_CHARS),
                        });
                    }
                }
            }
        }
        if let Some(format) = self.parser.format() {
            let format = format.as_str();
            if !self.log.formats.contains(&format) {
                self.log.formats.push(format);
            }
        }
    }

    /// Reads a line, and replays the requests that can no longer follow another one. Returns the time of the line.
    fn read_line(&mut self, text: &[u8], simulation: &mut Simulation) -> Result<u64, LineError> {
        let (index, record) = self.reorder.take_record();
        let has_client = |record: &LogRecord| match self.needs_client && !record.has_client() {
            true => Err(LineError::JsonClient),
            false => Ok(()),
        };
        if let Err(error) = self.parser.parse(text, record).and_then(|()| has_client(record)) {
            self.reorder.release(index);
            return Err(error);
        }
        if self.log.counts_at_start {
            record.move_to_start();
        }
        let time = record.time;
        self.reorder.push(index, &mut |record| simulation.replay(record));
        Ok(time)
    }

    fn finish(mut self, simulation: &mut Simulation) -> LogSummary {
        self.reorder.finish(&mut |record| simulation.replay(record));
        self.progress.finish();
        LogSummary {
            lines: self.progress.lines(),
            out_of_order: self.reorder.out_of_order,
            late: self.reorder.late,
            seconds: self.progress.seconds(),
            lines_per_second: self.progress.lines_per_second(),
            ..self.log
        }
    }
}
