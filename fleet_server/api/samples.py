"""`/samples`: inputs that devices sent home, and their labels."""

from typing import Annotated, Any, Final

from litestar import Request, Response, get, post, put
from litestar.params import Parameter
from msgspec import Struct

from fleet_contract.api import LabelSample, Page, Role, SampleBatch, SampleView
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor
from fleet_server.samples import Samples

MAX_BATCH_BYTES: Final = 32 * 1024 * 1024


class Stored(Struct, frozen=True, kw_only=True):
    """How many samples of a batch were new."""

    stored: int


@post(
    "/samples",
    opt=needs(device=True),
    status_code=200,
    request_max_body_size=MAX_BATCH_BYTES,
    sync_to_thread=True,
)
def upload_samples(request: Request[Any, Any, Any], samples: Samples, data: SampleBatch) -> Stored:
    """Stores a device's samples; the same one twice is stored once."""
    return Stored(stored=samples.upload(request.user.device_id, data))


@get("/samples", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_samples(
    *,
    samples: Samples,
    request_id: Annotated[str, Parameter(query="request", description="of one retrain request")] = "",
    model: str = "",
    labelled: bool | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str = "",
) -> Page[SampleView]:
    """Samples in the order in which they came."""
    found = samples.page(
        request_id=request_id,
        model=model,
        labelled=labelled,
        after_number=read_int_cursor(cursor) or 0,
        limit=limit + 1,
    )
    page = page_of(found, limit, lambda item: item[0])
    return Page(items=[view for _, view in page.items], next=page.next)


@get("/samples/{sample_id:str}/content", opt=needs(Role.PUBLISHER), sync_to_thread=True)
def get_sample_content(samples: Samples, sample_id: str) -> Response[bytes]:
    """The raw tensor's bytes, C order."""
    return Response(samples.content(sample_id), media_type="application/octet-stream")


@put("/samples/{sample_id:str}/label", opt=needs(Role.PUBLISHER), sync_to_thread=True)
def label_sample(request: Request[Any, Any, Any], samples: Samples, sample_id: str, data: LabelSample) -> SampleView:
    """Labels a sample."""
    return samples.label(sample_id, data.label, actor=request.user.actor)


HANDLERS = (upload_samples, list_samples, get_sample_content, label_sample)
