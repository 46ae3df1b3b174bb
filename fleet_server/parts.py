"""Which object gets which: every service of one server, made once over one database."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

from fleet_contract.errors import EdgeferryError, NotFoundError
from fleet_contract.release import MAX_RELEASE_BYTES
from fleet_server.alerts import Alerts
from fleet_server.api.application import build_application
from fleet_server.api.authentication import Identity
from fleet_server.audit import Audit
from fleet_server.blobs import LocalBlobs
from fleet_server.certificates import Authority
from fleet_server.changes import Changes
from fleet_server.commands import Commands
from fleet_server.dashboard.pages import PAGES
from fleet_server.dashboard.rendering import Renderer
from fleet_server.devices import Devices
from fleet_server.director import Director
from fleet_server.document_signer import DocumentSigner
from fleet_server.enrolment import Enrolment, FleetFacts
from fleet_server.fleet_status import FleetStatusBoard, Sources
from fleet_server.gateway.service import Gateway
from fleet_server.ingest import Ingest
from fleet_server.membership import Membership
from fleet_server.metrics import Metrics
from fleet_server.monitors.drift_monitor import DriftMonitor
from fleet_server.monitors.presence import Presence
from fleet_server.monitors.verdicts import Verdicts
from fleet_server.monitors.watch import Watch
from fleet_server.readiness import Readiness
from fleet_server.registry import Registry
from fleet_server.retrain import RetrainRequests
from fleet_server.retrain_policy import RetrainPolicy
from fleet_server.rollout.engine import RolloutEngine
from fleet_server.rollout.service import Rollouts
from fleet_server.samples import Samples
from fleet_server.tuf_repository import TufRepository
from fleet_server.users import Users
from fleet_server.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from litestar import Litestar

    from fleet_server.blobs import Blobs
    from fleet_server.broker.running import RunningBroker
    from fleet_server.clock import Clock
    from fleet_server.config import ServerConfig
    from fleet_server.storage.database import Database

log = logging.getLogger(__name__)

RENEW_EVERY_S: Final = 3600.0


class _Shared(TypedDict):
    """What almost every service takes."""

    changes: Changes
    audit: Audit
    clock: Clock


class Parts:
    """Every service of one server over one database, made once."""

    def __init__(self, config: ServerConfig, database: Database, clock: Clock, broker: RunningBroker) -> None:
        online = config.keys_dir / "online"
        self.config = config
        self.database = database
        self.clock = clock
        self.broker = broker
        self.changes = Changes()
        self.metrics = Metrics()
        self.audit = Audit(database, self.changes)
        self.blobs: Blobs = LocalBlobs(config.blob_folder)
        self.trust = TufRepository(config.state_dir / "trust", config.keys_dir, clock, partial(find_blob, self.blobs))
        self.webhook = Webhook(config.alerts) if config.alerts.webhook_url else None
        self.users = Users(database, self.audit, clock)
        self.devices = Devices(database, self.changes, self.audit, clock)
        signer = DocumentSigner.load(online / "director.pem")
        self.director = Director(database, self.changes, signer, clock, config.telemetry)
        self.membership = Membership(database, self.devices, self.director, self.audit, clock)
        self.enrolment = Enrolment(
            database,
            devices=self.devices,
            director=self.director,
            audit=self.audit,
            clock=clock,
            authority=Authority.load(online / "ca.pem", online / "ca.crt"),
            fleet=FleetFacts(config.tenant, self.trust.root_json, lambda: broker.address),
        )
        self._add_dynamics()
        self._add_views()

    def _add_dynamics(self) -> None:
        shared = _Shared(changes=self.changes, audit=self.audit, clock=self.clock)
        config = self.config
        self.registry = Registry(self.database, blobs=self.blobs, trust=self.trust, **shared)
        self.alerts = Alerts(self.database, teller=self.webhook, **shared)
        self.devices.on_security = self.alerts.on_security
        self.commands = Commands(self.database, devices=self.devices, director=self.director, **shared)
        self.rollouts = Rollouts(self.database, registry=self.registry, **shared)
        self.engine = RolloutEngine(
            self.database,
            director=self.director,
            registry=self.registry,
            alerts=self.alerts,
            settings=config.rollout,
            **shared,
        )
        self.ingest = Ingest(self.database, self.changes, config.monitoring)
        self.retrain_requests = RetrainRequests(self.database, settings=config.retrain, **shared)
        self.retrain_policy = RetrainPolicy(
            self.database,
            requests=self.retrain_requests,
            commands=self.commands,
            devices=self.devices,
            clock=self.clock,
            settings=config.retrain,
        )
        self.samples = Samples(
            self.database,
            blobs=self.blobs,
            devices=self.devices,
            registry=self.registry,
            requests=self.retrain_requests,
            settings=config.sampling,
            **shared,
        )
        self._add_gateway()
        self._add_watch()

    def _add_gateway(self) -> None:
        self.gateway = Gateway(
            self.broker,
            tenant=self.config.tenant,
            database=self.database,
            devices=self.devices,
            director=self.director,
            commands=self.commands,
            ingest=self.ingest,
            changes=self.changes,
            clock=self.clock,
            settings=self.config.ingest,
        )

    def _add_watch(self) -> None:
        verdicts = Verdicts(
            devices=self.devices,
            alerts=self.alerts,
            policy=self.retrain_policy,
            settings=self.config.monitoring,
        )
        drift = DriftMonitor(self.database, verdicts, self.config.monitoring)
        presence = Presence(self.database, alerts=self.alerts, clock=self.clock, settings=self.config.monitoring)
        self.watch = Watch(
            drift=drift, presence=presence, requests=self.retrain_requests, settings=self.config.monitoring
        )

    def _add_views(self) -> None:
        sources = Sources(
            devices=self.devices,
            rollouts=self.rollouts.current,
            open_alerts=self.alerts.open_count,
            open_retrain_requests=self.retrain_requests.open_count,
            broker=lambda: self.broker.kind,
        )
        self.board = FleetStatusBoard(sources, self.changes, self.clock)
        self.metrics.watch_fleet(lambda: self.board.snapshot().status)
        self.readiness = Readiness()
        self.readiness.add("database", self._database_answers)
        self.readiness.add("broker", self.broker.alive)
        self.readiness.add("gateway", lambda: self.gateway.connected)
        self.metrics.watch_counters("edgeferry_messages", "MQTT messages by outcome.", "outcome", self.gateway.counts)
        self.metrics.watch_counters(
            "edgeferry_windows", "Telemetry windows.", "outcome", lambda: {"stored": self.ingest.stored_windows}
        )

    def _database_answers(self) -> bool:
        return len(self.devices.page(limit=1)) >= 0

    def application(self) -> Litestar:
        """The HTTP side."""
        identity = Identity(self.users, self.enrolment)
        by_name = {
            "alerts": self.alerts,
            "audit": self.audit,
            "blobs": self.blobs,
            "board": self.board,
            "changes": self.changes,
            "clock": self.clock,
            "commands": self.commands,
            "config": self.config,
            "devices": self.devices,
            "enrolment": self.enrolment,
            "identity": identity,
            "membership": self.membership,
            "ingest": self.ingest,
            "metrics": self.metrics,
            "readiness": self.readiness,
            "registry": self.registry,
            "renderer": Renderer(self.clock),
            "retrain_policy": self.retrain_policy,
            "retrain_requests": self.retrain_requests,
            "rollouts": self.rollouts,
            "samples": self.samples,
            "trust": self.trust,
            "users": self.users,
        }
        return build_application(
            identity=identity,
            database=self.database,
            clock=self.clock,
            metrics=self.metrics,
            metrics_public=self.config.metrics_public,
            dependencies=by_name,
            pages=PAGES,
        )

    def tasks(self) -> dict[str, Callable[[], Coroutine[None, None, None]]]:
        """What runs for as long as the server does, by name."""
        return {"monitors": self.watch.run, "rollout-engine": self.engine.run, "renewal": self.keep_signatures_fresh}

    async def keep_signatures_fresh(self) -> None:
        """Signs timestamp, snapshot and desired documents again before they expire."""
        while True:
            try:
                await asyncio.to_thread(self.trust.renew)
                await asyncio.to_thread(self.director.renew_expiring)
            except EdgeferryError as error:
                log.exception("renewal failed problem=%s", error.message)  # tried again in an hour; a week is left
            await asyncio.sleep(RENEW_EVERY_S)


def find_blob(blobs: Blobs, sha256: str) -> bytes | None:
    """The bytes of a small blob, None where there is none."""
    try:
        return blobs.read(sha256, max_bytes=MAX_RELEASE_BYTES)
    except NotFoundError:
        return None
