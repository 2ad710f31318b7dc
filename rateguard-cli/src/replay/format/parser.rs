//! Parses lines of a format that is set, or that the first request of a file shows.

use super::{LineError, LogFormat, common, json::JsonParser};
use crate::replay::{
    fields::{ExtraFields, FieldMapping},
    record::LogRecord,
};

/// Parses the lines of log files.
pub(crate) struct LineParser {
    forced: Option<LogFormat>,
    /// The format of the current file. `None` before its first request.
    format: Option<LogFormat>,
    extras: ExtraFields,
    json: JsonParser,
}

impl LineParser {
    /// Creates a parser. Without a format, the first line of each file that is a request in any of the formats decides.
    pub(crate) fn new(
        forced: Option<LogFormat>,
        mappings: &[FieldMapping],
        extras: ExtraFields,
    ) -> Self {
        let json = JsonParser::new(mappings, &extras);
        Self { forced, format: forced, extras, json }
    }

    /// Starts a file, whose format may differ from that of the file before it.
    pub(crate) fn start_file(&mut self) {
        self.format = self.forced;
    }

    /// Returns the format of the current file, or `None` before its first request.
    pub(crate) fn format(&self) -> Option<LogFormat> {
        self.format
    }

    /// Parses a line into the record, which must be clear.
    ///
    /// # Errors
    ///
    /// [`LineError`] if the line is not a request in the format of the file.
    pub(crate) fn parse(&mut self, line: &[u8], record: &mut LogRecord) -> Result<(), LineError> {
        match self.format {
            Some(LogFormat::Json) => self.json.parse(line, record),
            Some(format) => {
                let is_vhost = format == LogFormat::VhostCombined;
                common::parse(line, record, &self.extras, is_vhost).map(|_| ())
            }
            None if line.trim_ascii_start().starts_with(b"{") => {
                self.json.parse(line, record)?;
                self.format = Some(LogFormat::Json);
                Ok(())
            }
            None => {
                let is_vhost = common::has_vhost(line);
                let tail = common::parse(line, record, &self.extras, is_vhost)?;
                self.format = Some(match tail {
                    _ if is_vhost => LogFormat::VhostCombined,
                    common::Tail::Duration => LogFormat::Traefik,
                    common::Tail::Agent => LogFormat::Combined,
                    common::Tail::None => LogFormat::Common,
                });
                Ok(())
            }
        }
    }
}
