//! Small libraries in C that lie to a process about its surroundings: loaded before the system's, they are asked instead.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use super::{folder::Folder, skipped};

/// A clock that differs from the machine's.
pub struct Clock(Shim);

/// A resolver of names that can be made to hang.
pub struct Resolver(Shim);

struct Shim {
    library: &'static Path,
    /// What the library looks at, whenever it is asked.
    wishes: PathBuf,
    _folder: Folder,
}

impl Clock {
    /// `None` where there is no C compiler, which it says.
    pub fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
        Shim::new("clock", include_str!("clock.c"), &BUILT).map(Self)
    }

    /// What runs a program under this clock.
    pub fn within(&self) -> Vec<String> {
        self.0.within()
    }

    /// It is ahead of the machine's by so much, or behind it if that is below 0.
    pub fn is_ahead_by(&self, seconds: i64) {
        self.0.wish([seconds * 1_000_000, 0, 0]);
    }

    /// It stands still at this time since 1970.
    pub fn stands_at(&self, time: Duration) {
        self.0.wish([0, micros(time), 0]);
    }

    /// It stands still at this time until it has been read so often, and then so much earlier.
    pub fn stands_until_read(&self, time: Duration, readings: i64, earlier: Duration) {
        self.0.wish([-micros(earlier), micros(time), readings]);
    }
}

impl Resolver {
    /// `None` where there is no C compiler, which it says.
    pub fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
        Shim::new("resolver", include_str!("resolver.c"), &BUILT).map(Self)
    }

    /// What runs a program with this resolver.
    pub fn within(&self) -> Vec<String> {
        self.0.within()
    }

    /// Whether those who ask for a name have to wait.
    pub fn hangs(&self, hangs: bool) {
        self.0.wish([hangs.into(), 0]);
    }

    /// How many wait for one.
    pub fn waiting(&self) -> i64 {
        let mut number = [0; 8];
        File::open(&self.0.wishes).unwrap().read_exact_at(&mut number, 16).unwrap();
        i64::from_ne_bytes(number)
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
        let wishes = folder.path().join("wishes");
        fs::write(&wishes, [0; 24]).unwrap();
        Some(Self { library, wishes, _folder: folder })
    }

    fn within(&self) -> Vec<String> {
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("RATEGUARD_SHIM={}", self.wishes.display()),
        ]
    }

    fn wish<const COUNT: usize>(&self, wish: [i64; COUNT]) {
        let wishes = OpenOptions::new().write(true).open(&self.wishes).unwrap();
        wishes.write_all_at(wish.map(i64::to_ne_bytes).as_flattened(), 0).unwrap();
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

fn compile(name: &str, source: &str) -> Option<PathBuf> {
    let folder = Folder::new();
    let file = folder.file(&format!("{name}.c"), source);
    // In a folder of its own, as other runs of these tests may build the same.
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
    let fresh = folder.path().join("fresh.so");
    let arguments = ["-shared", "-fPIC", "-O1", "-o"];
    let built = Command::new("cc").args(arguments).arg(&fresh).arg(&file).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        skipped(&format!("there is no C compiler for the {name} that this test needs"));
        return None;
    }
    let part = library.with_extension(std::process::id().to_string());
    fs::copy(&fresh, &part).unwrap();
    fs::rename(&part, &library).unwrap();
    Some(library)
}
