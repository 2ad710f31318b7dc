//! Ways in which editors and machines write a file.

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

use rateguard::{MemoryStore, RateGuard};

use super::{by_hand, watching};
use crate::support::{eventually, folder::Folder};

fn file(limit: usize) -> String {
    // So long that it is not written in one piece.
    let comment = "# A limit that somebody has thought about for long.\n".repeat(200);
    format!(
        "[policies.login]\nrate = \"{limit}/minute\"\n{comment}[policies.search]\nrate = \"1/s\"\n"
    )
}

fn limit(guard: &RateGuard) -> usize {
    guard.policy("login").unwrap().quotas().as_slice()[0].limit() as usize
}

/// Writes a file in this way again and again; each time it has to come into force, and nothing else in between.
fn comes_into_force(path: &Path, write: impl Fn(usize)) {
    let guard = watching(path).build().unwrap();
    let (is_over, newest) = (Arc::new(AtomicBool::new(false)), limit(&guard));
    let looking = thread::spawn({
        let (guard, is_over) = (guard.clone(), Arc::clone(&is_over));
        move || {
            let mut seen = vec![newest];
            loop {
                let is_last = is_over.load(SeqCst);
                let now = limit(&guard);
                assert!(guard.policy("search").is_some());
                if *seen.last().unwrap() != now {
                    seen.push(now);
                }
                if is_last {
                    return seen;
                }
                thread::sleep(Duration::from_micros(200));
            }
        }
    });
    for number in 10..20 {
        write(number);
        eventually("it comes into force", || (limit(&guard) == number).then_some(()));
    }
    is_over.store(true, SeqCst);
    assert_eq!(looking.join().unwrap(), [vec![newest], (10..20).collect()].concat());
    assert_eq!(guard.policies_file().unwrap().generation, 11);
}

#[test]
fn truncated_and_written() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    comes_into_force(path.as_ref(), |number| fs::write(&path, file(number)).unwrap());
}

#[test]
fn truncated_and_written_line_by_line() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    comes_into_force(path.as_ref(), |number| {
        let mut file_of = File::create(&path).unwrap();
        for line in file(number).split_inclusive('\n') {
            file_of.write_all(line.as_bytes()).unwrap();
        }
    });
}

#[test]
fn written_beside_and_renamed() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    comes_into_force(path.as_ref(), |number| {
        let beside = folder.file(".rateguard.toml.swp", &file(number));
        fs::rename(beside, &path).unwrap();
    });
}

#[test]
fn moved_away_and_written_anew() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    comes_into_force(path.as_ref(), |number| {
        fs::rename(&path, folder.path().join("rateguard.toml~")).unwrap();
        fs::write(&path, file(number)).unwrap();
    });
}

#[test]
fn links_of_a_config_map_that_are_swapped() {
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
            let earlier = if number == 10 { 1 } else { number - 1 };
            fs::remove_dir_all(folder.path().join(format!("..version-{earlier}"))).unwrap();
        }
    };
    put(1);
    let path = folder.path().join("rateguard.toml");
    symlink("..data/rateguard.toml", &path).unwrap();
    comes_into_force(&path, put);
}

#[test]
fn of_the_same_size_and_with_the_time_of_the_one_before() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(99));
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    comes_into_force(path.as_ref(), |number| {
        fs::write(&path, file(number)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    });
}

#[test]
fn a_file_that_is_away_for_a_while_is_said_to_be_and_changes_nothing() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    let guard = watching(&path).build().unwrap();
    let error = || guard.policies_file().unwrap().error;
    fs::remove_file(&path).unwrap();
    let away = eventually("it is missed", error);
    assert!(away.to_string().contains("rateguard.toml cannot be read: No such file"), "{away}");
    assert_eq!(limit(&guard), 1);
    fs::write(&path, file(1)).unwrap();
    eventually("it is back", || error().is_none().then_some(()));
    assert_eq!((limit(&guard), guard.policies_file().unwrap().generation), (1, 1));
    fs::remove_file(&path).unwrap();
    eventually("it is missed", error);
    fs::write(&path, file(2)).unwrap();
    eventually("another is in its place", || (limit(&guard) == 2).then_some(()));
}

#[test]
fn a_file_that_stays_half_is_refused() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    let guard = watching(&path).build().unwrap();
    let whole = file(2);
    for end in [0, 5, 20, 30] {
        fs::write(&path, &whole[..end]).unwrap();
        let refused = || guard.policies_file().unwrap().error;
        eventually("it is refused", refused);
        assert_eq!(limit(&guard), 1);
        fs::write(&path, file(1)).unwrap();
        eventually("it is whole", || refused().is_none().then_some(()));
    }
    fs::write(&path, whole).unwrap();
    eventually("it is whole", || (limit(&guard) == 2).then_some(()));
}

/// A file at which nobody looks by itself, and one whose guard is closed or gone.
#[test]
fn nobody_looks_where_nobody_should() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1));
    let guard = by_hand(&path).build().unwrap();
    fs::write(&path, file(2)).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(limit(&guard), 1);
    guard.reload_policies().unwrap();
    assert_eq!(limit(&guard), 2);

    let guard = watching(&path).build().unwrap();
    futures_util::FutureExt::now_or_never(guard.close()).unwrap();
    fs::write(&path, file(3)).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(limit(&guard), 2);

    let store = Arc::new(MemoryStore::new());
    let guard = watching(&path).store(Arc::clone(&store)).build().unwrap();
    thread::sleep(Duration::from_millis(50));
    drop(guard);
    eventually("nobody holds it", || (Arc::strong_count(&store) == 1).then_some(()));
}
