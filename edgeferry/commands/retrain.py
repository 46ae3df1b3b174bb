"""`edgeferry retrain`: requests for a new iteration, and the samples that devices sent for them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.api import RetrainCreate
from fleet_contract.errors import ConfigError, DataError

app = typer.Typer(no_args_is_help=True, help="Requests for a new iteration, and their samples.", add_completion=False)

Request = Annotated[str, typer.Argument(help="The request's id.")]


@app.command("list")
def list_(*, server: Server = DEFAULT_SERVER, token: Token = "", as_json: AsJson = False) -> None:
    """Requests, newest first."""
    requests = list(connect(server, token).retrain_requests())
    if as_json:
        print_json(requests)
        return
    print_table(
        ("id", "model", "state", "created", "samples", "labelled", "result", "reason"),
        [
            (
                each.id,
                each.model,
                each.state,
                show_time(each.created_at),
                each.sample_count,
                each.labelled_count,
                f"v{each.result_version}" if each.result_version else each.detail,
                each.reason,
            )
            for each in requests
        ],
    )


@app.command()
def ask(
    model: Annotated[str, typer.Argument(help="The model.")],
    reason: Annotated[str, typer.Argument(help="Why, for the record.")],
    *,
    device: Annotated[list[str] | None, typer.Option("--device", help="Collect samples there; repeatable.")] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Ask for a new iteration by hand."""
    view = connect(server, token).ask_retrain(RetrainCreate(model=model, reason=reason, device_ids=tuple(device or ())))
    print(view.id)


@app.command("open")
def open_(request: Request, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Say that the samples are labelled: workers may take the request."""
    print(connect(server, token).open_retrain(request).state)


@app.command()
def cancel(request: Request, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Take a request back."""
    print(connect(server, token).cancel_retrain(request).state)


@app.command()
def samples(
    request: Request,
    *,
    out: Annotated[Path, typer.Option(help="Folder for one .npy a sample and labels.csv to fill in.")],
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Fetch a request's samples for labelling."""
    import numpy as np

    client = connect(server, token)
    out.mkdir(parents=True, exist_ok=True)
    found = list(client.samples(request=request))
    for sample in found:
        flat = np.frombuffer(client.sample_content(sample.id), np.dtype(sample.dtype))
        np.save(out / f"{sample.id}.npy", flat.reshape(sample.shape))
    with (out / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("sample", "predicted", "label"))
        writer.writerows((sample.id, sample.predicted, sample.label) for sample in found)
    print(f"{len(found)} samples in {out}; fill in the column 'label' of labels.csv, then `edgeferry retrain label`")


@app.command()
def label(
    labels: Annotated[Path, typer.Argument(help="labels.csv from `retrain samples`, filled in.")],
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Hand in labels; rows without one are left as they are."""
    rows = read_labels(labels)
    client = connect(server, token)
    for sample, given in rows:
        client.label_sample(sample, given)
    print(f"{len(rows)} samples labelled")


def read_labels(path: Path) -> list[tuple[str, str]]:
    """(sample, label) of every row with a label.

    Raises:
        ConfigError: the file cannot be read.
        DataError: it has no columns `sample` and `label`, or no row with a label.
    """
    try:
        with path.open(newline="") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            rows = list(reader)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if not {"sample", "label"} <= set(columns):
        raise DataError(f"{path}: got columns {columns}, expected sample and label")
    found = [(row["sample"], row["label"].strip()) for row in rows if (row["label"] or "").strip()]
    if not found:
        raise DataError(f"{path}: none of {len(rows)} rows has a label", hint="fill in the column 'label'")
    return found
