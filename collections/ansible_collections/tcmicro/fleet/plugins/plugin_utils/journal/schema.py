# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the journal, as what each version added. An older journal is brought to this one, a newer one refused."""

from __future__ import annotations

FIRST = """
CREATE TABLE controllers (epoch INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, machine TEXT NOT NULL,
  started REAL NOT NULL);
CREATE TABLE rollouts (id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '', request TEXT NOT NULL, plan TEXT NOT NULL, created REAL NOT NULL, ended REAL);
CREATE TABLE waves (rollout TEXT NOT NULL REFERENCES rollouts, number INTEGER NOT NULL, state TEXT NOT NULL,
  looks INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rollout, number));
CREATE TABLE hosts (rollout TEXT NOT NULL REFERENCES rollouts, host TEXT NOT NULL, wave INTEGER NOT NULL,
  place INTEGER NOT NULL, state TEXT NOT NULL, wanted TEXT NOT NULL, before TEXT NOT NULL, look TEXT NOT NULL,
  failure TEXT NOT NULL DEFAULT '', retries INTEGER NOT NULL DEFAULT 0, back_by REAL, PRIMARY KEY (rollout, host));
CREATE TABLE actions (id INTEGER PRIMARY KEY, rollout TEXT NOT NULL, host TEXT NOT NULL, action TEXT NOT NULL,
  epoch INTEGER NOT NULL, intent REAL NOT NULL, done REAL, result TEXT);
CREATE INDEX open_actions ON actions (rollout, host, action) WHERE done IS NULL;
CREATE TABLE verdicts (id INTEGER PRIMARY KEY, rollout TEXT NOT NULL, wave INTEGER NOT NULL, look INTEGER NOT NULL,
  outcome TEXT NOT NULL, document TEXT NOT NULL, time REAL NOT NULL);
CREATE TABLE events (seq INTEGER PRIMARY KEY, time REAL NOT NULL, epoch INTEGER NOT NULL, rollout TEXT NOT NULL,
  kind TEXT NOT NULL, text TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE said (id INTEGER PRIMARY KEY, rollout TEXT NOT NULL REFERENCES rollouts, word TEXT NOT NULL,
  who TEXT NOT NULL, why TEXT NOT NULL, wave INTEGER NOT NULL, time REAL NOT NULL);
CREATE TABLE denied (digest TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, rollout TEXT NOT NULL,
  reason TEXT NOT NULL, time REAL NOT NULL);
"""
TICKETS = "ALTER TABLE hosts ADD COLUMN ticket TEXT;\n"
VERSIONS = (FIRST, TICKETS)
VERSION = len(VERSIONS)
