"""Documents that fail the build when they are stale."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from device_agent.config import AgentConfig
from edgeferry.cli import COMMANDS
from fleet_contract.topics import TABLE
from fleet_server.config import ServerConfig
from trainer.settings import ProjectFile

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")})


def tracked_files() -> list[Path]:
    """What git tracks, or everything outside of caches where there is no git."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 - whichever git there is
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that exists."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_pages_exist(page: Path) -> None:
    """Every `edgeferry WORD` that a page shows is a command."""
    words = re.findall(r"(?:^|`)edgeferry ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    assert set(words) <= {*COMMANDS, "carries"}


def test_every_topic_is_documented() -> None:
    """docs/reference/topics.md has each topic with its QoS and retain."""
    text = (ROOT / "docs/reference/topics.md").read_text()
    for topic, rule in TABLE.items():
        retained = ", retained" if rule.retain else ""
        assert f"| `d/{{id}}/{topic}` | {rule.sender} | {rule.qos}{retained} |" in text


@pytest.mark.parametrize(
    ("section", "kind"), [("Server", ServerConfig), ("Agent", AgentConfig), ("Project", ProjectFile)]
)
def test_every_setting_is_documented(section: str, kind: type[msgspec.Struct]) -> None:
    """docs/reference/settings.md has a row for each key of each file, and no row for a key that is gone."""
    text = (ROOT / "docs/reference/settings.md").read_text()
    part = text.partition(f"## {section}")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([\w.]+)`", part, re.MULTILINE)) == set(setting_keys(kind))


def setting_keys(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every key of a settings type, with the tables that lead to it."""
    for field in msgspec.structs.fields(kind):
        is_table = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        name = f"{prefix}{field.encode_name}"
        yield from setting_keys(field.type, f"{name}.") if is_table else (name,)


def test_paths_in_the_architecture_exist() -> None:
    """A reader who follows ARCHITECTURE.md finds the file or folder."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:trainer|converter|fleet_\w+|device_agent|edgeferry)/[\w/.]+)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_shows_the_two_commands() -> None:
    """`make demo` and `make test` are what a newcomer types, and the Makefile has both."""
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_no_file_names_a_registry() -> None:
    """The lock and every other file work with whatever registry a machine is set up for."""
    wanted = re.compile(r"--(extra-)?index-url|--find-links|files\.pythonhosted")
    here = Path(__file__)
    found = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path != here
        and path.suffix in {".txt", ".toml", ".md", ".py", "", ".yml", ".cfg"}
        and wanted.search(path.read_text(errors="replace"))
    ]
    assert found == []


def test_every_decision_says_context_and_decision() -> None:
    """A decision without its context or its outcome helps nobody."""
    for page in sorted((ROOT / "docs/decisions").glob("[0-9]*.md")):
        text = page.read_text()
        assert "**Context.**" in text, page.name
        assert "**Decision.**" in text, page.name
        assert "**Consequences.**" in text, page.name
