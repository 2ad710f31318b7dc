//! Small C libraries that replace system functions in a process. The process loads them through `LD_PRELOAD`.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use super::{folder::Folder, skipped};

/// A wall clock for a process. The test sets the time of this clock.
pub struct Clock(Shim);

/// A DNS resolver that a test can make hang.
pub struct Resolver(Shim);

/// A system library in which the query of the parent's process id forks the process.
pub struct Fork(Shim);

struct Shim {
    library: &'static Path,
    /// The path of a file with three 64-bit numbers. The library maps this file into memory, and each function of the
    /// library reads the numbers when it is called.
    control: PathBuf,
    _folder: Folder,
}

impl Clock {
    /// Compiles the library. If there is no C compiler, reports that the test is skipped, and returns `None`.
    pub fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
        Shim::new("clock", include_str!("clock.c"), &BUILT).map(Self)
    }

    /// Returns the wrapper command that runs a program with this clock.
    pub fn wrapper(&self) -> Vec<String> {
        self.0.wrapper()
    }

    /// Sets the difference between this clock and the clock of the machine, in seconds. The difference is negative if
    /// this clock is behind.
    pub fn set_offset(&self, seconds: i64) {
        self.0.set_control([seconds * 1_000_000, 0, 0]);
    }

    /// Freezes the clock at this time, which is given since the Unix epoch.
    pub fn freeze_at(&self, time: Duration) {
        self.0.set_control([0, micros(time), 0]);
    }

    /// Freezes the clock at `time`. After the process has read the clock `readings` times, the clock goes back by
    /// `earlier`.
    pub fn freeze_until_read(&self, time: Duration, readings: i64, earlier: Duration) {
        self.0.set_control([-micros(earlier), micros(time), readings]);
    }
}

impl Resolver {
    /// Compiles the library. If there is no C compiler, reports that the test is skipped, and returns `None`.
    pub fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
        Shim::new("resolver", include_str!("resolver.c"), &BUILT).map(Self)
    }

    /// Returns the wrapper command that runs a program with this resolver.
    pub fn wrapper(&self) -> Vec<String> {
        self.0.wrapper()
    }

    /// Makes all lookups wait, or lets all waiting lookups continue.
    pub fn set_hanging(&self, is_hanging: bool) {
        self.0.set_control([is_hanging.into(), 0]);
    }

    /// Returns the number of lookups that are waiting now.
    pub fn waiting_calls(&self) -> i64 {
        let mut number = [0; 8];
        File::open(&self.0.control).unwrap().read_exact_at(&mut number, 16).unwrap();
        i64::from_ne_bytes(number)
    }
}

impl Fork {
    /// Compiles the library. If there is no C compiler, reports that the test is skipped, and returns `None`.
    pub fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
        Shim::new("fork", include_str!("fork.c"), &BUILT).map(Self)
    }

    /// Returns the wrapper command that runs a program with this library.
    pub fn wrapper(&self) -> Vec<String> {
        self.0.wrapper()
    }
}

impl Shim {
    fn new(
        name: &'static str,
        source: &str,
        built: &'static OnceLock<Option<PathBuf>>,
    ) -> Option<Self> {
        let library = built.get_or_init(|| compile(name, source)).as_deref()?;
        let folder = Folder::new();
        let control = folder.path().join("control");
        fs::write(&control, [0; 24]).unwrap();
        Some(Self { library, control, _folder: folder })
    }

    fn wrapper(&self) -> Vec<String> {
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("RATEGUARD_SHIM={}", self.control.display()),
        ]
    }

    fn set_control<const COUNT: usize>(&self, numbers: [i64; COUNT]) {
        let control = OpenOptions::new().write(true).open(&self.control).unwrap();
        control.write_all_at(numbers.map(i64::to_ne_bytes).as_flattened(), 0).unwrap();
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

fn compile(name: &str, source: &str) -> Option<PathBuf> {
    let folder = Folder::new();
    let file = folder.file(&format!("{name}.c"), source);
    // Parallel test runs may build the same library. Therefore the compiler first writes to a folder that only this
    // test uses.
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
    let fresh = folder.path().join("fresh.so");
    let arguments = ["-shared", "-fPIC", "-O1", "-o"];
    let built = Command::new("cc").args(arguments).arg(&fresh).arg(&file).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        skipped(&format!("this test needs a C compiler for its {name}"));
        return None;
    }
    let part = library.with_extension(std::process::id().to_string());
    fs::copy(&fresh, &part).unwrap();
    fs::rename(&part, &library).unwrap();
    Some(library)
}
