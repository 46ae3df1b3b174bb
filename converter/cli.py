"""`edgeferry convert`: a candidate to proven TFLite and ONNX variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from converter.bundle import Bundle
    from converter.report import VariantReport


def convert(  # noqa: PLR0917  typer passes options by name
    candidate: Annotated[
        Path | None, typer.Argument(help="Folder that `edgeferry train` wrote; default: the newest in ./candidates.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; an older bundle is replaced.")] = Path(
        "release"
    ),
    recipes: Annotated[str, typer.Option("--recipes", help="Names, with commas; default: the candidate's.")] = "",
    override: Annotated[
        str, typer.Option("--override", help="Why to convert a candidate whose verdict did not pass; recorded.")
    ] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds that one recipe may take.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Convert a candidate to quantized, proven variants and write the release bundle."""
    from rich.console import Console

    from converter.candidate_folder import newest_candidate
    from converter.cli_runtimes import installed_environments
    from converter.console_progress import console_progress
    from converter.pipeline import convert as run
    from converter.sandbox import Limits

    console = Console(stderr=True)
    with console_progress(console, "converting") as progress:
        bundle = run(
            candidate or newest_candidate(Path("candidates")),
            out,
            progress=progress,
            recipes=_names(recipes),
            override=_signed(override),
            limits=Limits(timeout_s=timeout_s),
            environments=installed_environments(),
        )
    _show(bundle, console, as_json=as_json)


def _names(recipes: str) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in recipes.split(",") if name.strip())
    return names or None


def _signed(override: str) -> str:
    """The reason with the name of the user who gives it."""
    if not override.strip():
        return ""
    from getpass import getuser

    return f"{getuser()}: {override.strip()}"


def _show(bundle: Bundle, console: Console, *, as_json: bool) -> None:
    from converter.bundle import REPORT_JSON

    data = (bundle.folder / REPORT_JSON).read_bytes()
    if as_json:
        print(data.decode())
    else:
        _print_table(data)
    console.print(f"bundle: {bundle.folder}", f"report: {bundle.report}", sep="\n", highlight=False, soft_wrap=True)


def _print_table(data: bytes) -> None:
    from rich.console import Console
    from rich.table import Table

    from converter.report import ConversionReport
    from fleet_contract.codec import decode
    from fleet_contract.release import MAX_RELEASE_BYTES

    report = decode(data, ConversionReport, max_bytes=MAX_RELEASE_BYTES)
    columns = ("variant", "verdict", "size", "accuracy", "agreement", "SQNR", "p50", "RSS")
    table = Table(*columns, title=f"{report.model}: float accuracy {report.float_accuracy:.2%}", title_justify="left")
    for variant in report.variants:
        table.add_row(*_cells(variant))
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    for variant in report.variants:
        if not variant.published:
            console.print(f"{variant.id} refused: {variant.reason}", highlight=False, markup=False, soft_wrap=True)


def _cells(variant: VariantReport) -> tuple[str, ...]:
    verdict = "published" if variant.published else "[red]refused[/red]"
    found = variant.evidence
    if found is None:
        return (variant.id, verdict)
    return (
        variant.id,
        verdict,
        f"{variant.size_bytes / 1024:.1f} KB",
        f"{found.accuracy:.2%}",
        f"{found.top1_agreement:.2%}",
        f"{found.sqnr_db:.1f} dB",
        f"{found.latency_p50_ms:.3f} ms",
        f"{found.host_rss_mb:.0f} MB",
    )
