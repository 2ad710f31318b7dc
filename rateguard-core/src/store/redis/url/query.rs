//! Parses the query parameters of a Redis URL.

use redis::ProtocolVersion;

use crate::RedisUrlError;

/// The query parameters of a URL. The values are still percent-encoded.
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    /// Parses `name=value&name=value`. An empty text has no parameters. Returns an error for a parameter that is not in
    /// `allowed`, is empty, occurs twice, or has no value.
    pub(super) fn parse(text: &'a str, allowed: &[&str]) -> Result<Self, RedisUrlError> {
        let mut parameters = Vec::new();
        if text.is_empty() {
            return Ok(Self(parameters));
        }
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').ok_or(RedisUrlError::Parameter)?;
            let is_repeated = parameters.iter().any(|(earlier, _)| *earlier == name);
            if value.is_empty() || is_repeated || !allowed.contains(&name) {
                return Err(RedisUrlError::Parameter);
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// Returns the version of the Redis protocol. Default: 2.
    pub(super) fn protocol(&self) -> Result<ProtocolVersion, RedisUrlError> {
        match self.get("protocol") {
            None | Some("2" | "resp2") => Ok(ProtocolVersion::RESP2),
            Some("3" | "resp3") => Ok(ProtocolVersion::RESP3),
            Some(_) => Err(RedisUrlError::Parameter),
        }
    }
}
