//! The documents of the stores on Redis and Upstash: one hash for each document, and a script for each operation.

use std::time::Duration;

use super::{DocumentCall, ScriptStore, Transport};
use crate::store::{
    StoreError,
    document::{
        Document, DocumentFuture, DocumentRead, DocumentStore, DocumentVersion, DocumentWrite,
    },
};

const READ: &str = include_str!("read_document.lua");
const WRITE: &str = include_str!("write_document.lua");

impl<T: Transport> DocumentStore for ScriptStore<T> {
    fn read<'a>(
        &'a self,
        name: &'a str,
        last: Option<DocumentVersion>,
    ) -> DocumentFuture<'a, DocumentRead> {
        Box::pin(async move {
            let last = last.map_or_else(String::new, |last| last.to_string());
            let reply = self.run_document_call(name, READ, vec![last]).await?;
            decode_read(reply).ok_or(StoreError::InvalidReply)
        })
    }

    fn write<'a>(
        &'a self,
        name: &'a str,
        write: DocumentWrite<'a>,
    ) -> DocumentFuture<'a, Option<DocumentVersion>> {
        Box::pin(async move {
            let millis = write.expires_at.as_micros().div_ceil(1_000);
            let (expected, text) = (write.expected.to_string(), write.text.to_owned());
            let arguments = vec![expected, text, millis.to_string()];
            match &*self.run_document_call(name, WRITE, arguments).await? {
                [] => Ok(None),
                [version] => Ok(Some(decode_version(version).ok_or(StoreError::InvalidReply)?)),
                _ => Err(StoreError::InvalidReply),
            }
        })
    }
}

impl<T: Transport> ScriptStore<T> {
    async fn run_document_call(
        &self,
        name: &str,
        script: &'static str,
        arguments: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        if self.is_forked() {
            return Err(StoreError::Forked);
        }
        let call = DocumentCall::new(&self.keyspace.prefix, name, script, arguments);
        self.transport.run_document_call(&call).await
    }
}

fn decode_read(reply: Vec<String>) -> Option<DocumentRead> {
    match <[String; 4]>::try_from(reply) {
        Ok([version, seconds, micros, text]) => {
            let now = Duration::from_secs(seconds.parse().ok()?)
                .checked_add(Duration::from_micros(micros.parse().ok()?))?;
            Some(DocumentRead::Changed(Document { version: decode_version(&version)?, text, now }))
        }
        Err(reply) => matches!(&*reply, [_]).then_some(DocumentRead::Unchanged),
    }
}

fn decode_version(text: &str) -> Option<DocumentVersion> {
    text.parse().ok().map(DocumentVersion::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &[&str]) -> Option<DocumentRead> {
        decode_read(reply.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn malformed_replies_are_not_decoded() {
        assert_eq!(read(&["7"]), Some(DocumentRead::Unchanged));
        let document = Document {
            version: DocumentVersion::new(7),
            text: "text".to_owned(),
            now: Duration::from_micros(9_000_005),
        };
        assert_eq!(read(&["7", "9", "5", "text"]), Some(DocumentRead::Changed(document)));
        for reply in [
            &[][..],
            &["7", "9"],
            &["x", "9", "5", "text"],
            &["7", "-9", "5", "text"],
            &["7", "9", "x", "text"],
            &["7", "18446744073709551615", "18446744073709551615", "text"],
            &["7", "9", "5", "text", "more"],
        ] {
            assert_eq!(read(reply), None, "{reply:?}");
        }
    }
}
