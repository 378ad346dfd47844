//! How much somebody may store, and what is counted of it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::{User, edit, new_key};
use crate::trust::{Account, Amount, Ledger, Limit, Quota, Refusal, UsageFile};

const ROOT: &str = "/srv/a";

const fn amount(bytes: u64, files: u64) -> Amount {
    Amount { bytes, files }
}

fn limit(bytes: Option<u64>, files: Option<u64>) -> Limit {
    Limit { bytes, files }
}

fn somebody() -> Account {
    Account::Key(new_key().fingerprint())
}

impl User {
    fn ledger(&self) -> Arc<Ledger> {
        Arc::new(Ledger::new(&self.places, ROOT.into()))
    }

    fn used(&self, account: &Account) -> Amount {
        let used = UsageFile::new(&self.places).read().unwrap();
        let about = (account.clone(), PathBuf::from(ROOT));
        used.get(&about).copied().unwrap_or_default()
    }

    fn counts(&self) -> PathBuf {
        UsageFile::new(&self.places).path()
    }
}

/// What is taken at once of a quota, each piece a file.
#[track_caller]
fn takes(limit: Limit, bytes: &[u64], taken: &[bool]) {
    let user = User::new();
    let quota = Quota::new(&user.ledger(), somebody(), limit);
    let amounts: Vec<Amount> = bytes.iter().map(|bytes| amount(*bytes, 1)).collect();
    let held: Vec<bool> = quota.hold(&amounts).iter().map(Result::is_ok).collect();
    assert_eq!(held, taken, "held of {limit:?}");
    let entries: Vec<_> = amounts.iter().map(|amount| (*amount, None)).collect();
    let charged: Vec<bool> = quota.charge(&entries).iter().map(Result::is_ok).collect();
    assert_eq!(charged, taken, "charged of {limit:?}");
}

#[test]
fn what_fits_is_taken_and_what_does_not_is_left_beside_it() {
    takes(limit(Some(10), None), &[10], &[true]);
    takes(limit(Some(10), None), &[11], &[false]);
    takes(
        limit(Some(10), None),
        &[6, 5, 4, 0, 1],
        &[true, false, true, true, false],
    );
    takes(
        limit(None, Some(2)),
        &[u64::MAX, u64::MAX, 0],
        &[true, true, false],
    );
    takes(limit(Some(10), Some(1)), &[11, 1, 1], &[false, true, false]);
    takes(limit(Some(u64::MAX - 1), None), &[u64::MAX], &[false]);
    takes(limit(None, None), &[u64::MAX, u64::MAX], &[true, true]);
}

#[test]
fn what_is_refused_says_what_is_left() {
    let user = User::new();
    let quota = Quota::new(&user.ledger(), somebody(), limit(Some(10), Some(7)));
    assert_eq!(quota.charge(&[(amount(4, 1), None)]), [Ok(())]);
    let left = Refusal::Over(limit(Some(6), Some(6)));
    assert_eq!(quota.charge(&[(amount(7, 1), None)]), [Err(left)]);
    let held = quota.hold(&[amount(3, 1), amount(4, 1)]);
    let left = Refusal::Over(limit(Some(3), Some(5)));
    assert_eq!(held[1].as_ref().err(), Some(&left));
}

#[test]
fn what_is_on_its_way_counts_until_it_is_given_up_and_then_as_stored_or_not_at_all() {
    let user = User::new();
    let (ledger, account) = (user.ledger(), somebody());
    let quota = Quota::new(&ledger, account.clone(), limit(Some(10), None));
    let fits = |bytes| quota.hold(&[amount(bytes, 1)])[0].is_ok();
    let mut held = quota.hold(&[amount(4, 1), amount(4, 1)]);
    assert!(!fits(3) && fits(2));
    // Nothing is written before it is to be stored.
    assert_eq!(user.used(&account), Amount::default());
    drop(held.pop());
    assert!(!fits(7) && fits(6));
    let last = held.pop().unwrap().unwrap();
    assert_eq!(quota.charge(&[(amount(4, 1), Some(&last))]), [Ok(())]);
    assert_eq!(user.used(&account), amount(4, 1));
    assert!(!fits(7) && fits(6));
    drop(last);
    assert!(!fits(7) && fits(6));
    quota.give_back(amount(4, 1));
    assert_eq!(user.used(&account), Amount::default());
    assert!(fits(10));
}

