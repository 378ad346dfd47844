//! What was done to a file since it was stored is told from decay, whoever did it.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use haul::client::JobOptions;
use haul::fault::{Call, Fault};
use haul::server::Config;

use crate::decay::{Is, LARGE, MIB, decayed_in, is, puts, stored};
use crate::rig::{Rig, noise, put, remote};
use crate::rot::{age, changed_at, decay, flip, is_recorded_in_time, record};

#[test]
fn what_was_edited_in_place_is_no_decay() {
    let edit = |how: fn(&Path)| {
        let rig = stored();
        for name in ["large", "small"] {
            age(&rig.root().join(name));
            how(&rig.root().join(name));
            is(&rig, name, &Is::Edited);
        }
    };
    edit(|path| flip(path, &[3]));
    edit(|path| {
        flip(path, &[3]);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now()).unwrap();
    });
    edit(|path| fs::write(path, "something else").unwrap());
    edit(|path| fs::write(path, "").unwrap());
}

#[test]
fn what_was_only_touched_is_sound() {
    let rig = stored();
    let path = rig.root().join("large");
    age(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    is(&rig, "large", &Is::Sound);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    is(&rig, "large", &Is::Sound);
}

/// What is done to a file by haul moves its change time, and is no edit.
#[track_caller]
fn stays_a_decay(how: impl Fn(&Rig) -> &'static str) {
    let rig = stored();
    // The change of its time is what is later now, not its bytes.
    sleep(Duration::from_millis(120));
    let name = how(&rig);
    is(&rig, name, &Is::Sound);
    let path = rig.root().join(name);
    assert!(is_recorded_in_time(&path), "{}", record(&path));
    decay(&path, &[2 * MIB as u64]);
    is(&rig, name, &decayed_in(&[(2, 3)]));
}

#[test]
fn what_was_renamed_or_settled_still_decays() {
    stays_a_decay(|rig| {
        let (from, to) = (remote("large"), remote("moved"));
        rig.client(1).rename(&from, &to).unwrap();
        "moved"
    });
    stays_a_decay(|rig| {
        let source = rig.dir.path().join("source");
        fs::write(&source, noise(LARGE)).unwrap();
        let there = fs::metadata(rig.root().join("large")).unwrap();
        let file = fs::File::options().write(true).open(&source).unwrap();
        file.set_modified(there.modified().unwrap()).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
        put(
            &rig.client(1),
            &[(&source, "large")],
            &JobOptions::default(),
        )
        .is_fine();
        "large"
    });
    stays_a_decay(|rig| {
        let source = rig.dir.path().join("source");
        fs::write(&source, noise(LARGE)).unwrap();
        put(
            &rig.client(1),
            &[(&source, "large")],
            &JobOptions::default(),
        )
        .is_fine();
        "large"
    });
}

#[test]
fn nothing_that_haul_does_blesses_an_edit() {
    let rig = stored();
    let path = rig.root().join("large");
    age(&path);
    flip(&path, &[5]);
    let client = rig.client(1);
    client.rename(&remote("large"), &remote("moved")).unwrap();
    is(&rig, "moved", &Is::Edited);
    client.rename(&remote("moved"), &remote("large")).unwrap();
    // Size and time are those of what was stored: only the mode is set.
    let source = rig.dir.path().join("source");
    fs::write(&source, noise(LARGE)).unwrap();
    let settles = |mode: u32, modified: SystemTime, code: u8| {
        let file = fs::File::options().write(true).open(&source).unwrap();
        file.set_modified(modified).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(mode)).unwrap();
        let put = put(&client, &[(&source, "large")], &JobOptions::default());
        assert_eq!(put.code(), code, "{put:?}");
        is(&rig, "large", &Is::Edited);
    };
    settles(0o600, fs::metadata(&path).unwrap().modified().unwrap(), 0);
    // Another time has the bytes compared, and its record is no witness of them.
    settles(0o600, SystemTime::UNIX_EPOCH, 6);
}

#[test]
fn an_edit_while_a_time_is_set_is_not_blessed() {
    let path = Arc::<Mutex<Option<PathBuf>>>::default();
    let edited = Arc::clone(&path);
    // The mode is set first: somebody writes at that moment.
    let fault = Fault::watched(move |call| {
        if call == Call::SetMode
            && let Some(path) = edited.lock().unwrap().take()
        {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.write_all_at(b"edited", 7).unwrap();
        }
        Ok(())
    });
    let rig = Rig::with(Config::default(), fault);
    puts(&rig, LARGE, "large");
    // With another time and mode.
    let source = rig.file("source", LARGE);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o600)).unwrap();
    let there = rig.root().join("large");
    *path.lock().unwrap() = Some(there.clone());
    let client = rig.client(1);
    let put = put(&client, &[(&source, "large")], &JobOptions::default());
    assert_eq!(put.code(), 7, "{put:?}");
    assert!(path.lock().unwrap().is_none());
    is(&rig, "large", &Is::Edited);
    let apart =
        changed_at(&there).duration_since(fs::metadata(&there).unwrap().modified().unwrap());
    assert!(
        apart.unwrap() < Duration::from_secs(60),
        "its time is its own"
    );
}
