"""What GitHub is told: one comment on a pull request, updated in place; one issue, while something has drifted."""

import os
from pathlib import Path
from typing import Any, Final

import requests

from cli.comment import MARK, UNCHANGED
from cli.console import StopError

_TIMEOUT_SECONDS: Final = 30
_PAGE: Final = 100
_DRIFT: Final = "drift"
"""The label of the issue."""
_ABOUT_DRIFT: Final = (
    "A deployment of the main branch would change this: somebody has changed it by hand, or has not deployed."
)


def publish(folder: Path, number: int) -> str:
    """Write the comment of a pull request, or write it anew; gives its address.

    Args:
        folder: holds a Markdown file for each stack.
        number: the pull request's.

    Raises:
        StopError: there is nothing to say, or GitHub does not take it.
    """
    sections = _read_previews(folder)
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


def report_drift(folder: Path) -> str:
    """Open an issue about what has drifted, write it anew, or close it when nothing has; says what was done.

    Args:
        folder: holds a Markdown file for each stack, of a preview that looked at what is there.

    Raises:
        StopError: there is nothing to say, or GitHub does not take it.
    """
    drifted = [section for section in _read_previews(folder) if UNCHANGED not in section.partition("\n")[0]]
    listed = _ask("GET", "/issues", params={"labels": _DRIFT, "state": "open"})
    found = next((issue for issue in listed if issue["body"].startswith(MARK)), None)
    if not drifted:
        if found is None:
            return "nothing has drifted"
        _ask("PATCH", f"/issues/{found['number']}", json={"state": "closed", "state_reason": "completed"})
        return f"nothing has drifted any more: {found['html_url']} is closed"
    body = "\n".join([MARK, _ABOUT_DRIFT, "", *drifted])
    if found is not None:
        return str(_ask("PATCH", f"/issues/{found['number']}", json={"body": body})["html_url"])
    opened = {"title": "What is deployed is not what is written", "body": body, "labels": [_DRIFT]}
    return str(_ask("POST", "/issues", json=opened)["html_url"])


def _read_previews(folder: Path) -> list[str]:
    sections = [file.read_text() for file in sorted(folder.rglob("*.md"))]
    if not sections:
        raise StopError(f"{folder} holds no preview; `make preview FORMAT=markdown OUTPUT=…` writes one")
    return sections


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
        raise StopError(f"GitHub does not take it: {error}") from error
    return answer.json()
