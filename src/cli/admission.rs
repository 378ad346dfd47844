//! A grant, as it is told to a person and to a program: of somebody, or of whoever is invited.

use std::path::Path;

use crate::path::RemotePath;
use crate::trust::{Admission, Amount, Bearer, Grant, Invitation, Limit, Who, rights_words};

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

/// Tells a program of a grant, and how much of it is used where that is counted.
pub(super) fn tell(report: &mut Report, admission: &Admission, state: State, used: Option<Amount>) {
    if report.manner().format != Format::Json {
        return;
    }
    let key = match admission.who {
        Who::Key(key) => Some(key.to_string()),
        Who::Fingerprint(_) => None,
    };
    let line = Line::event("grant").text("key", key.as_deref()).text(
        "fingerprint",
        admission.who.fingerprint().to_string().as_str(),
    );
    let line = with_grant(line, &admission.root, &admission.grant, used).text(
        "status",
        match state {
            State::Holds => "holds",
            State::Expired => "expired",
            State::Revoked => "revoked",
        },
    );
    report.print(line);
}

/// A grant in a sentence, safe on any screen, with how much of it is used where that is
/// known.
pub(super) fn sentence(admission: &Admission, state: State, used: Option<Amount>) -> String {
    let fingerprint = admission.who.fingerprint().to_string();
    let who = match &admission.grant.name {
        Some(name) => format!("{} ({fingerprint})", escape::name(name)),
        None => fingerprint,
    };
    may(&who, (&admission.root, &admission.grant), state, used)
}

/// Tells a program of an invitation, without its secret.
pub(super) fn tell_invitation(
    report: &mut Report,
    invitation: &Invitation,
    state: State,
    used: Option<Amount>,
) {
    if report.manner().format == Format::Json {
        report.print(invitation_event(invitation, state, used));
    }
}

/// The same, as a line that can go on.
pub(super) fn invitation_event(
    invitation: &Invitation,
    state: State,
    used: Option<Amount>,
) -> Line {
    let (bound, standing) = match invitation.bearer {
        Bearer::Any => (None, "open"),
        Bearer::First => (None, "unused"),
        Bearer::Only(print) => (Some(print.to_string()), "bound"),
    };
    let line = Line::event("invitation").text("id", invitation.id.to_string().as_str());
    let line = with_grant(line, &invitation.root, &invitation.grant, used);
    line.text("bound", bound.as_deref()).text(
        "status",
        match state {
            State::Holds => standing,
            State::Expired => "expired",
            State::Revoked => "revoked",
        },
    )
}

/// An invitation in a sentence, safe on any screen.
pub(super) fn invitation_sentence(
    invitation: &Invitation,
    state: State,
    used: Option<Amount>,
) -> String {
    let id = invitation.id;
    let who = match &invitation.grant.name {
        Some(name) => format!("{} (invitation {id})", escape::name(name)),
        None => format!("whoever has invitation {id}"),
    };
    let text = may(&who, (&invitation.root, &invitation.grant), state, used);
    match invitation.bearer {
        _ if state == State::Revoked => text,
        Bearer::Any => text,
        Bearer::First => format!("{text}, for one key, unused"),
        Bearer::Only(print) => format!("{text}, bound to {print}"),
    }
}

fn with_grant(line: Line, root: &Path, grant: &Grant, used: Option<Amount>) -> Line {
    let used = used.filter(|_| grant.limit().is_some());
    let expires = grant.expires.map(|end| end.to_string());
    line.text("name", grant.name.as_deref())
        .text("root", &*root.to_string_lossy())
        .text("rights", rights_words(grant.rights).join(",").as_str())
        .text("under", grant.under.as_ref().map(RemotePath::as_str))
        .number("max_bytes", grant.max_bytes)
        .number("max_files", grant.max_files)
        .number("used_bytes", used.map(|used| used.bytes))
        .number("used_files", used.map(|used| used.files))
        .text("expires", expires.as_deref())
}

