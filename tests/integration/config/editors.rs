//! Tests the ways in which editors and deployment tools replace a file.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use actix_rateguard::{MemoryStore, RateGuard};

use super::{with_polling, without_polling};
use crate::support::{eventually, folder::Folder};

fn file(limit: usize) -> String {
    // The file is so long that it is not written in one piece. The guard may therefore read an incomplete version.
    let comment = "# A comment that makes the file longer than one write.\n".repeat(200);
    format!(
        "[policies.login]\nrate = \"{limit}/minute\"\n{comment}[policies.search]\nrate = \"1/s\"\n"
    )
}

fn limit(guard: &RateGuard) -> usize {
    guard.policy("login").unwrap().quotas().as_slice()[0].limit() as usize
}

/// Replaces a file ten times with `write`. Asserts that the guard applies every version of the file once, and never
/// applies an incomplete version.
///
/// The generation counts the applied versions. Observing the limit alone could miss a version on a slow machine.
fn assert_every_version_is_applied(path: &Path, write: impl Fn(usize)) {
    let guard = with_polling(path).build().unwrap();
    let is_stopped = Arc::new(AtomicBool::new(false));
    let observer = thread::spawn({
        let (guard, is_stopped) = (guard.clone(), Arc::clone(&is_stopped));
        move || {
            while !is_stopped.load(SeqCst) {
                assert!(guard.policy("search").is_some(), "an incomplete version is active");
                thread::sleep(Duration::from_micros(200));
            }
        }
    });
    for (number, generation) in (10..20).zip(2..) {
        write(number);
        let current = eventually("the file is applied", || {
            let current = guard.policies_file().unwrap().generation;
            (current >= generation).then_some(current)
        });
        assert_eq!((current, limit(&guard)), (generation, number));
    }
    is_stopped.store(true, SeqCst);
    observer.join().unwrap();
    assert_eq!(guard.policies_file().unwrap().generation, 11);
}

#[test]
fn truncated_and_rewritten_file_is_loaded() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    assert_every_version_is_applied(path.as_ref(), |number| {
        fs::write(&path, file(number)).unwrap()
    });
}

#[test]
fn file_written_line_by_line_is_loaded_once_complete() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    assert_every_version_is_applied(path.as_ref(), |number| {
        let mut file_of = File::create(&path).unwrap();
        for line in file(number).split_inclusive('\n') {
            file_of.write_all(line.as_bytes()).unwrap();
        }
    });
}

#[test]
fn renamed_temporary_file_is_loaded() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    assert_every_version_is_applied(path.as_ref(), |number| {
        let temporary = folder.file(".rateguard.toml.swp", &file(number));
        fs::rename(temporary, &path).unwrap();
    });
}

#[test]
fn moved_and_recreated_file_is_loaded() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    assert_every_version_is_applied(path.as_ref(), |number| {
        fs::rename(&path, folder.path().join("rateguard.toml~")).unwrap();
        fs::write(&path, file(number)).unwrap();
    });
}

#[test]
fn swapped_config_map_symlinks_are_loaded() {
    let folder = Folder::new();
    let data = folder.path().join("..data");
    let put = |number: usize| {
        let version = folder.path().join(format!("..version-{number}"));
        fs::create_dir(&version).unwrap();
        fs::write(version.join("rateguard.toml"), file(number)).unwrap();
        let link = folder.path().join("..data_tmp");
        symlink(version.file_name().unwrap(), &link).unwrap();
        fs::rename(link, &data).unwrap();
        if number > 1 {
            let previous = if number == 10 { 1 } else { number - 1 };
            fs::remove_dir_all(folder.path().join(format!("..version-{previous}"))).unwrap();
        }
    };
    put(1);
    let path = folder.path().join("rateguard.toml");
    symlink("..data/rateguard.toml", &path).unwrap();
    assert_every_version_is_applied(&path, put);
}

#[test]
fn file_with_unchanged_size_and_mtime_is_loaded() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(99));
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    assert_every_version_is_applied(path.as_ref(), |number| {
        fs::write(&path, file(number)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    });
}

#[test]
fn missing_file_is_reported_and_changes_nothing() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    let guard = with_polling(&path).build().unwrap();
    let error = || guard.policies_file().unwrap().error;
    fs::remove_file(&path).unwrap();
    let missing = eventually("the missing file is reported", error);
    assert!(missing.to_string().contains("rateguard.toml: No such file"), "{missing}");
    assert_eq!(limit(&guard), 1);
    fs::write(&path, file(1)).unwrap();
    eventually("the file is found again", || error().is_none().then_some(()));
    assert_eq!((limit(&guard), guard.policies_file().unwrap().generation), (1, 1));
    fs::remove_file(&path).unwrap();
    eventually("the missing file is reported", error);
    fs::write(&path, file(2)).unwrap();
    eventually("the new file is applied", || (limit(&guard) == 2).then_some(()));
}

#[test]
fn truncated_file_is_rejected() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    let guard = with_polling(&path).build().unwrap();
    let complete = file(2);
    for end in [0, 5, 20, 30] {
        fs::write(&path, &complete[..end]).unwrap();
        let error = || guard.policies_file().unwrap().error;
        eventually("the truncated file is rejected", error);
        assert_eq!(limit(&guard), 1);
        fs::write(&path, file(1)).unwrap();
        eventually("the complete file is accepted", || error().is_none().then_some(()));
    }
    fs::write(&path, complete).unwrap();
    eventually("the complete file is applied", || (limit(&guard) == 2).then_some(()));
}

/// Three kinds of guards must not read the file again: guards without polling, closed guards, and dropped guards.
#[test]
fn manual_closed_and_dropped_guards_do_not_poll() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    let guard = without_polling(&path).build().unwrap();
    fs::write(&path, file(2)).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(limit(&guard), 1);
    guard.reload_policies().unwrap();
    assert_eq!(limit(&guard), 2);

    let guard = with_polling(&path).build().unwrap();
    futures_util::FutureExt::now_or_never(guard.close()).unwrap();
    fs::write(&path, file(3)).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(limit(&guard), 2);

    let store = Arc::new(MemoryStore::new());
    let guard = with_polling(&path).store(Arc::clone(&store)).build().unwrap();
    thread::sleep(Duration::from_millis(50));
    drop(guard);
    eventually("the polling thread releases the store", || {
        (Arc::strong_count(&store) == 1).then_some(())
    });
}
