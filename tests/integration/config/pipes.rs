//! A path at which there may be something that is waited for.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use super::{by_hand, watching};
use crate::support::{PATIENCE, eventually, folder::Folder};

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "{made}");
}

#[test]
fn a_pipe_that_takes_the_place_of_a_file_is_refused() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", "[policies.a]\nrate = \"1/s\"\n");
    let guard = watching(&path).build().unwrap();
    make_pipe(&folder.path().join("pipe"));
    fs::rename(folder.path().join("pipe"), &path).unwrap();
    let error = eventually("it is noticed", || guard.policies_file().unwrap().error);
    assert_eq!(error.to_string(), format!("{path} cannot be read: it is not a file"));
    assert!(guard.policy("a").is_some());
}

#[test]
fn a_path_that_is_a_file_and_a_pipe_in_turn_is_never_waited_for() {
    let folder = Folder::new();
    let text = "[policies.a]\nrate = \"1/s\"\n";
    let path = folder.file("rateguard.toml", text);
    let guard = by_hand(&path).build().unwrap();
    let [file, pipe, next] = ["file", "pipe", "next"].map(|name| folder.path().join(name));
    fs::write(&file, text).unwrap();
    make_pipe(&pipe);
    let (is_over, (done, waiting)) = (AtomicBool::new(false), mpsc::channel());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                for kind in [&pipe, &file] {
                    fs::hard_link(kind, &next).unwrap();
                    fs::rename(&next, &path).unwrap();
                }
            }
        });
        // Not of the scope, which would wait for it.
        thread::spawn(move || {
            let tries: Vec<_> = (0..20_000).map(|_| guard.reload_policies().is_ok()).collect();
            let _ = done.send(tries);
        });
        let tries = waiting.recv_timeout(PATIENCE);
        is_over.store(true, SeqCst);
        let tries = tries.expect("it is waiting for a pipe");
        assert!(tries.contains(&true) && tries.contains(&false));
    });
}
