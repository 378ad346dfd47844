//! What a command on who is who and who may do what means, decided before a file changes.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::code::Code;
use crate::net::keys::KeyError;
use crate::path::RemotePath;
use crate::trust::{self, Bearer, Grant, Who, Whom};
use crate::utc::Utc;
use crate::wire::message::Rights;

use super::address::Address;
use super::escape;
use super::expiry::Expiry;
use super::failure::{failure, usage};
use super::own_files::OwnFiles;
use super::trust_args::{AuthorizeArgs, GrantArgs, InviteArgs, RevokeArgs};
use super::vantage::Vantage;

/// Somebody who is to be admitted.
#[derive(Debug)]
pub(super) struct Authorize {
    pub(super) who: Who,
    pub(super) terms: Terms,
}

/// Guests who are to be invited.
#[derive(Debug)]
pub(super) struct Invite {
    pub(super) terms: Terms,
    pub(super) bearer: Bearer,
    /// Where they reach the server, where that was said.
    pub(super) address: Option<Address>,
}

/// What is to be granted, and where.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) root: PathBuf,
    pub(super) name: Option<String>,
    pub(super) rights: Rights,
    pub(super) under: Option<RemotePath>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_files: Option<u64>,
    pub(super) expires: Option<Expiry>,
}

impl Terms {
    /// No more than rights in a directory.
    pub(super) fn plain(root: PathBuf, rights: Rights) -> Self {
        Self {
            root,
            name: None,
            rights,
            under: None,
            max_bytes: None,
            max_files: None,
            expires: None,
        }
    }

    /// The directory, and what is granted there until then.
    pub(super) fn grant(self, expires: Option<Utc>) -> (PathBuf, Grant) {
        let grant = Grant {
            name: self.name,
            rights: self.rights,
            under: self.under,
            max_bytes: self.max_bytes,
            max_files: self.max_files,
            expires,
        };
        (self.root, grant)
    }
}

/// Somebody whose rights end.
#[derive(Debug)]
pub(super) struct Revoke {
    pub(super) whom: Whom,
    pub(super) root: Option<PathBuf>,
}

/// Most bytes of a key that comes in from elsewhere.
const KEY_MAX: u64 = 64 << 10;

pub(super) fn authorize(args: AuthorizeArgs) -> anyhow::Result<Authorize> {
    let terms = terms(args.grant)?;
    let text = match args.key.as_slice() {
        [only] if only == "-" => from_stdin()?,
        words => words.join(" "),
    };
    let (who, comment) = told(&text)?;
    let name = terms.name.or(comment);
    let terms = Terms { name, ..terms };
    Ok(Authorize { who, terms })
}

pub(super) fn invite(args: InviteArgs, from: &Vantage) -> anyhow::Result<Invite> {
    let address = args.address.as_deref().map(|text| host(text, from));
    Ok(Invite {
        terms: terms(args.grant)?,
        bearer: if args.once {
            Bearer::First
        } else {
            Bearer::Any
        },
        address: address.transpose()?,
    })
}

fn terms(args: GrantArgs) -> anyhow::Result<Terms> {
    let flags = [args.read, args.write, args.replace, args.delete];
    let bits = (0..).zip(flags).map(|(at, flag)| u32::from(flag) << at);
    let rights = Rights(bits.sum());
    if rights == Rights(0) {
        return Err(usage(
            "say what they may do: --read, --write, --replace, --delete, or several of them",
        ));
    }
    check_rights(rights)?;
    let root = root(args.root.as_deref().unwrap_or(Path::new(".")))?;
    // No server would let anybody else in there.
    OwnFiles::beneath(&root, None)?.refuse_others()?;
    let under = args.under.as_deref().map(|text| under(text, &root));
    Ok(Terms {
        under: under.transpose()?,
        root,
        name: args.name,
        rights,
        max_bytes: args.max_bytes,
        max_files: args.max_files,
        expires: args.expires,
    })
}

/// Reads the path that somebody is confined to. A slash at its end changes nothing. It need
/// not be there yet, but where something else has its name they could never come in.
fn under(text: &str, root: &Path) -> anyhow::Result<RemotePath> {
    let path = RemotePath::parse(text.strip_suffix('/').unwrap_or(text))
        .with_context(|| format!("--under {}", escape::name(text)))?;
    let mut at = root.to_owned();
    for name in path.components() {
        at.push(name);
        let what = match at.symlink_metadata() {
            Ok(found) if found.is_dir() => continue,
            Ok(found) if found.is_symlink() => "is a symbolic link, which a server does not follow",
            Ok(_) => "is no directory",
            // It is missing, or it will be seen when it is served.
            Err(_) => break,
        };
        let shown = escape::path(&at);
        return Err(usage(format!(
            "--under {}: {shown} {what}",
            escape::name(text)
        )));
    }
    Ok(path)
}

/// Refuses rights that would be of no use.
pub(super) fn check_rights(rights: Rights) -> anyhow::Result<()> {
    let (write, replace) = (Rights(2), Rights(4));
    if rights.include(replace) && !rights.include(write) {
        return Err(usage(
            "to replace a file is to write it: --replace goes with --write",
        ));
    }
    Ok(())
}

pub(super) fn revoke(args: &RevokeArgs) -> anyhow::Result<Revoke> {
    let text = args.whom.join(" ");
    if text.trim().is_empty() {
        return Err(usage(
            "say whose rights end: a key, a name or an invitation's id",
        ));
    }
    let whom = match Who::parse(&text) {
        Ok(who) => Whom::Key(who),
        Err(KeyError::NotALine) => Whom::Name(text),
        Err(error) => return Err(usage(error.to_string())),
    };
    Ok(Revoke {
        whom,
        root: args.root.as_deref().map(perhaps_gone).transpose()?,
    })
}

