//! `haul access [--root DIR]`
//!
//! What is listed is what a server makes of the file: what has expired by the latest time
//! that was seen is marked, and what is broken is an error, as it admits nobody.

use std::path::Path;

use crate::code::Code;
use crate::trust::{AccessFile, Account, Admission, Error, LatestTime, Places, UsageFile, Used};
use crate::utc::Utc;

use super::admission::{State, sentence, tell};
use super::escape;
use super::places;
use super::report::Report;

/// How far the clock may be behind the latest time without a word, in seconds.
const UNEVEN: i64 = 60;

pub(super) fn run(root: Option<&Path>, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let places = places::of_user()?;
    let file = AccessFile::new(&places);
    let read = file.read()?;
    let mut codes = Vec::new();
    let mut listed = 0;
    let is_meant = |named: &Path| root.is_none_or(|root| root == named);
    let meant: Vec<_> = read.holding.iter().filter(|a| is_meant(&a.root)).collect();
    let ends = meant
        .iter()
        .any(|admission| admission.grant.expires.is_some());
    let now = if ends {
        time(&places, report, &mut codes)
    } else {
        Utc::now()
    };
    let counted = used(&places, &meant, report, &mut codes);
    for admission in meant {
        let is_over = admission.grant.expires.is_some_and(|end| end <= now);
        let state = if is_over {
            State::Expired
        } else {
            State::Holds
        };
        let of = |used: &Used| {
            let account = Account::Key(admission.who.fingerprint());
            let used = used.get(&(account, admission.root.clone()));
            used.copied().unwrap_or_default()
        };
        let used = counted.as_ref().map(of);
        tell(report, admission, state, used);
        report.data(&sentence(admission, state, used));
        listed += 1;
    }
    for (line, why) in read.broken {
        let path = file.path();
        let error = anyhow::Error::from(Error::Line { path, line, why });
        codes.push(report.refused(&error.context("this admits nobody")));
    }
    if listed == 0 {
        let place = root.map_or(String::new(), |root| format!(" to {}", escape::path(root)));
        report.notice(&format!(
            "nobody but the user who serves it is admitted{place}"
        ));
    }
    Ok(Code::of_all(codes))
}

/// What was stored by those who may store at most so much, where that can be told.
fn used(
    places: &Places,
    meant: &[&Admission],
    report: &mut Report,
    codes: &mut Vec<Code>,
) -> Option<Used> {
    if !meant.iter().any(|one| one.grant.limit().is_some()) {
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
