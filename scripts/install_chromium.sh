#!/bin/sh
# Prints where Chromium or Google Chrome is, for the browser tests; installs Chromium if there is
# none and this is root on Debian, Ubuntu, Fedora or Alpine. Else says what to install and exits 1.
set -eu

find_browser() {
  for name in "${MOTIFOCAL_CHROMIUM:-}" chromium chromium-browser google-chrome \
    google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
    "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    # Ubuntu's chromium-browser is a stub that asks for a snap, so a name alone proves nothing.
    if [ -n "$name" ] && command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

# What would install Chromium here; empty where this script knows of nothing.
recipe() {
  distribution="$([ ! -r /etc/os-release ] || . /etc/os-release && echo "${ID:-} ${ID_LIKE:-}")"
  case " $distribution " in
    *" ubuntu "*) echo "snap install chromium" ;;  # its apt package is the stub
    *" debian "*) echo "apt-get update && apt-get install --yes --no-install-recommends chromium" ;;
    *" fedora "*) echo "dnf install --assumeyes chromium" ;;
    *" alpine "*) echo "apk add chromium" ;;
  esac
}

if find_browser; then
  exit 0
fi
command="$(recipe)"
if [ -z "$command" ]; then
  echo "There is no Chromium. Install Chromium or Google Chrome, or name the program in" >&2
  echo "MOTIFOCAL_CHROMIUM." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "There is no Chromium, and installing it needs root. Run:" >&2
  echo "  sudo sh -c '$command'" >&2
  exit 1
fi
echo "Installing Chromium: $command" >&2
DEBIAN_FRONTEND=noninteractive sh -c "$command" >&2
if ! find_browser; then
  echo "Chromium was installed but does not start." >&2
  exit 1
fi
