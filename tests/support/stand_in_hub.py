# SPDX-License-Identifier: Apache-2.0
"""A stand-in of the Hugging Face hub on this machine: as much of its API as a push asks for.

It keeps the files of each model in memory, takes whole files in commits, and refuses a token that
may not write. https://huggingface.co/docs/hub/api and the client's own requests say how it answers.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from huggingface_hub import constants

TOKEN = "hf_may_write"


class StandInHub:
    """What was pushed.

    Attributes
    ----------
    models : dict of str to dict
        Files of each model by path.
    private : dict of str to bool
        What each model was made as.
    commits : list of str
        Messages.
    endpoint : str
        Its address.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[str] = []

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return the status, and JSON or the bytes of a file."""
        path = path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name not in self.models:
                self.models[name] = {}
                hidden = asked.get("private") or asked.get("visibility") == "private"
                self.private[name] = bool(hidden)
            return 200, {"url": f"{self.endpoint}/{name}"}
        if path == "/api/validate-yaml":
            return 200, {"warnings": [], "errors": []}
        if "/resolve/main/" in path:
            name, _, file = path[1:].partition("/resolve/main/")
            found = self.models[name].get(file)
            return (404, "EntryNotFound") if found is None else (200, found)
        name, _, verb = path.removeprefix("/api/models/").partition("/main")[0].rpartition("/")
        files = self.models[name]
        if verb == "tree":
            listed = sorted(files.items())
            return 200, [
                {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
                for file, data in listed
            ]
        if verb == "preupload":
            asked = json.loads(body)["files"]
            return 200, {
                "files": [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in asked
                ]
            }
        assert (method, verb) == ("POST", "commit"), path
        for line in body.splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "header":
                self.commits.append(value["summary"])
            elif one["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert one["key"] == "deletedFile", line
                del files[value["path"]]
        commit = f"{len(self.commits):040x}"
        return 200, {"commitUrl": f"{self.endpoint}/{name}/commit/{commit}", "commitOid": commit}


def emptied(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> StandInHub:
    """Return a hub empty, with nothing of this machine's settings in the way."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    for held in (hub.models, hub.private, hub.commits):
        held.clear()
    return hub


@contextmanager
def stand_in_hub() -> Iterator[StandInHub]:
    """Run one for a block."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("authorization") == f"Bearer {TOKEN}":
                status, found = hub.answer(self.command, self.path, body)
            else:
                status, found = 403, {"error": "you may not write here"}
            data = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.send_header("x-repo-commit", "0" * 40)
            self.send_header("etag", f'"{len(data)}"')
            if status == 404:
                self.send_header("x-error-code", str(found))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = handle_one

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = StandInHub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    switched_off, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
    try:
        yield hub
    finally:
        constants.HF_HUB_OFFLINE = switched_off
        server.shutdown()
        server.server_close()
        thread.join()
