"""One comment on a pull request, updated in place: what the previews of all stacks say."""

import os
from pathlib import Path
from typing import Any, Final

import requests

from cli.comment import MARK
from cli.console import StopError

_TIMEOUT_SECONDS: Final = 30
_PAGE: Final = 100


def publish(folder: Path, number: int) -> str:
    """Write the comment of a pull request, or write it anew; gives its address.

    Args:
        folder: holds a Markdown file for each stack.
        number: the pull request's.

    Raises:
        StopError: there is nothing to say, or GitHub does not take it.
    """
    sections = [file.read_text() for file in sorted(folder.rglob("*.md"))]
    if not sections:
        raise StopError(f"{folder} holds no preview; `make preview FORMAT=markdown OUTPUT=…` writes one")
    body = {"body": "\n".join([MARK, *sections])}
    comments = f"/issues/{number}/comments"
    for page in range(1, 100):
        found = _ask("GET", comments, params={"per_page": _PAGE, "page": page})
        for comment in found:
            if comment["body"].startswith(MARK):
                return str(_ask("PATCH", f"/issues/comments/{comment['id']}", json=body)["html_url"])
        if len(found) < _PAGE:
            break
    return str(_ask("POST", comments, json=body)["html_url"])


def _ask(method: str, path: str, **content: Any) -> Any:
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
    if missing:
        raise StopError(f"{' and '.join(missing)} must be set, as GitHub Actions sets them")
    url = f"{os.environ.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{os.environ['GITHUB_REPOSITORY']}{path}"
    headers = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"}
    try:
        answer = requests.request(method, url, headers=headers, timeout=_TIMEOUT_SECONDS, **content)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise StopError(f"GitHub does not take the comment: {error}") from error
    return answer.json()