#[test]
fn a_restart_remembers_what_was_counted_and_forgets_what_was_on_its_way() {
    let user = User::new();
    let account = somebody();
    let first = Quota::new(&user.ledger(), account.clone(), limit(None, Some(3)));
    let _held = first.hold(&[amount(1, 1)]);
    assert_eq!(first.charge(&[(amount(1, 1), None)]), [Ok(())]);
    let again = Quota::new(&user.ledger(), account, limit(None, Some(3)));
    assert!(
        again
            .hold(&[amount(0, 1), amount(0, 1)])
            .iter()
            .all(Result::is_ok)
    );
    let left = Refusal::Over(limit(None, Some(2)));
    assert_eq!(again.charge(&[(amount(0, 3), None)]), [Err(left)]);
}

#[test]
fn everyone_is_counted_by_themselves_and_in_each_root() {
    let user = User::new();
    let ledger = user.ledger();
    let elsewhere = Arc::new(Ledger::new(&user.places, "/srv/b c".into()));
    let (anna, guests) = (somebody(), Account::Invitation("a b#\"".to_owned()));
    let one = [(amount(3, 1), None)];
    let bound = limit(Some(5), None);
    for (ledger, account) in [(&ledger, &anna), (&ledger, &guests), (&elsewhere, &anna)] {
        let quota = Quota::new(ledger, account.clone(), bound);
        assert_eq!(quota.charge(&one), [Ok(())]);
        assert!(quota.charge(&one)[0].is_err());
    }
    let file = UsageFile::new(&user.places);
    assert_eq!(file.read().unwrap().len(), 3);
    // A person may write there too.
    let text = fs::read_to_string(user.counts()).unwrap();
    edit(&user.counts(), &text.replacen('#', "# mine\n#", 1));
    file.forget(&[(anna.clone(), ROOT.into())]).unwrap();
    assert_eq!(user.used(&anna), Amount::default());
    assert_eq!(user.used(&guests), amount(3, 1));
    assert_eq!(file.read().unwrap().len(), 2);
    assert!(
        fs::read_to_string(user.counts())
            .unwrap()
            .starts_with("# mine\n")
    );
}

#[test]
fn what_was_never_counted_is_forgotten_without_a_trace() {
    let user = User::new();
    let file = UsageFile::new(&user.places);
    file.forget(&[(somebody(), ROOT.into())]).unwrap();
    assert!(!user.places.state().exists());
    let quota = Quota::new(&user.ledger(), somebody(), limit(None, Some(1)));
    // Nor does what comes to nothing leave one, however little is left.
    assert_eq!(quota.charge(&[(Amount::default(), None)]), [Ok(())]);
    quota.give_back(Amount::default());
    assert!(quota.hold(&[Amount::default()])[0].is_ok());
    assert!(!user.places.state().exists());
}

#[track_caller]
fn says_nothing_certain(text: &str, why: &str) {
    let user = User::new();
    let key = new_key().fingerprint();
    let line = format!("{key} root={ROOT} bytes=1 files=1\n");
    edit(
        &user.counts(),
        &(line + &text.replace("KEY", &key.to_string())),
    );
    let error = UsageFile::new(&user.places).read().unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
    let quota = Quota::new(&user.ledger(), somebody(), limit(None, Some(7)));
    let entries = [(amount(0, 1), None), (Amount::default(), None)];
    assert_eq!(quota.charge(&entries), [Err(Refusal::Unknown), Ok(())]);
    let held = quota.hold(&[amount(0, 1)]);
    assert_eq!(held[0].as_ref().err(), Some(&Refusal::Unknown));
}

