"""A Hub on the loopback address: the read API that huggingface_hub uses, for files in memory, with chosen failures."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "0123456789abcdef0123456789abcdef01234567"


class LoopbackHub:
    """A server on hub.endpoint: `with LoopbackHub({"models/org/name": {"config.json": b"..."}}) as hub:`.

    Attributes:
        repositories: the files of each repository.
        requests: the requests about repositories: "METHOD path", or "METHOD path bytes=N-".
        unavailable: number of next requests to answer with status 503.
        cut: number of bytes after which the first download of each file breaks off; 0: never.
        corrupt: name of the file that arrives with its last byte changed.
        locked: answer every request with status 401.
        broken: the files whose first download has broken off.
    """

    def __init__(self, repositories: dict[str, dict[str, bytes]]):
        self.repositories = repositories
        self.requests = []
        self.unavailable = self.cut = 0
        self.unavailable_first = False
        self.corrupt = None
        self.locked = False
        self.broken = set()

    def __enter__(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request) -> None:
        """Answer a request, which is the http.server handler."""
        path, byte_range = request.path.partition("?")[0], request.headers.get("Range")
        if REVISION not in path:  # a request that huggingface_hub makes for itself
            return self.send(request, 404)
        self.requests.append(" ".join(filter(None, (request.command, path, byte_range))))
        if self.unavailable or (self.unavailable_first and self.requests.count(self.requests[-1]) == 1):
            self.unavailable = max(0, self.unavailable - 1)
            return self.send(request, 503)
        if self.locked:
            return self.send(request, 401)
        if match := re.fullmatch(rf"/api/(\w+/\w+/[\w-]+)/(revision|tree)/{REVISION}", path):
            return self.describe(request, *match.groups())
        if match := re.fullmatch(rf"/(datasets/)?(\w+/[\w-]+)/resolve/{REVISION}/(.+)", path):
            kind, name, file = match.groups()
            content = self.repositories.get(f"{kind or 'models/'}{name}", {}).get(file)
            if content is not None:
                return self.download(request, file, content, int(byte_range[6:-1]) if byte_range else 0)
        self.send(request, 404, {"X-Error-Code": "EntryNotFound"})

    def describe(self, request, repository: str, question: str) -> None:
        """Send the list of a repository's files (question: tree), or facts about the repository (revision)."""
        if repository not in self.repositories:
            return self.send(request, 404, {"X-Error-Code": "RepoNotFound"})
        tree = []
        for name, content in self.repositories[repository].items():
            blob = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
            entry = {"type": "file", "path": name, "size": len(content), "oid": blob}
            if not name.endswith((".json", ".txt")):
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            tree.append(entry)
        info = {"id": repository.partition("/")[2], "sha": REVISION, "siblings": [], "tags": []}
        self.send(request, 200, content=json.dumps(tree if question == "tree" else info).encode())

    def download(self, request, file: str, content: bytes, start: int) -> None:
        """Send a file from the byte `start` on."""
        size = len(content)
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": REVISION}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if file == self.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        cut = None
        if request.command == "GET" and self.cut and size > self.cut and file not in self.broken:
            self.broken.add(file)
            cut = self.cut
        self.send(request, 206 if start else 200, headers, content[start:], cut)

    def send(self, request, status: int, headers: dict | None = None, content: bytes = b"", cut: int | None = None):
        """Send an answer. cut: close the connection after this many bytes of the content."""
        request.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content[:cut])
        if cut is not None:
            request.close_connection = True
