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
    /// `counts_at_start` tells which time counts if a JSON line has the start and the end of the request.
    pub(crate) fn new(
        forced: Option<LogFormat>,
        mappings: &[FieldMapping],
        extras: ExtraFields,
        counts_at_start: bool,
    ) -> Self {
        let json = JsonParser::new(mappings, &extras, counts_at_start);
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

#[cfg(test)]
mod tests {
    use actix_rateguard_grammar::KeyPart;
    use proptest::prelude::*;

    use super::*;

    const LINES: [&str; 3] = [
        r#"shop:443 192.0.2.7 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.0" 200 5 "-" "x \" y" 12ms"#,
        r#"2001:db8::1 - - [10/Oct/2000:13:55:36 -0700] "POST http://a/b HTTP/1.0" 404 -"#,
        r#"{"time":"2024-05-01T12:00:00Z","ip":"192.0.2.7","a":{"remote_user":"x"},"request":{"headers":{"User-Agent":["y"]}},"status":"200","Duration":5}"#,
    ];

    fn parser(forced: Option<LogFormat>) -> LineParser {
        let mut extras = ExtraFields::default();
        extras.add(&KeyPart::Header("User-Agent".to_owned()));
        LineParser::new(forced, &["user=a.b".parse().unwrap()], extras, false)
    }

    fn parse_everywhere(line: &[u8]) {
        let formats = [LogFormat::Common, LogFormat::VhostCombined, LogFormat::Json];
        for forced in formats.map(Some).into_iter().chain([None]) {
            let mut record = LogRecord::default();
            if parser(forced).parse(line, &mut record).is_ok() {
                // A time after the year 9999 cannot come from any format.
                assert!(record.time < 1 << 63);
                assert!(record.duration.is_none_or(|it| it <= 31_536_000_000_000));
            }
        }
    }

    #[test]
    fn first_request_of_a_file_decides_its_format() {
        let mut parser = parser(None);
        let mut parse = |line: &str| {
            let mut record = LogRecord::default();
            let result = parser.parse(line.as_bytes(), &mut record);
            (result.is_ok(), parser.format())
        };
        assert_eq!(parse("no request"), (false, None));
        assert_eq!(parse(LINES[2]), (true, Some(LogFormat::Json)));
        assert_eq!(parse(LINES[1]), (false, Some(LogFormat::Json)));
        parser.start_file();
        assert_eq!(parser.format(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_never_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
            parse_everywhere(&line);
        }

        #[test]
        fn changed_lines_never_panic(
            line in prop::sample::select(&LINES[..]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
        ) {
            let mut bytes = line.as_bytes().to_vec();
            for (index, byte, kind) in changes {
                let index = index.index(bytes.len().max(1));
                match kind {
                    0 if !bytes.is_empty() => bytes[index] = byte,
                    1 => bytes.truncate(index),
                    _ => bytes.insert(index, byte),
                }
            }
            parse_everywhere(&bytes);
        }
    }
}
