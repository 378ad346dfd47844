//! `haul sum REMOTE...`
//!
//! What is printed is what `b3sum` and `sha256sum` print of the same files, so that either
//! can check a copy against it: `haul sum nas/photos | b3sum -c` in the copy.

use crate::client::{Error, Listing};
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::{Entry, Recorded, Touched};
use crate::path::RemotePath;

use super::errand::{Errands, Unanswered, each};
use super::escape;
use super::failure::code_of;
use super::ls::tell_gaps;
use super::output;
use super::report::Report;
use super::settings::Format;
use super::tree_settings::Sum;

pub(super) fn run(
    sum: &Sum,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    each(&sum.targets, report, |target, report| {
        let path = target.path.as_ref();
        let mut codes = Vec::new();
        let client = errands.client(&target.peer, 1)?;
        let mut is_begun = false;
        let ask = |report: &mut Report| {
            let rest = client.sum(path, sum.algorithm, |entry, checksum| {
                is_begun = true;
                codes.extend(tell(report, (entry, checksum), path));
            });
            // Asked again in the middle, the server would read once more what is told.
            let unanswered = if is_begun {
                Unanswered::told
            } else {
                Unanswered::harmless
            };
            rest.map_err(unanswered)
        };
        let rest = match errands.ask(&client, report, ask) {
            Err(error) if !is_begun => return Err(error),
            rest => rest,
        };
        codes.extend(tell_rest(rest, report)?);
        Ok(Code::of_all(codes))
    })
}

/// Tells of what was not found out, and returns its code: what was found counts all the same.
pub(super) fn tell_rest(
    rest: anyhow::Result<Listing>,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    let error = match rest {
        Ok(rest) => tell_gaps(&rest, report),
        Err(error) if code_of(&error) == Code::Interrupted => return Err(error),
        Err(error) => Some(error),
    };
    Ok(error.map(|error| report.refused(&error)))
}

/// Tells of one file, and returns its code where it has no checksum.
fn tell(
    report: &mut Report,
    (entry, checksum): (Entry, Result<Checksum, Error>),
    asked: Option<&RemotePath>,
) -> Option<Code> {
    let code = match checksum {
        Ok(checksum) if report.manner().format == Format::Json => {
            report.entry(&Entry {
                // It was read a moment ago.
                checksum: Some(Recorded {
                    checksum,
                    touched: Touched::Never,
                }),
                ..entry
            });
            None
        }
        Ok(checksum) => {
            let is_shown = report.escaped;
            report.data(&line(checksum, relative(&entry.path, asked), is_shown));
            None
        }
        Err(error) => {
            let text = error.to_string();
            if let Some(line) = report.failed(entry.path.as_str(), error.code(), &text) {
                output::say(&line);
            }
            Some(error.code())
        }
    };
    // A large file takes its time, and whoever waits is to see what there is.
    report.flush();
    code
}

/// A name as it is seen from what was asked for: of a single file the last component.
pub(super) fn relative<'p>(path: &'p RemotePath, asked: Option<&RemotePath>) -> &'p str {
    let beneath = asked.map_or(Some(path.as_str()), |asked| {
        let rest = path.as_str().strip_prefix(asked.as_str())?;
        rest.strip_prefix('/')
    });
    beneath.unwrap_or(path.name())
}

fn line(checksum: Checksum, name: &str, is_shown: bool) -> String {
    let hex = checksum.to_hex();
    match escape::checked(name) {
        // What would act on a screen no checking program has to read.
        _ if is_shown => format!("{hex}  {}", escape::name(name)),
        None => format!("{hex}  {name}"),
        Some(escaped) => format!("\\{hex}  {escaped}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_seen(path: &str, asked: Option<&str>, as_name: &str) {
        let asked = asked.map(|asked| RemotePath::parse(asked).unwrap());
        let path = RemotePath::parse(path).unwrap();
        assert_eq!(relative(&path, asked.as_ref()), as_name);
    }

    #[test]
    fn names_begin_where_the_argument_ends() {
        is_seen("a/b/c", None, "a/b/c");
        is_seen("a/b/c", Some("a"), "b/c");
        is_seen("a/b/c", Some("a/b"), "c");
        is_seen("a/b/c", Some("a/b/c"), "c");
    }

    #[test]
    fn a_line_is_what_a_checking_program_reads_and_on_a_screen_what_a_person_can() {
        let sum = Checksum::Blake3([0x11; 32]);
        let hex = "11".repeat(32);
        for (name, read, seen) in [
            ("a b", "a b", "a b"),
            ("a\nb", "a\\nb", "\"a\\nb\""),
            ("\u{1b}", "\u{1b}", "\"\\u{1b}\""),
        ] {
            let mark = if name.contains('\n') { "\\" } else { "" };
            assert_eq!(line(sum, name, false), format!("{mark}{hex}  {read}"));
            assert_eq!(line(sum, name, true), format!("{hex}  {seen}"));
        }
    }
}
