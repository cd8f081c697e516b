#!/usr/bin/env bash
# Installs the Debian packages that the tests need, by name, where they are absent. `setup.sh senders | browser`.
set -euo pipefail

missing=()
need() { # PROGRAM PACKAGE
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

case "${1:-}" in
senders)
  need logger bsdutils
  need rsyslogd rsyslog
  need softflowd softflowd
  for package in rsyslog-gnutls rsyslog-relp; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  ;;
browser)
  need chromium chromium
  fc-list 2>/dev/null | grep -qi 'noto.*cjk' || missing+=(fonts-noto-cjk)
  ;;
*)
  echo "usage: $0 senders | browser" >&2
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
