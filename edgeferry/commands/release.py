"""`edgeferry release`: published releases and their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect

if TYPE_CHECKING:
    from fleet_contract.release import Evaluation, ReleaseManifest, VariantEvidence

app = typer.Typer(no_args_is_help=True, help="Published releases and their aliases.", add_completion=False)


@app.command("list")
def list_(
    model: Annotated[str, typer.Argument(help="Only this model.")] = "",
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Releases, newest first."""
    releases = list(connect(server, token).releases(model=model))
    if as_json:
        print_json(releases)
        return
    print_table(
        ("release", "published", "by", "aliases", "accuracy", "variants"),
        [
            (
                f"{each.model} v{each.version}",
                show_time(each.published_at),
                each.published_by,
                ", ".join(each.aliases),
                _accuracy(each.manifest.evaluation),
                ", ".join(variant.id for variant in each.manifest.variants),
            )
            for each in releases
        ],
    )


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="Version or alias.")],
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """One release with its evidence."""
    view = connect(server, token).release(model, version)
    if as_json:
        print_json(view)
        return
    manifest = view.manifest
    print(f"{view.model} v{view.version}, {view.release_sha256}")
    print(f"data {manifest.lineage.data_source} {manifest.lineage.data_snapshot_sha256}, run {manifest.lineage.run_id}")
    print_table(
        ("gate", "passed", "measured", "threshold"),
        [(each.gate, each.passed, f"{each.measured:.4g}", f"{each.threshold:.4g}") for each in manifest.verdict.gates],
    )
    print_table(
        ("variant", "bytes", "accuracy", "drop", "agreement", "SQNR dB", "p50 ms", "host MB"),
        [
            (
                each.id,
                each.blob.size_bytes,
                *_class_figures(each.evidence, manifest),
                f"{each.evidence.sqnr_db:.1f}",
                f"{each.evidence.latency_p50_ms:.3f}",
                f"{each.evidence.host_rss_mb:.0f}",
            )
            for each in manifest.variants
        ],
    )


@app.command()
def alias(
    model: Annotated[str, typer.Argument(help="The model.")],
    name: Annotated[str, typer.Argument(help="The alias, for instance champion.")],
    version: Annotated[int, typer.Argument(help="The version that it shall name.")],
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Move an alias."""
    view = connect(server, token).set_alias(model, name, version)
    print(f"{name} is {view.model} v{view.version}")


def _accuracy(evaluation: Evaluation) -> str:
    return f"{evaluation.overall.accuracy:.4f}" if evaluation.labelled else "not measured"


def _class_figures(found: VariantEvidence, manifest: ReleaseManifest) -> tuple[str, str, str]:
    """Accuracy, its drop and the agreement; a dash for what was not measured."""
    labelled = manifest.evaluation.labelled
    return (
        f"{found.accuracy:.4f}" if labelled else "-",
        f"{found.accuracy_drop:+.4f}" if labelled else "-",
        f"{found.top1_agreement:.4f}" if manifest.labels else "-",
    )
