"""What a run that is cut off leaves of Pulumi's own files."""

from pathlib import Path

from cli.state import mend_state


def test_notes_that_were_cut_off_go_and_all_else_stays(tmp_path: Path) -> None:
    stacks = tmp_path / ".pulumi" / "stacks" / "beamops"
    stacks.mkdir(parents=True)
    (stacks / "dev.json").write_text("{}")
    (stacks / "dev.json.attrs").write_text("")
    (stacks / "prod.json.attrs").write_text('{"user.content_type": "text/plain"}')
    mend_state(f"file://{tmp_path}")
    assert {file.name for file in stacks.iterdir()} == {"dev.json", "prod.json.attrs"}
    mend_state("s3://bucket")
