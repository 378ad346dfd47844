//! `haul access [--root DIR]`
//!
//! What is listed is what a server makes of the files: what has expired by the latest time
//! that was seen is marked, and what is broken is an error, as it admits nobody.

use std::path::Path;

use crate::code::Code;
use crate::trust::{AccessFile, Account, Error, Grant, InvitationFile, LatestTime, Places};
use crate::trust::{UsageFile, Used};
use crate::utc::Utc;

use super::admission::{State, invitation_sentence, sentence, tell, tell_invitation};
use super::escape;
use super::places;
use super::report::Report;

/// How far the clock may be behind the latest time without a word, in seconds.
const UNEVEN: i64 = 60;

pub(super) fn run(root: Option<&Path>, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let places = places::of_user()?;
    let (file, guests) = (AccessFile::new(&places), InvitationFile::new(&places));
    let (mut read, mut invited) = (file.read()?, guests.read()?);
    let mut codes = Vec::new();
    let is_meant = |named: &Path| root.is_none_or(|root| root == named);
    read.holding.retain(|one| is_meant(&one.root));
    invited.holding.retain(|one| is_meant(&one.root));
    let authorized = read.holding.iter().map(|one| &one.grant);
    let grants = authorized.chain(invited.holding.iter().map(|one| &one.grant));
    let is_empty = grants.clone().next().is_none();
    let now = if grants.clone().any(|grant| grant.expires.is_some()) {
        time(&places, report, &mut codes)
    } else {
        Utc::now()
    };
    let counted = counted(&places, grants, report, &mut codes);
    let used = |account: Account, root: &Path| {
        let used = counted.as_ref()?.get(&(account, root.to_owned()));
        Some(used.copied().unwrap_or_default())
    };
    let state = |grant: &Grant| {
        if grant.expires.is_some_and(|end| end <= now) {
            State::Expired
        } else {
            State::Holds
        }
    };
    for admission in &read.holding {
        let state = state(&admission.grant);
        let used = used(Account::from(admission), &admission.root);
        tell(report, admission, state, used);
        report.data(&sentence(admission, state, used));
    }
    for invitation in &invited.holding {
        let state = state(&invitation.grant);
        let used = used(Account::from(invitation), &invitation.root);
        tell_invitation(report, invitation, state, used);
        report.data(&invitation_sentence(invitation, state, used));
    }
    let broken = read.broken.into_iter().map(|broken| (file.path(), broken));
    let invited = invited.broken.into_iter();
    let broken = broken.chain(invited.map(|broken| (guests.path(), broken)));
    for (path, (line, why)) in broken {
        let error = anyhow::Error::from(Error::Line { path, line, why });
        codes.push(report.refused(&error.context("this admits nobody")));
    }
    if is_empty {
        let place = root.map_or(String::new(), |root| format!(" to {}", escape::path(root)));
        report.notice(&format!(
            "nobody but the user who serves it is admitted{place}"
        ));
    }
    Ok(Code::of_all(codes))
}

/// What was stored by those who may store at most so much, where that can be told.
fn counted<'g>(
    places: &Places,
    mut meant: impl Iterator<Item = &'g Grant>,
    report: &mut Report,
    codes: &mut Vec<Code>,
) -> Option<Used> {
    if !meant.any(|grant| grant.limit().is_some()) {
        return None;
    }
    match UsageFile::new(places).read() {
        Ok(used) => Some(used),
        Err(error) => {
            let error = anyhow::Error::from(error);
            let consequence = "whoever may store at most so much can store nothing";
            codes.push(report.refused(&error.context(consequence)));
            None
        }
    }
}

/// The time by which a server judges what has expired.
fn time(places: &Places, report: &mut Report, codes: &mut Vec<Code>) -> Utc {
    let now = Utc::now();
    let mut latest = LatestTime::new(places);
    match latest.see(now) {
        Ok(seen) => {
            if now.plus(UNEVEN) < seen {
                let path = latest.path();
                report.notice(&format!(
                    "the clock was at {seen} once, and by that it is judged what has expired: \
                     if it was wrong then, remove {}",
                    escape::path(&path)
                ));
            }
            seen
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            codes.push(report.refused(&error.context("nobody is admitted for a time")));
            Utc::from_seconds(i64::MAX)
        }
    }
}
