"""The part of Grafana's REST interface that roles/grafana uses: folders and dashboards by uid, with a token.

Like Grafana it numbers what it keeps, counts versions, adds what a dashboard did not say, refuses a folder that is
there and a dashboard for a folder that is not. Nothing is drawn.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.rest_server import JsonAnswers, JsonServer

TOKEN = "glsa_token-of-the-stub"

Answer = tuple[int, dict[str, Any]]


class Handler(JsonAnswers, BaseHTTPRequestHandler):
    server: Grafana

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, act: Any) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        words = self.path.removeprefix("/api/").split("/")
        with self.server.turn:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._send(401, {"message": "Invalid API key"})
            return self._send(*act(words, json.loads(body or b"{}")))

    def _get(self, words: list[str], _body: Any) -> Answer:
        match words:
            case ["folders", uid] if uid in self.server.folders:
                return 200, {"uid": uid, "title": self.server.folders[uid]}
            case ["dashboards", "uid", uid] if uid in self.server.dashboards:
                return 200, self.server.dashboards[uid]
        return 404, {"message": "not found"}

    def _post(self, words: list[str], body: dict[str, Any]) -> Answer:
        self.server.written.append(self.path)
        match words:
            case ["folders"] if body["uid"] in self.server.folders:
                return 409, {"message": "a folder with the same uid exists"}
            case ["folders"]:
                self.server.folders[body["uid"]] = body["title"]
                return 200, body
            case ["dashboards", "db"]:
                return self._keep(body)
        return 404, {"message": "not found"}

    def _keep(self, body: dict[str, Any]) -> Answer:
        uid, folder = body["dashboard"]["uid"], body.get("folderUid", "")
        if folder and folder not in self.server.folders:
            return 400, {"message": "folder not found"}
        found = self.server.dashboards.get(uid)
        if found and not body.get("overwrite"):
            return 412, {"message": "the dashboard has been changed by someone else"}
        version = found["dashboard"]["version"] + 1 if found else 1
        number = found["dashboard"]["id"] if found else len(self.server.dashboards) + 1
        kept = {"preload": False, **body["dashboard"], "id": number, "version": version}
        self.server.dashboards[uid] = {"dashboard": kept, "meta": {"folderUid": folder}}
        return 200, {"uid": uid, "status": "success", "version": version}


class Grafana(JsonServer):
    """Serves on a free port of the loopback from `with` to its end."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.folders: dict[str, str] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
