//! Tests paths that lead to a named pipe. If a guard opened a named pipe for reading, the guard would be blocked.

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

use super::{with_polling, without_polling};
use crate::support::{TEST_TIMEOUT, eventually, folder::Folder};

fn make_pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn pipe_replacing_the_file_is_rejected() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", "[policies.a]\nrate = \"1/s\"\n");
    let guard = with_polling(&path).build().unwrap();
    make_pipe(&folder.path().join("pipe"));
    fs::rename(folder.path().join("pipe"), &path).unwrap();
    let error = eventually("the pipe is detected", || guard.policies_file().unwrap().error);
    assert_eq!(error.to_string(), format!("failed to read {path}: expected a regular file"));
    assert!(guard.policy("a").is_some());
}

#[test]
fn alternating_file_and_pipe_never_block_reload() {
    let folder = Folder::new();
    let text = "[policies.a]\nrate = \"1/s\"\n";
    let path = folder.file("rateguard.toml", text);
    let guard = without_polling(&path).build().unwrap();
    let [file, pipe, next] = ["file", "pipe", "next"].map(|name| folder.path().join(name));
    fs::write(&file, text).unwrap();
    make_pipe(&pipe);
    let (is_stopped, (sender, receiver)) = (AtomicBool::new(false), mpsc::channel());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_stopped.load(SeqCst) {
                for kind in [&pipe, &file] {
                    fs::hard_link(kind, &next).unwrap();
                    fs::rename(&next, &path).unwrap();
                }
            }
        });
        // If the reload blocks, this thread never ends. A scope would wait for it forever, so the thread is not part
        // of the scope.
        thread::spawn(move || {
            let reloads: Vec<_> = (0..20_000).map(|_| guard.reload_policies().is_ok()).collect();
            let _ = sender.send(reloads);
        });
        let reloads = receiver.recv_timeout(TEST_TIMEOUT);
        is_stopped.store(true, SeqCst);
        let reloads = reloads.expect("a reload waits for a pipe");
        assert!(reloads.contains(&true) && reloads.contains(&false));
    });
}
