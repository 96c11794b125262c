"""The part of AWX's REST interface that awx/configure.yml uses, over lists of dictionaries.

Every list at /api/v2/KIND/ is filtered by its query, takes new objects by POST and changes by PATCH; a list below an
object holds ids and takes {"id": n} to associate one. Some of what AWX checks of a template before it takes it is
checked here, too: that what it refers to is there, and that a survey is one. Objects get the fields that the modules
read: id, type, url, related, summary_fields. Nothing else of AWX is here; no job ever runs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.rest_server import JsonAnswers, JsonServer

SECRET = "$encrypted$"
KINDS = {
    "organizations": "organization",
    "labels": "label",
    "credential_types": "credential_type",
    "credentials": "credential",
    "instance_groups": "instance_group",
    "notification_templates": "notification_template",
    "execution_environments": "execution_environment",
    "projects": "project",
    "inventories": "inventory",
    "inventory_sources": "inventory_source",
    "job_templates": "job_template",
    "workflow_job_templates": "workflow_job_template",
    "workflow_job_template_nodes": "workflow_job_template_node",
    "workflow_approval_templates": "workflow_approval_template",
    "schedules": "schedule",
}
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "workflow_approval_templates")
# Fields that hold the id of something else.
REFERENCES = {
    "organization": "organizations",
    "credential_type": "credential_types",
    "execution_environment": "execution_environments",
    "default_environment": "execution_environments",
    "project": "projects",
    "source_project": "projects",
    "inventory": "inventories",
    "workflow_job_template": "workflow_job_templates",
}
ASSOCIATIONS = {
    "always_nodes": "workflow_job_template_nodes",
    "success_nodes": "workflow_job_template_nodes",
    "failure_nodes": "workflow_job_template_nodes",
    "credentials": "credentials",
    "labels": "labels",
    "instance_groups": "instance_groups",
    "notification_templates_started": "notification_templates",
    "notification_templates_success": "notification_templates",
    "notification_templates_error": "notification_templates",
    "notification_templates_approvals": "notification_templates",
}
QUESTION = {"question_name", "variable", "type", "required"}
SURVEY_TYPES = ("text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect")

Object = dict[str, Any]


class Refused(Exception):
    """The request is answered with 400."""


class State:
    """What there is; `calls` are the requests that wrote."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[int, Object]] = {kind: {} for kind in KINDS}
        self.members: dict[tuple[str, int, str], list[int]] = defaultdict(list)
        self.surveys: dict[tuple[str, int], Object] = {}
        self.settings: Object = {"AWX_ISOLATION_SHOW_PATHS": []}
        self.calls: list[tuple[str, str]] = []
        self.last = 0
        self.create("credential_types", {"name": "Machine", "kind": "ssh", "managed": True})
        self.create("instance_groups", {"name": "tcmicro"})

    def named(self, kind: str, name: str) -> Object:
        return next(item for item in self.lists[kind].values() if item["name"] == name)

    def names(self, kind: str) -> list[str]:
        return [item.get("name") or item["identifier"] for item in self.lists[kind].values()]

    # --- what the interface does

    def find(self, kind: str, query: Mapping[str, str]) -> list[Object]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        items = [item for each in kinds for item in self.lists[each].values()]
        return [item for item in items if all(fits(item, *pair) for pair in query.items())]

    def create(self, kind: str, fields: Object) -> Object:
        self._check(kind, fields)
        self.last += 1
        url = f"/api/v2/{kind}/{self.last}/"
        made = {
            **DEFAULTS.get(kind, {}),
            **fields,
            "id": self.last,
            "type": KINDS[kind],
            "url": url,
            "related": {"survey_spec": f"{url}survey_spec/"},
            "summary_fields": {},
        }
        self.lists[kind][self.last] = made
        return made

    def change(self, kind: str, number: int, fields: Object) -> Object:
        self._check(kind, fields)
        item = self.lists[kind][number]
        known = {k: v for k, v in fields.items() if k in item or k in REFERENCES}
        secrets = known.get("inputs") if kind == "credentials" else None
        item.update(known)
        if secrets:
            item["inputs"] = {**item["inputs"], **secrets}
        return item

    def associate(self, kind: str, number: int, name: str, body: Object) -> None:
        held = self.members[kind, number, name]
        if body.get("disassociate"):
            held.remove(body["id"])
        elif body["id"] not in self.lists[ASSOCIATIONS[name]]:
            raise Refused(f"{name}: {body['id']} does not exist")
        else:
            held.append(body["id"])

    def approval(self, node: int, fields: Object) -> Object:
        wanted = {k: v for k, v in fields.items() if k in ("name", "description", "timeout")}
        made = self.create("workflow_approval_templates", wanted)
        self.lists["workflow_job_template_nodes"][node]["unified_job_template"] = made["id"]
        self.lists["workflow_job_template_nodes"][node]["related"]["unified_job_template"] = made[
            "url"
        ]
        return made

    def survey(self, kind: str, number: int, spec: Object) -> None:
        for field, needed in (("name", str), ("description", str), ("spec", list)):
            if not isinstance(spec.get(field), needed):
                raise Refused(f"survey: {field} is missing")
        for question in spec["spec"]:
            _check_question(question)
        variables = [question["variable"] for question in spec["spec"]]
        if len(set(variables)) != len(variables):
            raise Refused(f"survey: {variables} has one twice")
        self.surveys[kind, number] = spec

    def _check(self, kind: str, fields: Object) -> None:
        for field, there in REFERENCES.items():
            if fields.get(field) is not None and fields[field] not in self.lists[there]:
                raise Refused(f"{kind}: {field}: {fields[field]} does not exist")
        if kind == "job_templates" and fields.get("job_slice_count", 1) != 1:
            raise Refused("job_templates: nothing here is sliced")


