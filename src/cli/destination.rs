//! Where things go: spelling decides, never what happens to exist.
//!
//! A second run, and later a resume, must find the place of the first. So `nas/a` is
//! always exactly that name and `nas/a/` always into that directory, whatever is there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::path::{PathError, RemotePath};

use super::escape;
use super::failure::usage;
use super::remote::{Ending, Remote};

/// A destination, beneath whatever root it was typed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into this directory, or the root, under the source's name.
    Into(Option<RemotePath>),
    /// Under exactly this name.
    Exactly(RemotePath),
}

/// A destination on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LocalPlace {
    /// The directory that is downloaded into.
    pub(super) base: PathBuf,
    /// The place beneath it.
    pub(super) place: Place,
}

impl Place {
    /// Takes a remote address for a destination.
    pub(super) fn remote(remote: &Remote) -> Self {
        match (&remote.path, remote.ending) {
            (Some(path), Ending::Name) => Self::Exactly(path.clone()),
            (path, _) => Self::Into(path.clone()),
        }
    }

    /// Gives each source, by its last component, its name at the destination, or says
    /// why that one cannot be used. What is in a source without a name goes into the
    /// destination itself.
    ///
    /// # Errors
    ///
    /// Where several would become one.
    pub(super) fn targets(&self, names: &[Option<&OsStr>]) -> anyhow::Result<Vec<Target>> {
        let directory = match self {
            Self::Exactly(path) if names.len() == 1 => return Ok(vec![Ok(Some(path.clone()))]),
            Self::Exactly(path) => {
                return Err(usage(format!(
                    "several sources need a directory to go into: write {}/",
                    escape::name(path.as_str())
                )));
            }
            Self::Into(directory) => directory.as_ref(),
        };
        let beneath = |name: Option<&OsStr>| {
            let Some(name) = name else {
                return Ok(directory.cloned());
            };
            let name = RemotePath::from_local(name)?;
            RemotePath::beneath(directory, name.as_str()).map(Some)
        };
        let targets: Vec<Target> = names.iter().copied().map(beneath).collect();
        let mut taken = HashSet::new();
        match targets.iter().flatten().find(|path| !taken.insert(*path)) {
            None => Ok(targets),
            Some(twice) => Err(usage(format!(
                "two of the sources would become {}",
                twice
                    .as_ref()
                    .map_or("the root".into(), |path| escape::name(path.as_str()))
            ))),
        }
    }
}

/// A name at the destination, where `None` is its root, or why there is none.
pub(super) type Target = Result<Option<RemotePath>, PathError>;

impl LocalPlace {
    /// Reads a local path as a destination.
    ///
    /// # Errors
    ///
    /// Where it is a name that no file can be given.
    pub(super) fn parse(path: &Path) -> Result<Self, PathError> {
        match exact_name(path) {
            None => Ok(Self {
                base: path.to_owned(),
                place: Place::Into(None),
            }),
            Some(name) => {
                let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
                Ok(Self {
                    base: parent.unwrap_or(".".as_ref()).to_owned(),
                    place: Place::Exactly(RemotePath::from_local(name)?),
                })
            }
        }
    }
}

/// The last component of a source; a trailing slash changes nothing. `.`, `..` and
/// `/` have none: what is in them would go.
pub(super) fn name_of(source: &Path) -> Option<&OsStr> {
    if source.as_os_str().as_bytes().ends_with(b"/.") {
        // The standard library would not see the dot.
        return None;
    }
    match source.components().next_back()? {
        Component::Normal(name) => Some(name),
        _ => None,
    }
}

/// The name that a destination spells out, where it does.
fn exact_name(path: &Path) -> Option<&OsStr> {
    let means_into = path.as_os_str().as_bytes().ends_with(b"/");
    name_of(path).filter(|_| !means_into)
}

