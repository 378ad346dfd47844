//! haul's own files beneath what is served: its keys, who may come in, what was done.
//!
//! Whoever could change them could let anybody in, and whoever could read them could take
//! the server's place. So they are for nobody but their owner, who does not see them by way
//! of haul either: whoever copies a home should not carry keys away with it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::net::keys::PublicKey;
use crate::server::{Admit, Grant, Refusal, Visitor};
use crate::trust::Error;

use super::escape;
use super::failure::usage;
use super::places;

/// Those of haul's own files that are beneath what is served.
#[derive(Debug)]
pub(super) struct OwnFiles {
    root: PathBuf,
    within: Vec<PathBuf>,
}

/// Admits the owner from this machine, and nobody else whoever was authorized.
#[derive(Debug)]
pub(super) struct OwnerAlone<A> {
    pub(super) inner: A,
    pub(super) owner: PublicKey,
    /// Why nobody else.
    pub(super) why: String,
}

impl OwnFiles {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// Where all that would be served is such a directory.
    pub(super) fn beneath(root: &Path, audit: Option<&Path>) -> anyhow::Result<Self> {
        let mut own = Vec::new();
        match places::of_user() {
            Ok(places) => own.extend([
                places.config().to_owned(),
                places.state().to_owned(),
                places.identity().path().to_owned(),
            ]),
            // Who has no home keeps nothing there.
            Err(Error::NoHome(_)) => {}
            Err(error) => return Err(error.into()),
        }
        own.extend(audit.map(Path::to_owned));
        let mut within: Vec<PathBuf> = Vec::new();
        // What cannot be found is refused when it is opened to be served.
        if let Ok(served) = root.metadata() {
            for path in own {
                let place = first_missing(&path);
                if place.metadata().is_ok_and(|there| is_same(&there, &served)) {
                    let root = escape::path(root);
                    return Err(usage(format!("{root} is haul's own: it cannot be served")));
                }
                let is_above = |above: &Path| above.metadata().is_ok_and(|a| is_same(&a, &served));
                let is_known = within.iter().any(|known| place.starts_with(known));
                if place.ancestors().any(is_above) && !is_known {
                    within.push(place);
                }
            }
        }
        Ok(Self {
            root: root.to_owned(),
            within,
        })
    }

    /// What is to be hidden.
    pub(super) fn hidden(&self) -> &[PathBuf] {
        &self.within
    }

    /// Why nobody else may be served with them, if there are any.
    pub(super) fn objection(&self) -> Option<String> {
        let own = escape::path(self.within.first()?);
        let root = escape::path(&self.root);
        Some(format!(
            "{root} holds {own}, which haul itself relies on: it cannot be served to others"
        ))
    }

    /// Refuses to serve others, if there are any.
    pub(super) fn refuse_others(&self) -> anyhow::Result<()> {
        self.objection().map_or(Ok(()), |why| Err(usage(why)))
    }

    /// What the owner is told of them.
    pub(super) fn said(&self) -> Option<String> {
        let names: Vec<_> = self.within.iter().map(|path| escape::path(path)).collect();
        (!names.is_empty()).then(|| format!("haul's own is hidden: {}", names.join(", ")))
    }
}

impl<A: Admit> Admit for OwnerAlone<A> {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        if visitor.is_local() && visitor.key == Some(self.owner) {
            return self.inner.grant(visitor);
        }
        // An invitation is not looked at: that would bind it to whoever shows it.
        if visitor.token.is_some() || self.inner.grant(visitor).is_ok() {
            tracing::warn!("somebody is authorized and not admitted: {}", self.why);
        }
        Err(Refusal::Stranger)
    }
}

/// The real name of what is at a path; where nothing is there yet, of the outermost
/// directory that would have to be made for it.
fn first_missing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut below = None;
    for at in path.ancestors() {
        if let Ok(real) = at.canonicalize() {
            return below.map_or(real.clone(), |name| real.join(name));
        }
        below = at.file_name();
    }
    path
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_not_there_yet_begins_with_the_first_that_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("a")).unwrap();
        symlink("a", top.join("link")).unwrap();
        for (path, first) in [
            ("a", "a"),
            ("a/b", "a/b"),
            ("a/b/c/d", "a/b"),
            ("link/b/c", "a/b"),
            ("b/c", "b"),
        ] {
            assert_eq!(first_missing(&top.join(path)), top.join(first), "{path}");
        }
    }
}
