//! `haul ls REMOTE`
//!
//! In a pipe names travel as they are, for the next program; on a terminal, where they
//! would act on the screen, they are escaped.

use std::borrow::Cow;

use crate::client::{Cancel, Error, Listing};
use crate::code::Code;
use crate::entry::{Entry, Kind};

use super::errand::{Errands, Unanswered};
use super::escape;
use super::failure::failure;
use super::quantity;
use super::report::Report;
use super::settings::{Depth, Detail, Format, Ls};

pub(super) fn run(ls: &Ls, errands: &Errands, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let client = errands.client(&ls.remote.peer, 1)?;
    let depth = match ls.depth {
        Depth::One => Some(1),
        Depth::Whole => None,
    };
    let path = ls.remote.path.as_ref();
    let ask = |_: &mut Report| client.list(path, depth).map_err(Unanswered::harmless);
    let listing = errands.ask(&client, report, ask)?;
    show(&listing, (ls.detail, ls.depth), errands.cancel(), report)
}

/// Shows what was listed.
pub(super) fn show(
    listing: &Listing,
    (detail, depth): (Detail, Depth),
    cancel: &Cancel,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    let style = Style::new((detail, depth), report.escaped, &listing.entries);
    for entry in &listing.entries {
        // A long listing is no less to be stopped for having been fetched already.
        if cancel.is_cancelled() {
            return Err(Error::Interrupted.into());
        }
        match report.manner().format {
            Format::Human => report.data(&style.line(entry)),
            Format::Json => report.entry(entry),
        }
    }
    report.flush();
    tell_gaps(listing, report).map_or(Ok(None), Err)
}

/// Says what a listing lacks on purpose; what it lacks because it could not be read is
/// an error.
pub(super) fn tell_gaps(listing: &Listing, report: &Report) -> Option<anyhow::Error> {
    if let Some(text) = left_out(listing) {
        report.notice(&text);
    }
    if listing.unreadable == 0 {
        return None;
    }
    let what = quantity::counted(
        listing.unreadable,
        "directory or entry",
        "directories or entries",
    );
    let text = format!("{what} could not be read there");
    Some(failure(Code::File, text))
}

/// What is there, and on purpose not listed.
fn left_out(listing: &Listing) -> Option<String> {
    let special = [
        "special file (FIFO, device or socket)",
        "special files (FIFOs, devices or sockets)",
    ];
    let unnamed = ["name that cannot be sent", "names that cannot be sent"];
    let kinds: Vec<String> = [(listing.special, special), (listing.unnamed, unnamed)]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, [one, many])| quantity::counted(count, one, many))
        .collect();
    (!kinds.is_empty()).then(|| format!("not listed: {}", kinds.join(", ")))
}

/// How entries are shown.
#[derive(Debug)]
struct Style {
    detail: Detail,
    depth: Depth,
    /// Whether names meet a person's eyes at once; in a pipe they travel as they are.
    escaped: bool,
    /// Columns that the longest size takes.
    size_width: usize,
}

impl Style {
    fn new((detail, depth): (Detail, Depth), escaped: bool, entries: &[Entry]) -> Self {
        let longest = entries.iter().map(Entry::size).max().unwrap_or(0);
        Self {
            detail,
            depth,
            escaped,
            size_width: longest.to_string().len(),
        }
    }

    fn line(&self, entry: &Entry) -> String {
        let name = match self.depth {
            Depth::One => entry.path.name(),
            Depth::Whole => entry.path.as_str(),
        };
        let mut name = self.text(name).into_owned();
        if entry.kind == Kind::Dir {
            name.push('/');
        }
        if self.detail == Detail::Name {
            return name;
        }
        if let Kind::Link(target) = &entry.kind {
            name = format!("{name} -> {}", self.text(target.as_str()));
        }
        format!(
            "{} {:>width$} {} {name}",
            mode(entry),
            entry.size(),
            entry.mtime.utc(),
            width = self.size_width,
        )
    }

    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.escaped {
            escape::name(text)
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// `-rw-r--r--`, as `ls` has it.
fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File(_) => '-',
        Kind::Dir => 'd',
        Kind::Link(_) => 'l',
    };
    let bits = entry.mode.bits();
    let bit = |at: u32, letter| {
        if bits >> (8 - at) & 1 == 1 {
            letter
        } else {
            '-'
        }
    };
    let permissions = (0..)
        .zip("rwxrwxrwx".chars())
        .map(|(at, letter)| bit(at, letter));
    std::iter::once(kind).chain(permissions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{LinkTarget, Mode, Mtime};
    use crate::path::RemotePath;

    fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
        Entry {
            path: RemotePath::parse(path).unwrap(),
            kind,
            mode: Mode::masked(mode),
            mtime: Mtime::new(1_763_813_045, 0).unwrap(),
            version: None,
            checksum: None,
        }
    }

    #[track_caller]
    fn check(entry: &Entry, style: &Style, line: &str) {
        assert_eq!(style.line(entry), line);
    }

    #[track_caller]
    fn leaves_out(special: u64, unnamed: u64, text: Option<&str>) {
        let listing = Listing {
            unnamed,
            special,
            ..Listing::default()
        };
        assert_eq!(left_out(&listing).as_deref(), text);
    }

    #[test]
    fn what_is_left_out_is_counted_by_kind() {
        leaves_out(0, 0, None);
        leaves_out(0, 1, Some("not listed: 1 name that cannot be sent"));
        leaves_out(
            1,
            0,
            Some("not listed: 1 special file (FIFO, device or socket)"),
        );
        leaves_out(
            2,
            3,
            Some(
                "not listed: 2 special files (FIFOs, devices or sockets), \
                 3 names that cannot be sent",
            ),
        );
    }

    #[test]
    fn a_line_is_a_name_or_everything() {
        let mut style = Style {
            detail: Detail::Name,
            depth: Depth::One,
            escaped: false,
            size_width: 4,
        };
        let file = entry("a/b\n", Kind::file(120).unwrap(), 0o644);
        let dir = entry("a/c", Kind::Dir, 0o750);
        let link = entry("a/d", Kind::Link(LinkTarget::new("../x").unwrap()), 0o777);
        check(&file, &style, "b\n");
        check(&dir, &style, "c/");
        style.escaped = true;
        style.depth = Depth::Whole;
        check(&file, &style, r#""a/b\n""#);
        check(&dir, &style, "a/c/");
        style.detail = Detail::Long;
        check(
            &file,
            &style,
            r#"-rw-r--r--  120 2025-11-22T12:04:05Z "a/b\n""#,
        );
        check(&dir, &style, "drwxr-x---    0 2025-11-22T12:04:05Z a/c/");
        check(
            &link,
            &style,
            "lrwxrwxrwx    0 2025-11-22T12:04:05Z a/d -> ../x",
        );
    }
}