#[cfg(test)]
mod tests {
    use super::super::failure::code_of;
    use super::super::links::Secrets;
    use super::*;
    use crate::code::Code;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text).unwrap()
    }

    #[track_caller]
    fn goes(to: &str, target: &str) {
        let place = Place::remote(&Remote::parse(to, None, &Secrets::default()).unwrap());
        let targets = place.targets(&[Some("x".as_ref())]).unwrap();
        assert_eq!(targets, [Ok(Some(path(target)))], "{to}");
    }

    #[track_caller]
    fn lands(to: &str, base: &str, place: &Place) {
        let local = LocalPlace::parse(to.as_ref()).unwrap();
        assert_eq!((local.base, &local.place), (base.into(), place), "{to}");
    }

    #[track_caller]
    fn is_named(source: &str, name: Option<&str>) {
        assert_eq!(name_of(source.as_ref()), name.map(OsStr::new), "{source}");
    }

    #[test]
    fn a_bare_host_a_dot_and_a_slash_mean_into() {
        goes("nas", "x");
        goes("nas/", "x");
        goes("nas/.", "x");
        goes("nas/a/", "a/x");
        goes("nas/a/.", "a/x");
    }

    #[test]
    fn anything_else_is_exactly_that_name() {
        goes("nas/a", "a");
        goes("nas/a/b", "a/b");
    }

    #[test]
    fn local_destinations_follow_the_same_spelling() {
        lands(".", ".", &Place::Into(None));
        lands("out/", "out/", &Place::Into(None));
        lands("out/.", "out/.", &Place::Into(None));
        lands("..", "..", &Place::Into(None));
        lands("/", "/", &Place::Into(None));
        lands("out", ".", &Place::Exactly(path("out")));
        lands("a/out", "a", &Place::Exactly(path("out")));
        lands("/out", "/", &Place::Exactly(path("out")));
    }

    #[test]
    fn a_source_is_named_by_its_last_component() {
        is_named("a/b", Some("b"));
        is_named("a/b/", Some("b"));
        is_named("b", Some("b"));
        is_named(".", None);
        is_named("a/.", None);
        is_named("..", None);
        is_named("/", None);
    }

    #[test]
    fn several_sources_need_a_directory() {
        let names = ["x", "y"].map(|name| Some(OsStr::new(name)));
        let error = Place::Exactly(path("a")).targets(&names).unwrap_err();
        assert_eq!(code_of(&error), Code::Usage);
        assert!(error.to_string().ends_with("write a/"));
        let into = Place::Into(Some(path("a"))).targets(&names).unwrap();
        assert_eq!(into, [Ok(Some(path("a/x"))), Ok(Some(path("a/y")))]);
    }

    #[test]
    fn two_sources_for_one_target_are_refused() {
        let names = ["x", "y", "x"].map(|name| Some(OsStr::new(name)));
        let error = Place::Into(None).targets(&names).unwrap_err();
        assert_eq!(code_of(&error), Code::Usage);
        let error = Place::Into(None).targets(&[None, None]).unwrap_err();
        assert_eq!(code_of(&error), Code::Usage);
    }

    #[test]
    fn what_has_no_name_goes_into_the_destination_itself() {
        let into = Place::Into(Some(path("a"))).targets(&[None]).unwrap();
        assert_eq!(into, [Ok(Some(path("a")))]);
        assert_eq!(Place::Into(None).targets(&[None]).unwrap(), [Ok(None)]);
        let exactly = Place::Exactly(path("b")).targets(&[None]).unwrap();
        assert_eq!(exactly, [Ok(Some(path("b")))]);
    }

    #[test]
    fn one_unusable_name_is_no_obstacle_to_the_others() {
        let names = [OsStr::from_bytes(b"\xff"), ".haul".as_ref(), "x".as_ref()].map(Some);
        let targets = Place::Into(None).targets(&names).unwrap();
        let expected = [
            Err(PathError::NotUtf8),
            Err(PathError::Reserved),
            Ok(Some(path("x"))),
        ];
        assert_eq!(targets, expected);
    }
}
