"""As much of GitHub's API as is used, on loopback: comments and issues, by pages, written and written anew."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMENTS = "/repos/o/r/issues/7/comments"
ISSUES = "/repos/o/r/issues"


@dataclass
class GitHub:
    """What it has been told."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, method: str, url: str, body: dict[str, Any]) -> Any:
        path, asked = urlsplit(url).path, {key: one[0] for key, one in parse_qs(urlsplit(url).query).items()}
        kind, number = path.rpartition("/")[0], path.rpartition("/")[2]
        match method, path:
            case "GET", "/repos/o/r/issues/7/comments":
                page = int(asked["page"])
                return self.comments[(page - 1) * 100 : page * 100]
            case "POST", "/repos/o/r/issues/7/comments":
                count = len(self.comments)
                self.comments.append({**body, "id": count, "html_url": f"https://x/{count}"})
                return self.comments[-1]
            case "GET", "/repos/o/r/issues":
                return [
                    one for one in self.issues if one["state"] == asked["state"] and asked["labels"] in one["labels"]
                ]
            case "POST", "/repos/o/r/issues":
                count = len(self.issues)
                self.issues.append({**body, "number": count, "state": "open", "html_url": f"https://x/issues/{count}"})
                return self.issues[-1]
        assert method == "PATCH", f"{method} {url}"
        changed = self.comments[int(number)] if kind.endswith("/comments") else self.issues[int(number)]
        changed |= body
        return changed


@contextmanager
def serve_github() -> Iterator[tuple[GitHub, dict[str, str]]]:
    """GitHub, and the environment in which Actions would run a command."""
    github = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            assert self.headers["Authorization"] == "Bearer t"
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            content = json.dumps(github.answer(self.command, self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield github, {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "t"}
        server.shutdown()
        thread.join()