# What AWX adds by itself to what it is given.
DEFAULTS: dict[str, Object] = {
    "projects": {"scm_revision": "", "local_path": "_1__tcmicro"},
    "inventories": {"kind": "", "host_filter": None, "variables": ""},
    "workflow_job_template_nodes": {"extra_data": {}, "unified_job_template": None},
    "job_templates": {"extra_vars": "", "limit": ""},
    "credentials": {"inputs": {}},
}


def _check_question(question: Object) -> None:
    if missing := QUESTION - set(question):
        raise Refused(f"survey: {question} lacks {sorted(missing)}")
    kind, default = question["type"], question.get("default")
    if kind not in SURVEY_TYPES:
        raise Refused(f"survey: {question['variable']}: type {kind}")
    if kind == "integer" and not isinstance(default, int):
        raise Refused(f"survey: {question['variable']}: {default!r} is no integer")
    if kind.startswith("multi") and default not in question["choices"]:
        raise Refused(f"survey: {question['variable']}: {default!r} is no choice")


def fits(item: Object, key: str, value: str) -> bool:
    if key in ("page_size", "or__id"):
        return True
    return str(item.get(key.removeprefix("or__"))) == value


def shown(item: Object) -> Object:
    """As AWX shows it: secrets of credentials are not."""
    if item["type"] != "credential":
        return item
    secret = {"ssh_key_data", "key", "webhook"} & set(item["inputs"])
    return {**item, "inputs": {**item["inputs"], **dict.fromkeys(secret, SECRET)}}


class Handler(JsonAnswers, BaseHTTPRequestHandler):
    """One request; the state hangs at the server."""

    server: Stub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PATCH(self) -> None:
        self._answer(self._patch)

    def _answer(self, act: Any) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        words = parts.path.removeprefix("/api/v2/").strip("/").split("/")
        with self.server.turn:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._send(401, {"detail": "no token"})
            if self.command != "GET":
                self.server.state.calls.append((self.command, parts.path))
            try:
                code, document = act(words, dict(parse_qsl(parts.query)), body)
            except Refused as exc:
                code, document = 400, {"__all__": [str(exc)], "error": str(exc)}
            except KeyError:
                code, document = 404, {"detail": f"{self.path} is not here"}
            return self._send(code, document)

    def _get(self, words: list[str], query: Mapping[str, str], body: Object) -> tuple[int, Any]:
        state = self.server.state
        match words:
            case ["settings", "all"]:
                return 200, state.settings
            case [kind]:
                if kind not in KINDS and kind != "unified_job_templates":
                    raise KeyError(kind)
                return 200, page([shown(item) for item in state.find(kind, query)])
            case [kind, number, "survey_spec"]:
                return 200, state.surveys.get((kind, int(number)), {})
            case [kind, number, name]:
                held = state.members[kind, int(number), name]
                return 200, page([state.lists[ASSOCIATIONS[name]][member] for member in held])
            case [kind, number]:
                return 200, shown(state.lists[kind][int(number)])
        raise KeyError(words)

    def _post(self, words: list[str], query: Mapping[str, str], body: Object) -> tuple[int, Any]:
        state = self.server.state
        match words:
            case [kind]:
                return 201, shown(state.create(kind, body))
            case [kind, number, "survey_spec"]:
                state.survey(kind, int(number), body)
                return 200, {}
            case [_, number, "create_approval_template"]:
                return 201, state.approval(int(number), body)
            case [kind, number, name]:
                state.associate(kind, int(number), name, body)
                return 204, None
        raise KeyError(words)

    def _patch(self, words: list[str], query: Mapping[str, str], body: Object) -> tuple[int, Any]:
        state = self.server.state
        if words == ["settings", "all"]:
            state.settings.update(body)
            return 200, state.settings
        kind, number = words
        return 200, shown(state.change(kind, int(number), body))


def page(items: list[Object]) -> Object:
    return {"count": len(items), "next": None, "results": items}


TOKEN = "token-of-the-stub"


class Stub(JsonServer):
    """Serves on a free port of the loopback from `with` to its end."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.state = State()
