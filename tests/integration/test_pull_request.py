"""A change from its branch to its release, as it is typed on GitHub: preview, comment, plan, deployment, roll back."""

import re
import subprocess
from collections.abc import Iterator

import docker
import pytest
import yaml

from cli.comment import MARK
from cli.toolchain import Toolchain
from components.containers import ROOT, Source
from tests.github import GitHub, serve_github
from tests.servers import free_port
from tests.user import User, copy_checkout


class Repository:
    """A repository of its own, with somebody who pushes, and GitHub, which runs what the workflows say."""

    def __init__(self, user: User, github: GitHub, environment: dict[str, str]) -> None:
        self.user, self.github, self._environment = user, github, environment
        self.folder = user.checkout

    def git(self, *arguments: str) -> None:
        named = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *named, *arguments], cwd=self.folder, check=True, capture_output=True)

    def change_settings(self, **coordinator: int) -> None:
        content = yaml.safe_load(self.user.stack_file.read_text())
        content["config"]["beamops:distribution"]["coordinator"] = coordinator
        self.user.stack_file.write_text(yaml.safe_dump(content))

    def change_code(self, file: str, old: str, new: str) -> None:
        path = self.folder / "app" / "coordinator" / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def preview(self, *arguments: str) -> str:
        """What preview.yml runs; gives the pull request's comment."""
        output = self.user.folder / "previews" / "dev.md"
        code, said = self.user.run(
            "preview", "dev", "account", "--format", "markdown", "--output", str(output), *arguments
        )
        assert code == 0, said
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "python"), "-m", "cli", "comment", str(output.parent), "7"],
            cwd=self.folder, env={**self.user.environment, **self._environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (comment,) = self.github.comments
        body: str = comment["body"]
        return body

    def deploy(self, *arguments: str) -> tuple[int, str]:
        """What deploy.yml runs."""
        return self.user.run("deploy", "dev", "account", *arguments)


@pytest.fixture(scope="module")
def repository(
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before anything is timed
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Repository]:
    folder = tmp_path_factory.mktemp("request")
    checkout = folder / "checkout"
    copy_checkout(checkout)
    user = User(folder, source, free_port(), checkout)
    user.configure(
        plan={"name": f"t{folder.name[-6:].replace('_', 'x').lower()}"},
        distribution={"proxy": {"port": user.port}, "coordinator": {"replicas": 2}},
    )
    before = engine.info()["Swarm"]["LocalNodeState"]
    with serve_github() as (github, environment):
        made = Repository(user, github, environment)
        made.git("init", "--quiet", "--initial-branch", "main")
        made.git("add", ".")
        made.git("commit", "--quiet", "--message", "What is deployed")
        code, said = made.deploy()
        assert code == 0, said
        assert "✓ Smoke test" in said
        yield made
        code, said = user.run("down")
        assert code == 0, said
    assert engine.info()["Swarm"]["LocalNodeState"] == before


def test_a_pull_request_is_previewed_and_a_second_push_updates_its_comment(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "more-replicas")
    repository.change_settings(replicas=3)
    first = repository.preview()
    assert first.startswith(MARK)
    assert "## dev: ✅ no rule is broken, no data is lost" in first
    assert "`2` → `3`" in first
    repository.change_settings(replicas=1)
    second = repository.preview()
    assert "`2` → `1`" in second and "`3`" not in second


def test_the_plan_that_was_reviewed_is_the_plan_that_runs(repository: Repository, engine: docker.DockerClient) -> None:
    plan = repository.user.folder / "plan" / "plan.json"
    repository.change_settings(replicas=3)
    repository.preview("--plan", str(plan))
    assert '"ciphertext"' in plan.read_text()
    assert '"plaintext"' not in plan.read_text(), "the plan tells secrets"
    repository.change_settings(replicas=1)
    code, said = repository.deploy("--plan", str(plan))
    assert code == 1, "what was not reviewed was deployed"
    assert "violates plan" in said, said
    repository.change_settings(replicas=3)
    code, said = repository.deploy("--plan", str(plan))
    assert code == 0, said
    assert replicas(repository, engine) == 3


def test_a_release_that_does_not_do_is_put_back(repository: Repository, engine: docker.DockerClient) -> None:
    """It starts, it is healthy, and no work can be submitted: health checks see nothing."""
    before = image(repository, engine)
    repository.change_code("api/work.py", "async def submit_work(", "async def submit_work_never(")
    repository.change_code("api/work.py", "    submit_work,\n", "")
    code, said = repository.deploy()
    assert code == 1
    assert "beamops: smoke test: `coordinator work submit` did not succeed" in said, said
    assert re.search(r"! The release does not do: t\w+-dev-coordinator run again what they ran before", said), said
    assert image(repository, engine) == before


def service(repository: Repository, engine: docker.DockerClient) -> dict[str, object]:
    config = yaml.safe_load(repository.user.stack_file.read_text())["config"]
    (found,) = engine.services.list(filters={"name": f"{config['beamops:plan']['name']}-dev-coordinator"})
    spec: dict[str, object] = found.attrs["Spec"]
    return spec


def replicas(repository: Repository, engine: docker.DockerClient) -> int:
    count: int = service(repository, engine)["Mode"]["Replicated"]["Replicas"]  # type: ignore[index]
    return count


def image(repository: Repository, engine: docker.DockerClient) -> str:
    name: str = service(repository, engine)["TaskTemplate"]["ContainerSpec"]["Image"]  # type: ignore[index]
    return name
