"""Values that only one resource of a type may have: claimed and given up with the change that makes them so."""

from typing import Any

from api.service import Service
from domain.attributes import ResourceType
from domain.errors import NotUnique
from ledger.jobs import Job
from projections.directory import unique_values


async def claim(
    service: Service, job: Job, holder: str, before: dict[str, Any], after: dict[str, Any], resource_type: ResourceType
) -> None:
    """Let a job's resource hold the unique values it has afterwards, and no longer those it had.

    before, after: the resource; empty before it comes and after it goes. userName and a group's displayName have
    columns of their own. Raises NotUnique; whoever is faster is found by the precondition under the lock.
    """
    if not resource_type.unique:
        return
    had, has = unique_values(before, resource_type), unique_values(after, resource_type)
    for key, path in has.items():
        if key in had:
            continue
        if await service.lookups.holder(job.tenant_id, key) not in (None, holder):
            raise NotUnique(path)
        job.values.append((key, holder))
    job.released += [key for key in had if key not in has]
