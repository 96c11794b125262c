#!/usr/bin/env bash
# Pin requirements/*.in into *.lock with hashes. The agent's lock serves hosts from Python 3.9 on; the
# developer's lock contains it, so that tests run what the artifact carries.
set -euo pipefail
cd "$(dirname "$0")/../requirements"

venv=../build/lock-venv
[[ -x $venv/bin/uv ]] || { /usr/bin/python3 -m venv "$venv" && "$venv/bin/pip" install --quiet uv; }

pin() { # PYTHON INPUT [WORDS]
	"$venv/bin/uv" pip compile --quiet --upgrade --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --python-version "$1" "${@:3}" "$2.in" -o "$2.lock"
}

pin 3.9 agent --universal
pin 3.11 dev --universal
pin 3.11 awx --universal --no-deps
# for that one Python: pip decides by its own which lines of a universal lock are meant
pin 3.9.2 python39 --python-platform linux
