"""`/audit`: the log of who did what."""

from litestar import get

from fleet_contract.api import AuditView, Page, Role
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor
from fleet_server.audit import Audit, AuditCheck


@get("/audit", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_audit(audit: Audit, limit: Limit = DEFAULT_LIMIT, cursor: str = "") -> Page[AuditView]:
    """Entries, the newest first."""
    found = audit.page(before_id=read_int_cursor(cursor), limit=limit + 1)
    return page_of(found, limit, lambda entry: entry.id)


@get("/audit/verify", opt=needs(Role.VIEWER), sync_to_thread=True)
def verify_audit(audit: Audit) -> AuditCheck:
    """Recomputes the hash chain."""
    return audit.verify()


HANDLERS = (list_audit, verify_audit)