/// The directory that a person means, also where it is not there any more: what was
/// granted in it still stands in the file.
pub(super) fn perhaps_gone(root: &Path) -> anyhow::Result<PathBuf> {
    let found = root.canonicalize().or_else(|_| std::path::absolute(root));
    found.map_err(|error| {
        let shown = escape::path(root);
        failure(Code::File, format!("{shown}: {error}"))
    })
}

/// Reads the address of a server, without anything that is on it or said of it.
pub(super) fn host(text: &str, from: &Vantage) -> anyhow::Result<Address> {
    let place = from.place(OsStr::new(text))?;
    let shown = escape::name(text);
    if place.path.is_some() {
        return Err(usage(format!(
            "{shown} has a path: a server alone is wanted, HOST[:PORT]"
        )));
    }
    if place.peer.key.is_some() {
        return Err(usage(format!(
            "{shown} names a key: a server alone is wanted, HOST[:PORT]"
        )));
    }
    Ok(place.peer.address)
}

/// Reads whom a person or a file tells of, and the comment behind the key.
pub(super) fn told(text: &str) -> anyhow::Result<(Who, Option<String>)> {
    let lines = text.lines().map(str::trim);
    let mut told: Option<(Who, Option<String>)> = None;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let who = Who::parse(line).map_err(|error| no_key(line, error))?;
        let mut words = line.split_ascii_whitespace().skip(2);
        let comment = words.by_ref().collect::<Vec<_>>().join(" ");
        let comment = Some(comment).filter(|comment| trust::is_name(comment));
        told = match told {
            None => Some((who, comment)),
            // As haul key prints them: the key, and its fingerprint on a line of its own.
            Some((first, name)) if first.fingerprint() == who.fingerprint() => {
                let whole = if matches!(first, Who::Key(_)) {
                    first
                } else {
                    who
                };
                Some((whole, name.or(comment)))
            }
            Some(_) => return Err(usage("these are several keys, and one at a time is taken")),
        };
    }
    told.ok_or_else(|| usage("no key is there"))
}

/// What is wrong with a key, and what was perhaps meant. Its text is not repeated: it
/// may be a secret that came here by mistake.
fn no_key(text: &str, error: KeyError) -> anyhow::Error {
    let text = text.trim();
    if text.contains("PRIVATE KEY") {
        usage("this is a private key, which nobody else is to see: haul key prints the public one")
    } else if Path::new(text).is_file() {
        let shown = escape::name(text);
        usage(format!(
            "{shown} is a file: what is in it is read by haul authorize - < {shown}"
        ))
    } else if error == KeyError::NotALine {
        usage(format!("{error}, or its fingerprint, SHA256:..."))
    } else {
        usage(error.to_string())
    }
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().take(KEY_MAX).read_to_string(&mut text);
    let failed = |error| failure(Code::File, format!("cannot read standard input: {error}"));
    read.map_err(failed)?;
    Ok(text)
}

/// The directory that a server calls its root when it is told to serve this one.
fn root(typed: &Path) -> anyhow::Result<PathBuf> {
    let shown = escape::path(typed);
    let failed = |error: io::Error| failure(Code::File, format!("{shown}: {error}"));
    let root = typed.canonicalize().map_err(failed)?;
    if root.is_dir() {
        Ok(root)
    } else {
        let text = format!("{shown} is not a directory, and only a directory is served");
        Err(failure(Code::File, text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bearings::Bearings;
    use super::super::failure::code_of;
    use super::*;
    use crate::net::keys::Keypair;

    #[test]
    fn a_key_is_told_in_every_form_that_it_is_printed_in() {
        let key = Keypair::generate().unwrap().0.public();
        let print = key.fingerprint();
        let other = Keypair::generate().unwrap().0.public();
        for (text, whole, comment) in [
            (format!("{key}"), true, None),
            (
                format!("\n# my key\n{key} me at home\r\n"),
                true,
                Some("me at home"),
            ),
            (format!("{print}"), false, None),
            (format!("{key}\n{print}\n"), true, None),
            (format!("{print}\n{key} me"), true, Some("me")),
            (format!("{key} a\u{1b}[2J"), true, None),
        ] {
            let (who, name) = told(&text).unwrap();
            assert_eq!(who.fingerprint(), print, "{text}");
            assert_eq!(matches!(who, Who::Key(_)), whole, "{text}");
            assert_eq!(name.as_deref(), comment, "{text}");
        }
        for (text, why) in [
            (format!("{key}\n{other}\n"), "several keys"),
            ("\n#\n".to_owned(), "no key"),
            (
                "-----BEGIN PRIVATE KEY-----\nsecret".to_owned(),
                "private key",
            ),
            ("Cargo.toml".to_owned(), "haul authorize - < Cargo.toml"),
            ("anna".to_owned(), "or its fingerprint"),
            ("ssh-rsa AAAA me".to_owned(), "only ssh-ed25519"),
        ] {
            let error = told(&text).unwrap_err();
            assert_eq!(code_of(&error), Code::Usage);
            let said = error.to_string();
            assert!(said.contains(why) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_server_alone_has_no_path() {
        let host = |text| host(text, &Vantage::Anywhere(Bearings::default()));
        assert_eq!(host("nas").unwrap().to_string(), "nas:4285");
        assert_eq!(host("haul://[::1]:80/").unwrap().to_string(), "[::1]:80");
        let print = "HoY_RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        for text in ["nas/a", &format!("haul://{print}@nas/")] {
            assert_eq!(code_of(&host(text).unwrap_err()), Code::Usage, "{text}");
        }
    }
}
