#!/usr/bin/env bash
# ansible-lint and antsibull over playbooks, roles and the collection. What they print is a fault: ansible-lint ends well also
# where it could not load a playbook.
set -euo pipefail
cd "$(dirname "$0")/.."

# The lab's inventory is there only while the lab is.
export ANSIBLE_INVENTORY=inventories/example/hosts.yml

quiet() {
	local output
	output=$("$@" 2>&1) || { printf '%s\n' "$output" >&2; exit 1; }
	[[ -z $output ]] || { printf '%s\n%s: nothing should be printed\n' "$output" "$1" >&2; exit 1; }
}

quiet ansible-lint --offline --nocolor -q
cd collections/ansible_collections/tcmicro/fleet
quiet antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --disallow-unknown-collection-refs .
quiet antsibull-changelog lint
quiet antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml
