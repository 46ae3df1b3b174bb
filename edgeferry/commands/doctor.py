"""`edgeferry doctor`: what this machine has and can do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from edgeferry.output import print_json, print_table
from edgeferry.session import AsJson

PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "agent": ("aiomqtt", "paho-mqtt", "tuf", "h11", "cryptography"),
    "tflite": ("ai-edge-litert", "tflite-runtime"),
    "onnx": ("onnxruntime",),
    "server": ("litestar", "sqlalchemy", "alembic", "uvicorn", "obstore", "iotcore", "scipy"),
    "trainer": ("tensorflow", "keras", "mlflow", "scikit-learn"),
    "converter": ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert"),
}
FASHION_MNIST: Final = Path("/usr/share/datasets/fashion-mnist")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    topic: str
    found: str
    remark: str = ""


def doctor(*, as_json: AsJson = False) -> None:
    """What this machine has and can do."""
    findings = [*_machine(), *_packages(), *_system()]
    if as_json:
        print_json(findings)
    else:
        print_table(("topic", "found", "remark"), [(each.topic, each.found, each.remark) for each in findings])


def _machine() -> list[Finding]:
    ram_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    return [
        Finding(topic="machine", found=f"{platform.machine()}, {os.cpu_count()} cores, {ram_mb} MB of RAM"),
        Finding(topic="python", found=sys.version.split()[0]),
        Finding(
            topic="disk",
            found=f"{free_gb:.1f} GB free here",
            remark="a training machine needs about 5 GB" if free_gb < 5 else "",
        ),
    ]


def _packages() -> list[Finding]:
    findings = []
    for extra, names in PACKAGES.items():
        found = {name: _version(name) for name in names}
        missing = [name for name, installed in found.items() if not installed]
        enough = any(found.values()) if extra == "tflite" else not missing
        findings.append(
            Finding(
                topic=f"extra {extra}",
                found=", ".join(f"{name} {installed}" for name, installed in found.items() if installed) or "nothing",
                remark="" if enough else f"pip install 'edgeferry[{extra}]' brings {', '.join(missing)}",
            )
        )
    return findings


def _system() -> list[Finding]:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    mosquitto = shutil.which("mosquitto", path=path)
    return [
        Finding(
            topic="broker",
            found=f"Mosquitto at {mosquitto}" if mosquitto else "embedded (iotcore)",
            remark="" if mosquitto else "for production: apt install mosquitto",
        ),
        Finding(
            topic="demo data",
            found="Fashion-MNIST" if FASHION_MNIST.is_dir() else "digits",
            remark="" if FASHION_MNIST.is_dir() else "apt install dataset-fashion-mnist for the larger one",
        ),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
