"""Names are stable, and change exactly with the content that they stand for."""

from pathlib import Path

from components.naming import Names, digest_files, list_sources

NAMES = Names("beamops", "dev")


def test_every_name_begins_with_the_stack() -> None:
    assert NAMES.of("proxy") == "beamops-dev-proxy"
    assert NAMES.labels("network") == {"beamops.stack": "beamops-dev", "beamops.chapter": "network"}


def test_another_content_is_another_name() -> None:
    assert NAMES.versioned("proxy", "a") == NAMES.versioned("proxy", "a")
    assert NAMES.versioned("proxy", "a") != NAMES.versioned("proxy", "b")


def test_a_digest_sees_content_path_and_mode_but_not_where_the_folder_is(tmp_path: Path) -> None:
    def digest(folder: str, name: str = "a", content: str = "x", mode: int = 0o644) -> str:
        root = tmp_path / folder
        root.mkdir()
        (root / name).write_text(content)
        (root / name).chmod(mode)
        return digest_files(root, list_sources(root))

    first = digest("one")
    assert digest("two") == first
    assert len({first, digest("three", name="b"), digest("four", content="y"), digest("five", mode=0o755)}) == 4


def test_caches_do_not_count_as_content(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").touch()
    (tmp_path / "a.py").touch()
    assert list_sources(tmp_path) == [tmp_path / "a.py"]
