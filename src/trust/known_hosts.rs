//! Which server has which key.
//!
//! A server that was met once, or whose fingerprint a person has compared, is known from
//! then on: whoever answers in its place with another key is somebody else. A line is
//!
//! ```text
//! HOST:PORT ssh-ed25519 AAAA... 2025-11-22
//! HOST:PORT SHA256:... 2025-11-22
//! ```
//!
//! the second being of a server that was told to haul and not met yet. The day is that on
//! which it was learned.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::net::keys::{Fingerprint, PublicKey};
use crate::utc::Utc;

use super::error::Error;
use super::line::{LineError, numbered, words};
use super::line_file::{LineFile, add};
use super::places::Places;
use super::who::Who;

const HEAD: &str = "\
# The servers that haul knows, a line each: HOST:PORT, a key or its fingerprint, and the
# day on which it was learned. haul trust and haul forget change this file, and so can you.
";

/// The servers that this user knows.
#[derive(Clone, Debug)]
pub struct KnownHosts(LineFile);

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its key.
    Known {
        /// The key.
        key: PublicKey,
        /// The day on which it was learned, if that is written down.
        since: Option<Utc>,
    },
    /// What its key must have.
    Fingerprint {
        /// The fingerprint.
        fingerprint: Fingerprint,
        /// The day on which it was told, if that is written down.
        since: Option<Utc>,
    },
    /// Nothing.
    Unknown,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHost {
    /// `HOST:PORT`, in small letters.
    pub host: String,
    /// Whose key is the right one.
    pub who: Who,
    /// The day on which it was learned, if that is written down.
    pub since: Option<Utc>,
}

impl KnownHosts {
    /// Those whom the user knows whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self(LineFile::new(places.config(), "known_hosts", HEAD))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Says what is known of the server at `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on, or a line about this server cannot.
    pub fn look_up(&self, host: &str) -> Result<Standing, Error> {
        let text = self.0.text()?;
        Ok(match self.find(&text, &canonical(host))? {
            None => Standing::Unknown,
            Some(KnownHost { who, since, .. }) => match who {
                Who::Key(key) => Standing::Known { key, since },
                Who::Fingerprint(fingerprint) => Standing::Fingerprint { fingerprint, since },
            },
        })
    }

    /// Lists under which other addresses this key is known.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on.
    pub fn elsewhere(&self, key: &PublicKey, host: &str) -> Result<Vec<String>, Error> {
        let (text, host) = (self.0.text()?, canonical(host));
        let known = numbered(&text).filter_map(|(_, line)| parse(line).ok().flatten());
        let same = known.filter(|k| k.who.fingerprint() == key.fingerprint() && k.host != host);
        Ok(same.map(|known| known.host).collect())
    }

    /// Notes the key of the server at `HOST:PORT`, and says since when it was known
    /// already. A fingerprint is completed once the key itself is seen.
    ///
    /// # Errors
    ///
    /// [`Error::OtherKey`] where another one is known, and where the file cannot be
    /// relied on or changed.
    pub fn learn(&self, host: &str, who: Who, now: Utc) -> Result<Option<KnownHost>, Error> {
        let host = canonical(host);
        self.0.change(|text| {
            let Some(known) = self.find(text, &host)? else {
                let since = Some(now);
                let line = KnownHost { host, who, since }.to_string();
                return Ok((Some(add(text, &line)), None));
            };
            if known.who.fingerprint() != who.fingerprint() {
                return Err(Error::OtherKey {
                    host,
                    known: known.who.fingerprint(),
                    since: known.since,
                });
            }
            let is_more = matches!((known.who, who), (Who::Fingerprint(_), Who::Key(_)));
            let new = is_more.then(|| {
                let whole = KnownHost {
                    who,
                    ..known.clone()
                };
                add(&without(text, &host).0, &whole.to_string())
            });
            Ok((new, Some(known)))
        })
    }

    /// Forgets the server at `HOST:PORT`, and says how many lines that took.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on or changed.
    pub fn forget(&self, host: &str) -> Result<usize, Error> {
        let host = canonical(host);
        self.0.change(|text| {
            let (rest, count) = without(text, &host);
            Ok(((count > 0).then_some(rest), count))
        })
    }

