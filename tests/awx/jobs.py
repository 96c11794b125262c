"""Jobs as AWX runs them: ansible-runner, the playbook of a template, the answers of its survey as extra variables."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner
import yaml

from tests.awx.collection import ROOT
from tests.rollout.fleet import FAKES, Fleet

DECLARED = yaml.safe_load((ROOT / "awx/vars/templates.yml").read_text())
TEMPLATES = {template["name"]: template for template in DECLARED["controller_templates"]}
WORKFLOW_JOB = 7
OWN = f"awx-{WORKFLOW_JOB}"
FAILED = ("runner_on_failed", "runner_on_unreachable", "error")
LIMIT_S = 900  # for a machine that is busy with something else
TYPES = {"integer": int, "text": str, "multiplechoice": str}


@dataclass(frozen=True)
class Job:
    """What became of it. `status` in the words of AWX: successful, failed, canceled."""

    status: str
    code: int
    events: list[dict[str, Any]]
    folder: Path

    def says(self, text: str) -> bool:
        return any(text in " ".join(event["stdout"].split()) for event in self.events)

    def failures(self) -> str:
        return "\n".join(e["stdout"] for e in self.events if e["event"] in FAILED) or "none told"

    def kinds(self) -> set[str]:
        return {event["event"] for event in self.events}


def answers(template: str, given: dict[str, Any]) -> dict[str, Any]:
    """The answers of a survey, defaults filled in and refused as AWX would refuse them."""
    spec = TEMPLATES[template].get("survey_spec", {}).get("spec", [])
    questions = {question["variable"]: question for question in spec}
    assert set(given) <= set(questions), "no such question"
    filled = {name: given.get(name, q["default"]) for name, q in questions.items()}
    for name, value in filled.items():
        question = questions[name]
        assert type(value) is TYPES[question["type"]], name
        assert question["type"] != "multiplechoice" or value in question["choices"], name
        if question["required"] and question["type"] == "text":
            assert value, f"{name} has to be answered"
    return filled


class Jobs(Fleet):
    """Fake hosts, and an AWX that launches the declared templates over them."""

    def __init__(self, folder: Path, hosts: list[str]) -> None:
        super().__init__(folder, hosts)
        modules = folder / "collections/ansible_collections/tcmicro/fleet/plugins/modules"
        shutil.copy(ROOT / "tests/awx/fakes/prerequisites.py", modules)
        self.launched = 0

    def launch(self, template: str, *, cancel=lambda: False, **given: Any) -> Job:
        """`cancel`: asked all the time whether somebody has pressed cancel by now."""
        self.launched += 1
        place = self.folder / f"job{self.launched}"
        place.mkdir()
        done = ansible_runner.run(
            private_data_dir=str(place),
            project_dir=str(ROOT),
            playbook=TEMPLATES[template]["playbook"],
            inventory=str(self.folder / "inventory.json"),
            extravars=self._variables(template, given),
            envvars=self._environment(),
            ident=str(self.launched),
            cancel_callback=cancel,
            settings={"pexpect_timeout": 1, "job_timeout": LIMIT_S},
            quiet=True,
        )
        # not what lies in its folder: a job that is killed leaves half an event there
        return Job(
            done.status, done.rc, list(done.events), place / "artifacts" / str(self.launched)
        )

    def _variables(self, template: str, given: dict[str, Any]) -> dict[str, Any]:
        """Extra variables of the template, its places being this fleet's, and the answers."""
        mine = json.loads((self.folder / "inventory.json").read_text())
        shared = mine["all"]["children"]["tcmicro"]["vars"]
        extra = {
            name: shared.get(name, value.removeprefix("{% raw %}").removesuffix("{% endraw %}"))
            for name, value in TEMPLATES[template]["extra_vars"].items()
        }
        return {**extra, "awx_workflow_job_id": WORKFLOW_JOB, **answers(template, given)}

    def _environment(self) -> dict[str, str]:
        return {
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CONNECTION_PLUGINS": str(FAKES / "connection"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "local"),
            "ANSIBLE_NOCOLOR": "1",
            "FAKE_FLEET": str(self.folder),
        }