/// Who may do what, where, with how much and until when.
fn may(who: &str, (root, grant): (&Path, &Grant), state: State, used: Option<Amount>) -> String {
    let may = if state == State::Revoked {
        "may no longer"
    } else {
        "may"
    };
    let words = rights_words(grant.rights.in_force());
    let words = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    };
    let root = escape::path(root);
    let mut parts = vec![format!("{who} {may} {words} in {root}")];
    if state == State::Revoked {
        return parts.concat();
    }
    let under = grant.under.as_ref().map(RemotePath::as_str);
    parts.extend(under.map(|under| format!("under {}", escape::name(under))));
    parts.extend(grant.limit().map(|limit| at_most(limit, used)));
    let mark = if state == State::Expired {
        " (expired)"
    } else {
        ""
    };
    parts.extend(grant.expires.map(|end| format!("until {end}{mark}")));
    parts.join(", ")
}

fn at_most(limit: Limit, used: Option<Amount>) -> String {
    let said = |bytes: Option<u64>, files: Option<u64>| {
        let both = [bytes.map(quantity::bytes), files.map(quantity::files)];
        both.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    };
    let most = said(limit.bytes, limit.files);
    let Some(used) = used else {
        return format!("at most {most}");
    };
    let bytes = limit.bytes.map(|_| used.bytes);
    let files = limit.files.map(|_| used.files);
    format!("at most {most} ({} used)", said(bytes, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(line: &str, state: State, said: &str) {
        says_used(line, state, None, said);
    }

    #[track_caller]
    fn says_used(line: &str, state: State, used: Option<(u64, u64)>, said: &str) {
        let fingerprint = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        let line = format!("{fingerprint} {line}");
        let admission = Admission::parse(&line).unwrap().unwrap();
        let said = said.replace("SHA", fingerprint);
        let used = used.map(|(bytes, files)| Amount { bytes, files });
        assert_eq!(sentence(&admission, state, used), said);
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

    #[track_caller]
    fn invites(line: &str, state: State, said: &str) {
        let hash = "5".repeat(64);
        let line = line.replace("HASH", &format!("3f9a01bc hash={hash}"));
        let print = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        let invitation = Invitation::parse(&line.replace("SHA", print));
        let said = said.replace("SHA", print);
        let invitation = invitation.unwrap().unwrap();
        assert_eq!(invitation_sentence(&invitation, state, None), said);
        assert!(
            !invitation_event(&invitation, state, None)
                .end()
                .contains(&hash)
        );
    }

    #[test]
    fn an_invitation_says_who_can_still_come_by_it() {
        invites(
            "HASH root=/a rights=read name=\"a b\"",
            State::Holds,
            "a b (invitation 3f9a01bc) may read in /a",
        );
        invites(
            "HASH once root=/a rights=read,write under=in expires=2025-11-22",
            State::Holds,
            "whoever has invitation 3f9a01bc may read and write in /a, under in, \
             until 2025-11-23T00:00:00Z, for one key, unused",
        );
        invites(
            "HASH bound=SHA root=/a rights=write expires=2025-11-22",
            State::Expired,
            "whoever has invitation 3f9a01bc may write in /a, \
             until 2025-11-23T00:00:00Z (expired), bound to SHA",
        );
        invites(
            "HASH bound=SHA root=/a rights=write",
            State::Revoked,
            "whoever has invitation 3f9a01bc may no longer write in /a",
        );
    }

    #[test]
    fn what_is_used_stands_beside_what_may_be() {
        for (limits, used, said) in [
            (
                "max-bytes=3GiB max-files=7",
                (5 << 20, 1),
                "3.0 GiB and 7 files (5.0 MiB and 1 file used)",
            ),
            ("max-bytes=3GiB", (0, 1), "3.0 GiB (0 B used)"),
            ("max-files=7", (9, 0), "7 files (0 files used)"),
        ] {
            let line = format!("root=/a rights=read {limits}");
            let said = format!("SHA may read in /a, at most {said}");
            says_used(&line, State::Holds, Some(used), &said);
        }
    }

    #[test]
    fn what_comes_to_nothing_is_not_said() {
        for rights in [
            "write",
            "write,replace",
            "write,replace,delete",
            "write,delete",
        ] {
            let line = format!("root=/a rights={rights}");
            says(&line, State::Holds, "SHA may write in /a");
        }
        says(
            "root=/a rights=delete",
            State::Holds,
            "SHA may delete in /a",
        );
    }
}