#[test]
fn where_anything_is_uncertain_nobody_with_a_limit_stores_anything() {
    says_nothing_certain("nobody root=/a bytes=1 files=1\n", "line 2: a fingerprint");
    says_nothing_certain("KEY bytes=1 files=1\n", "line 2: root= is missing");
    says_nothing_certain("KEY root=a bytes=1 files=1\n", "root= takes");
    says_nothing_certain("KEY root=/a bytes=1\n", "files= is missing");
    says_nothing_certain("KEY root=/a bytes=+1 files=1\n", "bytes= takes");
    says_nothing_certain("KEY root=/a bytes=1 files=1 files=2\n", "there twice");
    says_nothing_certain("KEY root=/a bytes=1 files=1 days=2\n", "\"days=2\" is no");
    says_nothing_certain("KEY root=/srv/a bytes=1 files=0\n", "line 2: a line above");
    says_nothing_certain("KEY root=/a bytes=1 files=1", "cut off");
}

#[test]
fn what_cannot_be_written_down_is_not_stored() {
    let user = User::new();
    let account = somebody();
    let quota = Quota::new(&user.ledger(), account.clone(), limit(None, Some(7)));
    assert_eq!(quota.charge(&[(amount(1, 1), None)]), [Ok(())]);
    // Not even root can open a directory to lock it.
    let lock = user.counts().with_file_name(".lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    assert_eq!(
        quota.charge(&[(amount(1, 1), None)]),
        [Err(Refusal::Unknown)]
    );
    quota.give_back(amount(1, 1));
    fs::remove_dir(&lock).unwrap();
    assert_eq!(user.used(&account), amount(1, 1));
}

#[test]
fn many_at_once_never_have_more_than_all_of_it() {
    let user = User::new();
    let (ledger, account) = (user.ledger(), somebody());
    let store = |quota: &Quota, at: u64| {
        let mut stored = 0;
        for n in 0..12 {
            let piece = amount(1, 1);
            let hold = quota.hold(&[piece]).pop().unwrap().ok();
            let charged = hold
                .as_ref()
                .map(|hold| quota.charge(&[(piece, Some(hold))]));
            match charged.as_deref() {
                // Some of it fails, and is given back.
                Some([Ok(())]) if (n + at).is_multiple_of(3) => quota.give_back(piece),
                Some([Ok(())]) => stored += 1,
                // What was held is never refused.
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        stored
    };
    let stored: u64 = thread::scope(|scope| {
        let spawn = |at| {
            let quota = Quota::new(&ledger, account.clone(), limit(Some(20), None));
            let named = thread::Builder::new().name(format!("store-{at}"));
            named
                .spawn_scoped(scope, move || store(&quota, at))
                .unwrap()
        };
        let all: Vec<_> = (0..4).map(spawn).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(user.used(&account), amount(stored, stored));
    assert!((10..=20).contains(&stored), "{stored}");
}

proptest! {
    #[test]
    fn every_id_and_root_is_read_back(id in ".*", root in proptest::collection::vec(1..=255_u8, 0..30)) {
        let user = User::new();
        let root = Path::new("/").join(OsString::from_vec(root));
        prop_assume!(crate::trust::is_root(&root));
        let account = Account::Invitation(id);
        let ledger = Arc::new(Ledger::new(&user.places, root.clone()));
        let quota = Quota::new(&ledger, account.clone(), limit(Some(u64::MAX), None));
        let charged = quota.charge(&[(amount(u64::MAX, 1), None)]);
        prop_assert_eq!(charged, [Ok(())]);
        let used = UsageFile::new(&user.places).read().unwrap();
        prop_assert_eq!(used.get(&(account, root)), Some(&amount(u64::MAX, 1)));
    }
}