    /// Finds the one line about a server.
    fn find(&self, text: &str, host: &str) -> Result<Option<KnownHost>, Error> {
        let mut found: Option<(usize, KnownHost)> = None;
        for (number, line) in numbered(text).filter(|(_, line)| is_about(line, host)) {
            let known = parse(line).map_err(|why| self.0.broken(number, why))?;
            // It may be the old key or the new one: a person has to say which.
            if let (Some((first, _)), Some(_)) = (&found, &known) {
                return Err(self.0.broken(number, LineError::AlsoIn(*first)));
            }
            found = known.map(|known| (number, known)).or(found);
        }
        Ok(found.map(|(_, known)| known))
    }
}

/// As it stands in the file.
impl std::fmt::Display for KnownHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.host, self.who)?;
        self.since
            .map_or(Ok(()), |since| write!(f, " {}", since.date()))
    }
}

/// The one spelling of a server's address, of the many that lead to it.
fn canonical(host: &str) -> String {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .and_then(|(host, port)| Some((host.parse::<Ipv6Addr>().ok()?, port)));
    match in_brackets {
        Some((host, port)) => format!("[{host}]{port}"),
        None => host.to_lowercase(),
    }
}

/// Whether a line, broken or not, is about a server.
fn is_about(line: &str, host: &str) -> bool {
    let first = match words(line) {
        Ok(words) => words.into_iter().next(),
        Err(_) => line.split_ascii_whitespace().next().map(Into::into),
    };
    first.is_some_and(|first| canonical(&String::from_utf8_lossy(&first)) == host)
}

/// The text without the lines about a server, and how many those were.
fn without(text: &str, host: &str) -> (String, usize) {
    let (gone, rest): (Vec<_>, Vec<_>) = text
        .split_inclusive('\n')
        .partition(|line| is_about(line, host));
    (rest.concat(), gone.len())
}

/// Reads a line, or nothing where it says nothing.
fn parse(line: &str) -> Result<Option<KnownHost>, LineError> {
    let mut words = words(line)?.into_iter();
    let Some(host) = words.next() else {
        return Ok(None);
    };
    let host = String::from_utf8(host).map_err(|_| LineError::Host)?;
    let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err(LineError::Host);
    }
    let who = Who::take(&mut words)?;
    let since = words.next().map(|day| {
        let day = String::from_utf8_lossy(&day).into_owned();
        Utc::parse_date(&day).ok_or(LineError::Day(day))
    });
    let since = since.transpose()?;
    if let Some(more) = words.next() {
        let more = String::from_utf8_lossy(&more).into_owned();
        return Err(LineError::UnknownWord(more));
    }
    let host = canonical(&host);
    Ok(Some(KnownHost { host, who, since }))
}

#[cfg(test)]
mod tests {
    use super::super::places::Variables;
    use super::*;
    use crate::net::keys::Keypair;
    use proptest::prelude::*;
    use std::io::Write;
    use tempfile::TempDir;

