"""A hub for models on this computer: as much of the protocol of huggingface.co as is used."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving():
    """Yield a hub, which is served at its `url` until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Hub:
    """Repositories by name, each a list of commits with all of their files."""

    def __init__(self):
        self.repositories = {}
        self.private = {}
        self.fetched = []
        self.url = ""

    def files(self, name, revision="main"):
        """Return the files of a revision; ``None`` if it does not exist."""
        commits = self.repositories[name]
        if revision in ("main", ""):
            return commits[-1]
        numbers = {commit_id(n): n for n in range(len(commits))} | {"v1": 0}
        return commits[numbers[revision]] if revision in numbers else None

    def commit(self, name, revision="main"):
        """Return the id of a revision."""
        return commit_id(self.repositories[name].index(self.files(name, revision)))


def commit_id(number):
    return hashlib.sha1(b"%d" % number).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, status, body=b"", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path)
        if found:
            return self._describe(found[1], found[2], found[3] or "main")
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not found or found[1] not in self.hub.repositories:
            return self._send(404, {}, X_Error_Code="RepoNotFound")
        files = self.hub.files(found[1], found[2])
        if files is None or found[3] not in files:
            return self._send(404, {}, X_Error_Code="EntryNotFound")
        content = files[found[3]]
        if self.command == "GET":
            self.hub.fetched.append(found[3])
        return self._send(
            200,
            content,
            ETag=f'"{hashlib.sha1(content).hexdigest()}"',
            X_Repo_Commit=self.hub.commit(found[1], found[2]),
        )

    def _describe(self, name, what, revision):
        if name not in self.hub.repositories:
            return self._send(404, {}, X_Error_Code="RepoNotFound")
        files = self.hub.files(name, revision)
        if files is None:
            return self._send(404, {}, X_Error_Code="RevisionNotFound")
        if what == "tree":
            return self._send(
                200,
                [
                    {
                        "type": "file",
                        "path": path,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for path, content in files.items()
                ],
            )
        siblings = [{"rfilename": path} for path in files]
        sha = self.hub.commit(name, revision)
        return self._send(200, {"id": name, "sha": sha, "siblings": siblings, "private": False})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif found and found[2] == "preupload":
            wanted = [each["path"] for each in json.loads(body)["files"]]
            kind = {"uploadMode": "regular", "shouldIgnore": False}
            self._send(200, {"files": [{"path": path, **kind} for path in wanted]})
        elif found:
            self._add(found[1], [json.loads(line) for line in body.splitlines()])
        else:
            self._send(404, {})

    def _create(self, values):
        name = f"{values.get('organization') or 'me'}/{values['name']}"
        url = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repositories:
            return self._send(409, url)
        self.hub.private[name] = (
            values.get("private") is True or values.get("visibility") == "private"
        )
        self.hub.repositories[name] = [{}]
        return self._send(200, url)

    def _add(self, name, entries):
        commits = self.hub.repositories[name]
        files = dict(commits[-1])
        for entry in entries:
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        if commits == [{}]:
            commits.clear()
        commits.append(files)
        commit = commit_id(len(commits) - 1)
        url = f"{self.hub.url}/{name}/commit/{commit}"
        self._send(200, {"commitUrl": url, "commitOid": commit})
