"""`edgeferry demo`: the whole loop on this machine, in acts that assert what they tell.

The exit code is honest: 0 only when every act held. Everything lives in one folder; Ctrl-C ends every process.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeferry.demo.narrator import Narrator
    from edgeferry.demo.world import World


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder of everything the demo makes; made anew.")] = Path("demo-out"),
    data: Annotated[
        str, typer.Option(help="auto, digits or fashion-mnist (Debian's package dataset-fashion-mnist).")
    ] = "auto",
    broker: Annotated[str, typer.Option(help="auto, embedded or mosquitto.")] = "auto",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the fleet running until Ctrl-C.")] = False,
) -> None:
    """Tell the whole story on this machine: train, convert, sign, roll out, drift, retrain."""
    from rich.console import Console

    from edgeferry.demo import acts
    from edgeferry.demo.field import cut
    from edgeferry.demo.narrator import Narrator
    from edgeferry.demo.processes import Processes
    from edgeferry.demo.world import World

    narrator = Narrator(Console(stderr=True))
    folder = _fresh(out.absolute())
    signal.signal(signal.SIGTERM, _interrupt)
    with Processes(folder / "logs") as processes:
        images = cut(f"builtin:{data}", folder / "data.npz")
        narrator.say(f"data: {images.source}; {images.project_rows} images to train on, the field keeps its own")
        world = World(folder=folder, processes=processes, images=images, broker=broker)
        try:
            acts.play(world, narrator)
            _end(world, narrator)
            if keep:
                _stay(world, narrator)
        finally:
            world.stop_cameras()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _fresh(folder: Path) -> Path:
    """The folder, empty; only one that an earlier demo made is emptied.

    Raises:
        ConflictError: something else is there.
    """
    from fleet_contract.errors import ConflictError

    marker = folder / ".edgeferry-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise ConflictError(f"{folder} is not an earlier demo's folder", hint="name another with --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()
    return folder


def _end(world: World, narrator: Narrator) -> None:
    from edgeferry.demo.picture import draw, drift_lines

    narrator.end_act()
    narrator.console.rule("[bold]The end", align="left")
    for act in narrator.acts:
        narrator.say(f"{act.ended_s - act.started_s:6.1f} s  {act.title}")
    narrator.say(f"{narrator.now_s():6.1f} s  in all")
    for name, value in narrator.figures.items():
        narrator.say(f"{name:<24} {'█' * round(value * 40):<40} {value:.1%}")
    variants = world.variants()
    for name, device in world.devices().items():
        memory = f"agent {device.agent_rss_mb:.0f} MB, model host {device.host_rss_mb:.0f} MB of RAM"
        narrator.say(f"{name:<12} {variants.get(name, '-'):<23} {memory}")
    picture = world.folder / "story.png"
    draw(narrator, drift_lines(world.client(), narrator), picture)
    narrator.say(f"picture: {picture}")
    print(picture)


def _stay(world: World, narrator: Narrator) -> None:
    token = world.token_file.read_text().strip()
    narrator.say(f"dashboard: {world.url}/  token: {token}")
    narrator.say("the fleet goes on until Ctrl-C")
    print(f"{world.url}/", flush=True)
    while True:
        time.sleep(1.0)
