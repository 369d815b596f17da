"""pgbench, in PostgreSQL's own container, running the statements of a life cycle: those of queries/, one by one."""

import re
from importlib.resources import files

from docker.models.containers import Container

PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"
_AGENT = "('agent-' || :client_id)"
_NOTHING = {"team": "NULL", "type": "NULL", "skills": "NULL", "speaker": "NULL", "points": "NULL"}


def read_queries() -> dict[str, str]:
    """Every named query, as PostgreSQL gets it."""
    found = {}
    for file in files("coordinator").joinpath("queries").iterdir():
        for part in re.split(r"^-- name: ", file.read_text(), flags=re.MULTILINE)[1:]:
            head, _, body = part.partition("\n")
            lines = [line for line in body.splitlines() if not line.startswith("--")]
            text = " ".join(lines).strip().rstrip(";")
            text = text.replace("/*lock*/", "FOR UPDATE SKIP LOCKED").replace("/*wait*/", "FOR UPDATE")
            found[head.strip().rstrip("^$!")] = text
    return found


def write_script() -> str:
    """A life cycle in three transactions, as a lone request is carried out: nothing of it coalesced."""
    queries = read_queries()

    def sql(query: str, end: str = ";", **values: str) -> str:
        text = queries[query]
        for name, value in {**_NOTHING, **values}.items():
            text = re.sub(rf"(?<!:):{name}\b", lambda _, value=value: value, text)  # type: ignore[misc]
        return text + end

    def event(item: str, kind: str) -> str:
        data = """'{"status":"claimed","token":1}'"""
        return sql("add_event", item=item, kind=f"'{kind}'", agent=_AGENT, data=data)

    names = f"(jsonb_build_array({_AGENT})::text)"
    ids = "(jsonb_build_array(:claimed_id::text)::text)"
    statements = [
        "BEGIN;",
        sql(
            "add_item", " \\gset new_", id="gen_random_uuid()::text", type="'bench'", title="'x'", description="''",
            priority="'medium'", head_start="3600000", labels="'[]'", skills="'[]'", points="1", payload="'null'",
            status="'ready'", max_attempts="3", trace_id="NULL",
        ),
        event(":new_id", "submitted"),
        "COMMIT;",
        "BEGIN;",
        sql("see_agent", id="gen_random_uuid()::text", name=_AGENT),
        sql("hold_agents", names=names),
        sql("expire_leases"),
        sql("claim_items", " \\gset claimed_", count="1", agent=_AGENT, lease_ms="60000"),
        event(":claimed_id", "claimed"),
        "COMMIT;",
        "BEGIN;",
        sql("complete_item", ";", id=":claimed_id", token="CAST(:claimed_token AS BIGINT)", result="'null'"),
        event(":claimed_id", "completed"),
        sql("list_waiting", needs=ids),
        "COMMIT;",
    ]  # fmt: skip
    return "\n".join(statements) + "\n"


def run_pgbench(container: Container, database: str, clients: int, seconds: int) -> float:
    """Life cycles a second."""
    script = write_script().replace("'", "'\\''")
    command = (
        f"printf '%s' '{script}' | PGPASSWORD=$(cat /run/secrets/database_password) "
        f"{PGBENCH} -h 127.0.0.1 -U coordinator -n -M prepared -c {clients} -j 2 -T {seconds} -f - {database}"
    )
    code, output = container.exec_run(["sh", "-c", command])
    assert isinstance(output, bytes)
    said = output.decode()
    found = re.search(r"tps = ([0-9.]+)", said)
    assert code == 0 and found and "error" not in said, said
    return float(found[1])
