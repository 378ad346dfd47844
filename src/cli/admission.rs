//! A grant, as it is told to a person and to a program.

use crate::path::RemotePath;
use crate::trust::{Admission, Who, rights_words};

use super::escape;
use super::json::Line;
use super::quantity;
use super::report::Report;
use super::settings::Format;

/// What there is to say of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is good.
    Holds,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

/// Tells a program of a grant.
pub(super) fn tell(report: &mut Report, admission: &Admission, state: State) {
    if report.manner().format != Format::Json {
        return;
    }
    let grant = &admission.grant;
    let key = match admission.who {
        Who::Key(key) => Some(key.to_string()),
        Who::Fingerprint(_) => None,
    };
    let expires = grant.expires.map(|end| end.to_string());
    let line = Line::event("grant")
        .text("key", key.as_deref())
        .text(
            "fingerprint",
            admission.who.fingerprint().to_string().as_str(),
        )
        .text("name", grant.name.as_deref())
        .text("root", &*admission.root.to_string_lossy())
        .text("rights", rights_words(grant.rights).join(",").as_str())
        .text("under", grant.under.as_ref().map(RemotePath::as_str))
        .number("max_bytes", grant.max_bytes)
        .number("max_files", grant.max_files)
        .text("expires", expires.as_deref())
        .text(
            "status",
            match state {
                State::Holds => "holds",
                State::Expired => "expired",
                State::Revoked => "revoked",
            },
        );
    report.print(line);
}

/// A grant in a sentence, safe on any screen.
pub(super) fn sentence(admission: &Admission, state: State) -> String {
    let grant = &admission.grant;
    let may = if state == State::Revoked {
        "may no longer"
    } else {
        "may"
    };
    let words = rights_words(grant.rights);
    let words = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    };
    let who = who(admission);
    let root = escape::path(&admission.root);
    let mut parts = vec![format!("{who} {may} {words} in {root}")];
    if state == State::Revoked {
        return parts.concat();
    }
    let under = grant.under.as_ref().map(RemotePath::as_str);
    parts.extend(under.map(|under| format!("under {}", escape::name(under))));
    let limits = [
        grant.max_bytes.map(quantity::bytes),
        grant.max_files.map(quantity::files),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if !limits.is_empty() {
        parts.push(format!("at most {}", limits.join(" and ")));
    }
    let mark = if state == State::Expired {
        " (expired)"
    } else {
        ""
    };
    parts.extend(grant.expires.map(|end| format!("until {end}{mark}")));
    parts.join(", ")
}

fn who(admission: &Admission) -> String {
    let fingerprint = admission.who.fingerprint();
    match &admission.grant.name {
        Some(name) => format!("{} ({fingerprint})", escape::name(name)),
        None => fingerprint.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(line: &str, state: State, said: &str) {
        let fingerprint = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        let line = format!("{fingerprint} {line}");
        let admission = Admission::parse(&line).unwrap().unwrap();
        let said = said.replace("SHA", fingerprint);
        assert_eq!(sentence(&admission, state), said);
    }

    #[test]
    fn a_grant_is_a_sentence_that_acts_on_no_screen() {
        says("root=/a rights=read", State::Holds, "SHA may read in /a");
        says(
            "root=\"/a\\x1b b\" rights=write,read name=anna under=in",
            State::Holds,
            "anna (SHA) may read and write in \"/a\\u{1b} b\", under in",
        );
        says(
            "root=/a rights=read,write,delete max-bytes=3GiB max-files=1 expires=2025-11-22",
            State::Expired,
            "SHA may read, write and delete in /a, at most 3.0 GiB and 1 file, \
             until 2025-11-23T00:00:00Z (expired)",
        );
        says(
            "root=/a rights=read under=b expires=2025-11-22",
            State::Revoked,
            "SHA may no longer read in /a",
        );
    }
}
