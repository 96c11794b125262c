#!/usr/bin/env bash
# Bring this machine to where every command of the Makefile works. Installs what is missing and nothing else:
# a second run finds all in place and takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

wanted_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' tools/debian-packages.txt | sort; }

missing_packages() {
	comm -23 <(wanted_packages) <(
		# shellcheck disable=SC2046
		dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(wanted_packages) 2>/dev/null |
			sed -n 's/^installed //p' | sort
	)
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }

install_packages() {
	(($# == 0)) && return
	[[ $EUID == 0 ]] || die "Debian packages are missing: $*. As root: apt-get install $*"
	say "installing Debian packages: $*"
	apt-cache show "$@" >/dev/null 2>&1 || apt-get update -q
	apt_install "$@" && return
	say "once more, with fresh package lists"
	apt-get update -q
	apt_install "$@" || die "apt-get cannot install: $*"
}

# What the environment was made from; another lock, Python or place of the checkout makes a new one.
venv_identity() { { sha256sum <requirements/dev.lock; /usr/bin/python3 -V; pwd -P; } | sha256sum | cut -c1-64; }

make_venv() {
	local stamp=.venv/.identity
	[[ -f $stamp && $(<"$stamp") == "$(venv_identity)" ]] && return
	say "making .venv from requirements/dev.lock"
	/usr/bin/python3 -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	# Controller plugins import tcmicro_agent.policy from this checkout.
	pwd -P >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tcmicro.pth"
	venv_identity >"$stamp"
}

# The checkout's own tc-micro, for all that needs no host: policy validate, explain, diff, test …
make_command() {
	local command=.venv/bin/tc-micro
	[[ -x $command ]] && return
	printf '#!%s\nimport sys\n\nfrom tcmicro_agent.cli import main\n\nsys.exit(main())\n' "$(pwd -P)/.venv/bin/python" >"$command"
	chmod +x "$command"
}

command -v dpkg-query >/dev/null || die "this is no Debian system; install what tools/debian-packages.txt lists by hand"
mapfile -t missing < <(missing_packages)
install_packages "${missing[@]}"
make_venv
make_command