    /// A user who knows the servers of this text.
    fn knowing(text: &str) -> (TempDir, KnownHosts) {
        let dir = tempfile::tempdir().unwrap();
        let variables = Variables {
            home: Some(dir.path().into()),
            ..Variables::default()
        };
        let known = KnownHosts::new(&Places::find(&variables).unwrap());
        if !text.is_empty() {
            known.0.change(|_| Ok((Some(String::new()), ()))).unwrap();
            let mut file = std::fs::File::options()
                .write(true)
                .open(known.path())
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        (dir, known)
    }

    fn new_key() -> PublicKey {
        Keypair::generate().unwrap().0.public()
    }

    fn day(text: &str) -> Utc {
        Utc::parse_date(text).unwrap()
    }

    #[test]
    fn a_server_that_is_learned_is_known_since_that_day() {
        let (_dir, known) = knowing("");
        let (key, other) = (new_key(), new_key());
        assert_eq!(known.look_up("nas:4285"), Ok(Standing::Unknown));
        let learned = day("2025-11-22");
        let now = learned.plus(3600);
        assert_eq!(known.learn("nas:4285", Who::Key(key), now), Ok(None));
        let since = Some(learned);
        assert_eq!(
            known.look_up("NAS:4285"),
            Ok(Standing::Known { key, since })
        );
        assert_eq!(known.look_up("nas:4286"), Ok(Standing::Unknown));
        let again = known.learn("nas:4285", Who::Key(key), day("2026-01-01"));
        assert_eq!(again.unwrap().unwrap().since, since);
        let error = known.learn("nas:4285", Who::Key(other), now).unwrap_err();
        assert!(
            error.to_string().contains("learned on 2025-11-22"),
            "{error}"
        );
        assert!(error.to_string().contains(&key.fingerprint().to_string()));
        known.learn("[FE80:0::1]:1", Who::Key(key), now).unwrap();
        let elsewhere = known.elsewhere(&key, "nas:4285").unwrap();
        assert_eq!(elsewhere, ["[fe80::1]:1"]);
        assert!(known.elsewhere(&other, "x:1").unwrap().is_empty());
    }

    #[test]
    fn a_fingerprint_is_completed_when_its_key_is_seen_and_keeps_its_day() {
        let (_dir, known) = knowing("");
        let key = new_key();
        let fingerprint = key.fingerprint();
        let since = Some(day("2025-11-22"));
        known
            .learn("nas:1", Who::Fingerprint(fingerprint), day("2025-11-22"))
            .unwrap();
        let told = Standing::Fingerprint { fingerprint, since };
        assert_eq!(known.look_up("nas:1"), Ok(told));
        known
            .learn("nas:1", Who::Key(key), day("2026-01-01"))
            .unwrap();
        assert_eq!(known.look_up("nas:1"), Ok(Standing::Known { key, since }));
        known
            .learn("nas:1", Who::Fingerprint(fingerprint), day("2026-01-01"))
            .unwrap();
        assert_eq!(known.look_up("nas:1"), Ok(Standing::Known { key, since }));
        assert_eq!(known.forget("nas:1"), Ok(1));
        assert_eq!(known.forget("nas:1"), Ok(0));
        assert_eq!(known.look_up("nas:1"), Ok(Standing::Unknown));
    }

    #[test]
    fn what_a_person_wrote_stays_as_it_is() {
        let key = new_key();
        let text = format!("# mine\n\nodd line\n\"Nas:1\" {key} # the big one\r\n");
        let (_dir, known) = knowing(&text);
        let standing = Standing::Known { key, since: None };
        assert_eq!(known.look_up("nas:1"), Ok(standing));
        known
            .learn("b:1", Who::Key(key), day("2025-11-22"))
            .unwrap();
        let text = format!("{text}b:1 {key} 2025-11-22\n");
        assert_eq!(std::fs::read_to_string(known.path()).unwrap(), text);
        assert_eq!(known.forget("nas:1"), Ok(1));
        let text = format!("# mine\n\nodd line\nb:1 {key} 2025-11-22\n");
        assert_eq!(std::fs::read_to_string(known.path()).unwrap(), text);
    }

    #[track_caller]
    fn doubtful(line: &str, why: &str) {
        let key = new_key();
        let line = line.replace("KEY", &key.to_string());
        let (_dir, known) = knowing(&format!("a:1 {key}\n{line}\n"));
        let error = known.look_up("nas:1").unwrap_err();
        assert!(error.to_string().contains(why), "{line}: {error}");
        assert!(matches!(known.look_up("a:1"), Ok(Standing::Known { .. })));
        assert!(
            known
                .learn("nas:1", Who::Key(key), day("2025-11-22"))
                .is_err()
        );
        // What cannot be read can still be forgotten.
        assert!(known.forget("nas:1").unwrap() > 0);
        assert_eq!(known.look_up("nas:1"), Ok(Standing::Unknown));
    }

    #[test]
    fn a_broken_line_about_a_server_makes_nobody_a_stranger() {
        doubtful("nas:1", "line 2: a key is a line");
        doubtful("nas:1 ssh-ed25519 AAAA", "the key is damaged");
        doubtful("nas:1 ssh-rsa AAAA", "only ssh-ed25519");
        doubtful("nas:1 SHA256:x", "a fingerprint is");
        doubtful("nas:1 KEY yesterday", "\"yesterday\" is no day");
        doubtful("nas:1 KEY 2025-11-22 more", "\"more\" is no");
        doubtful("nas:1 \"KEY", "a quote is not closed");
        doubtful("nas:1 KEY\nnas:1 KEY", "line 3: line 2 is about the same");
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "([a:1 #\"]|ssh-ed25519 |SHA256:|\\PC|\n){0,60}") {
            let (_dir, known) = knowing(&text);
            let _ = known.look_up("a:1");
            let _ = known.elsewhere(&new_key(), "a:1");
            known.forget("a:1").unwrap();
            prop_assert_eq!(known.look_up("a:1"), Ok(Standing::Unknown));
        }
    }
}
