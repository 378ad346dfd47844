//! Records in a file: a line of JSON each, at its end.
//!
//! ```text
//! {"v":1,"time":"2025-11-22T12:04:05.678Z","peer":"192.0.2.7:40312","fingerprint":"SHA256:...",
//!  "name":"anna","request":"commit","path":"inbox/a","bytes":3,"checksum":"blake3:...",
//!  "result":0,"seconds":0.012}
//! ```
//!
//! Each line has all of these members, with null for what there is none of; a rename's has
//! `to` as well. `result` is 0 or a [code](crate::code::Code). Records that are kept together
//! are written in one call.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::audit::{Asked, Audit, Record, Unrecorded};
use crate::json::Line;
use crate::trust::{AppendFile, Error};
use crate::utc::Utc;

/// A file of records.
#[derive(Debug)]
pub struct AuditFile {
    file: AppendFile,
    /// Whether it was said that it cannot be written, which is not said again with each
    /// request.
    is_told: AtomicBool,
}

impl AuditFile {
    /// Opens the file at `path`, and makes it, private, where it is not there.
    ///
    /// # Errors
    ///
    /// Where others could have written it, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            file: AppendFile::open(path)?,
            is_told: AtomicBool::new(false),
        })
    }

    /// Goes on in the file that has the name now.
    pub fn reopen(&self) {
        match self.file.reopen() {
            Ok(()) => tracing::info!("the audit file is open anew"),
            Err(error) => tracing::warn!("the old audit file stays in use: {error}"),
        }
        // What is owed can perhaps be written now; if not, the log has it.
        let _ = self.told(self.file.catch_up());
    }

    /// Says in the log when writing begins to fail, and when it works again.
    fn told(&self, written: Result<(), Error>) -> Result<(), Unrecorded> {
        let failed = written.is_err();
        let was_told = self.is_told.swap(failed, Ordering::Relaxed);
        match written {
            Ok(()) if was_told => tracing::info!("requests can be recorded again"),
            Err(error) if !was_told => {
                tracing::error!("nothing is done while it cannot be recorded: {error}");
            }
            Ok(()) | Err(_) => {}
        }
        if failed { Err(Unrecorded) } else { Ok(()) }
    }
}

impl Audit for AuditFile {
    fn is_ready(&self) -> bool {
        self.told(self.file.catch_up()).is_ok()
    }

    fn keep(&self, records: &[Record<'_>]) -> Result<(), Unrecorded> {
        let mut lines = String::new();
        for record in records {
            lines.push_str(&line(record));
            lines.push('\n');
        }
        self.told(self.file.append(lines.as_bytes()))
    }
}

fn line(record: &Record<'_>) -> String {
    let fingerprint = record.key.map(|key| key.fingerprint().to_string());
    let checksum = record.checksum.map(|checksum| checksum.to_string());
    let failed = record.failed.map_or(0, |code| u64::from(code.number()));
    let line = Line::begin()
        .text("time", &*moment(record.time))
        .visible("peer", record.peer)
        .text("fingerprint", fingerprint.as_deref())
        .visible("name", record.name)
        .text("request", record.asked.word())
        .visible("path", record.path.as_deref());
    let line = match record.asked {
        Asked::Rename => line.visible("to", record.to.as_deref()),
        _ => line,
    };
    line.number("bytes", record.bytes)
        .text("checksum", checksum.as_deref())
        .number("result", failed)
        .seconds("seconds", record.took)
        .end()
}

/// `2025-11-22T12:04:05.678Z`.
fn moment(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    // Nobody's clock is that wrong.
    let since = since.unwrap_or(Duration::ZERO);
    let second = Utc::from_seconds(since.as_secs().cast_signed()).to_string();
    let second = second.trim_end_matches('Z');
    format!("{second}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::content::Checksum;
    use crate::net::keys::PublicKey;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/stjtjhwPC7C9B551fG6t5tFokkElFykUVn4xKjN2G";

    fn record(asked: Asked) -> Record<'static> {
        Record {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_813_045_678),
            peer: "192.0.2.7:40312",
            key: None,
            name: None,
            asked,
            path: Some("inbox/a".to_owned()),
            to: None,
            bytes: None,
            checksum: None,
            failed: None,
            took: Duration::from_millis(12),
        }
    }

    #[test]
    fn a_line_has_all_members_and_shows_every_character() {
        let key = PublicKey::parse(KEY).unwrap();
        let mut whole = record(Asked::Commit);
        whole.key = Some(key);
        whole.name = Some("Anna \"B\"");
        whole.path = Some("a\nb\u{1b}\u{202e}\u{9b}".to_owned());
        whole.bytes = Some(3);
        whole.checksum = Some(Checksum::Blake3([7; 32]));
        whole.failed = Some(Code::Exists);
        let expected = format!(
            concat!(
                r#"{{"v":1,"time":"2025-11-22T12:04:05.678Z","peer":"192.0.2.7:40312","#,
                r#""fingerprint":"SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs","#,
                r#""name":"Anna \"B\"","request":"commit","path":"a\u000ab\u001b\u202e\u009b","#,
                r#""bytes":3,"checksum":"blake3:{}","result":6,"seconds":0.012}}"#
            ),
            "07".repeat(32)
        );
        assert_eq!(line(&whole), expected);
    }

    #[test]
    fn what_there_is_none_of_is_null_and_only_a_rename_leads_to_another_name() {
        let mut rename = record(Asked::Rename);
        rename.to = Some("b".to_owned());
        let json = concat!(
            r#"{"v":1,"time":"2025-11-22T12:04:05.678Z","peer":"192.0.2.7:40312","#,
            r#""fingerprint":null,"name":null,"request":"rename","path":"inbox/a","to":"b","#,
            r#""bytes":null,"checksum":null,"result":0,"seconds":0.012}"#
        );
        assert_eq!(line(&rename), json);
        assert!(!line(&record(Asked::List)).contains("\"to\""));
    }

    #[test]
    fn records_are_lines_and_the_file_is_ready_for_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let audit = AuditFile::open(&path).unwrap();
        let both = [record(Asked::Offer), record(Asked::Commit)];
        audit.keep(&both).unwrap();
        assert!(audit.is_ready());
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<String> = both.iter().map(line).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
