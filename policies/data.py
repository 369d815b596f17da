"""What keeps data: encrypted, private, backed up, and not deleted by accident."""

from collections.abc import Iterator
from typing import Final

from policies.rule import Resource, Rule, StackRule, at, differs, of_kind, several

_DATABASE: Final = "aws:rds/instance:Instance"
_BUCKET: Final = "aws:s3/bucket:Bucket"
_BLOCK: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
_TABLE: Final = "aws:dynamodb/table:Table"
_KEY: Final = "aws:kms/key:Key"
_REPOSITORY: Final = "aws:ecr/repository:Repository"
_PROD_BACKUP_DAYS: Final = 7
KEEPERS: Final = (_DATABASE, _BUCKET, _KEY, _TABLE, "aws:secretsmanager/secret:Secret", "docker:index/volume:Volume")
"""Types that keep what cannot be made again, or locks it."""
_WRITTEN_ANEW: Final = {"access-logs", "lease"}
"""Of those types, what is written anew by itself: losing it loses no work."""
_BUCKET_PARTS: Final = {
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "is not encrypted",
    _BLOCK: "has no public access block",
    "aws:s3/bucketPolicy:BucketPolicy": "has no policy that asks for TLS",
}


def _check_database(database: Resource) -> Iterator[str]:
    if differs(at(database.props, "storageEncrypted"), True):
        yield "its storage is not encrypted"
    if at(database.props, "publiclyAccessible") is True:
        yield "is reached from outside the VPC"


def _check_backups(database: Resource) -> Iterator[str]:
    days = at(database.props, "backupRetentionPeriod")
    least = _PROD_BACKUP_DAYS if database.environment == "prod" else 1
    if days is None or (isinstance(days, int | float) and days < least):
        yield f"backups are kept for {days or 0:.0f} days; {database.environment} needs {least}"


def _check_prod_database(database: Resource) -> Iterator[str]:
    if database.environment != "prod":
        return
    if differs(at(database.props, "multiAz"), True):
        yield "has no standby in another zone"
    if differs(at(database.props, "deletionProtection"), True):
        yield "can be deleted"
    if at(database.props, "skipFinalSnapshot") is True:
        yield "is deleted without a last snapshot"


def _check_tls(group: Resource) -> Iterator[str]:
    given = {at(one, "name"): at(one, "value") for one in several(at(group.props, "parameters"))}
    if differs(given.get("rds.force_ssl"), "1"):
        yield "lets connections in without TLS"


def _check_block(block: Resource) -> Iterator[str]:
    for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if differs(at(block.props, name), True):
            yield f"{name} is off"


def _check_buckets(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    for bucket in of_kind(resources, _BUCKET):
        for kind, fault in _BUCKET_PARTS.items():
            if not any(bucket.name in part.uses.get("bucket", ()) for part in of_kind(resources, kind)):
                yield fault, bucket


def _check_table(table: Resource) -> Iterator[str]:
    if differs(at(table.props, "serverSideEncryption.enabled"), True):
        yield "is not encrypted with the stack's key"
    if differs(at(table.props, "pointInTimeRecovery.enabled"), True):
        yield "cannot be had back as it was"


def _check_queue(queue: Resource) -> Iterator[str]:
    if not at(queue.props, "kmsMasterKeyId") and differs(at(queue.props, "sqsManagedSseEnabled"), True):
        yield "is not encrypted"


def _check_retention(group: Resource) -> Iterator[str]:
    if not at(group.props, "retentionInDays"):
        yield "keeps logs for ever"


def _check_key(key: Resource) -> Iterator[str]:
    if differs(at(key.props, "enableKeyRotation"), True):
        yield "is never rotated"


def _check_repository(repository: Resource) -> Iterator[str]:
    if differs(at(repository.props, "imageTagMutability"), "IMMUTABLE"):
        yield "lets a tag be moved to another image"
    if differs(at(repository.props, "imageScanningConfiguration.scanOnPush"), True):
        yield "does not scan what is pushed"


def _check_protected(keeper: Resource) -> Iterator[str]:
    in_memory = at(keeper.props, "driverOpts.type") == "tmpfs"
    if keeper.environment == "prod" and not keeper.protected and keeper.name not in _WRITTEN_ANEW and not in_memory:
        yield "keeps data and is not protected from deletion"


RULES: Final[tuple[Rule | StackRule, ...]] = (
    Rule(
        "database-encrypted-and-private",
        "Databases are encrypted and reached from the VPC alone",
        "All that agents do is in it",
        "storageEncrypted, and publiclyAccessible left out",
        "critical",
        (_DATABASE,),
        _check_database,
    ),
    Rule(
        "database-backed-up",
        "Databases are backed up, for a week at least in prod",
        "What was deleted by mistake is often missed days later",
        "set beamops:production.database.backup_days",
        "high",
        (_DATABASE,),
        _check_backups,
    ),
    Rule(
        "prod-database-survives",
        "The database of prod has a standby, and is not deleted by one command",
        "A zone fails; so does a person",
        "set multi_zone and deletion_protection of beamops:production.database",
        "critical",
        (_DATABASE,),
        _check_prod_database,
    ),
    Rule(
        "database-over-tls",
        "PostgreSQL takes connections over TLS alone",
        "Passwords and work items cross zones",
        "parameter rds.force_ssl at 1",
        "high",
        ("aws:rds/parameterGroup:ParameterGroup",),
        _check_tls,
    ),
    Rule(
        "public-access-blocked",
        "Public access to a bucket is blocked in all four ways",
        "One wrong policy must not be enough to publish it",
        "set all four of the access block",
        "critical",
        (_BLOCK,),
        _check_block,
    ),
    StackRule(
        "buckets-closed",
        "Every bucket is encrypted, asks for TLS, and blocks public access",
        "A bucket without one of these has been in the news often enough",
        "add the resource that is missing",
        "critical",
        _check_buckets,
    ),
    Rule(
        "table-encrypted-and-recoverable",
        "Tables are encrypted with the stack's key, and can be had back",
        "The swarm's lease decides which swarm is the one",
        "serverSideEncryption and pointInTimeRecovery",
        "medium",
        (_TABLE,),
        _check_table,
    ),
    Rule(
        "queues-encrypted",
        "Queues are encrypted",
        "What waits in a queue is kept on a disk",
        "set kmsMasterKeyId",
        "high",
        ("aws:sqs/queue:Queue", "aws:sns/topic:Topic"),
        _check_queue,
    ),
    Rule(
        "log-retention-set",
        "Logs are kept for a time that is set",
        "For ever costs more each month, and keeps what should be forgotten",
        "set retentionInDays",
        "low",
        ("aws:cloudwatch/logGroup:LogGroup",),
        _check_retention,
    ),
    Rule(
        "keys-rotate",
        "Keys are rotated every year",
        "What one key has encrypted over the years is what its loss costs",
        "set enableKeyRotation",
        "medium",
        (_KEY,),
        _check_key,
    ),
    Rule(
        "images-immutable-and-scanned",
        "Tags of images never move, and what is pushed is scanned",
        "What was reviewed is what runs",
        "imageTagMutability IMMUTABLE, scanOnPush",
        "high",
        (_REPOSITORY,),
        _check_repository,
    ),
    Rule(
        "data-protected",
        "What keeps data in prod is protected from deletion and replacement",
        "A replacement deletes, and looks harmless in a preview",
        "protect=True; `make up ALLOW_DELETE=<name>` lifts it once",
        "critical",
        KEEPERS,
        _check_protected,
    ),
)
