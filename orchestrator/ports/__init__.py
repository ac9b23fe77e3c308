"""Ports: what the orchestrator and the API need of database, store, engine, bus and FFmpeg, as Protocols.

Rule: a method raises the errors that it names, and no error of an outside library; adapters translate these. `Temporary` errors
become `Unknown` observations (law 3).
"""

from __future__ import annotations

from orchestrator.ports.address_places import AddressPlaces, Bound, Full, NoPlace
from orchestrator.ports.catalogue import Catalogue, ChannelRow, LineUp, NewSource
from orchestrator.ports.containers import ContainerEvent, ContainerRuntime, EngineReport, Launch
from orchestrator.ports.event_bus import EventBus
from orchestrator.ports.frames import Frames
from orchestrator.ports.journal import Journal
from orchestrator.ports.object_store import ObjectStore, PrivateReport, Stamp, StoredObject, StoreReport
from orchestrator.ports.operation import DRAIN_RETRY_S, DRAINING, Challenger, Leader, Operation, OrchestratorRow
from orchestrator.ports.playlist_imports import Download, Imports
from orchestrator.ports.prober import Prober, ProbeResult
from orchestrator.ports.probes import PROBES, ProbeAnswer, Probes
from orchestrator.ports.providers import Providers
from orchestrator.ports.sessions import FRESH_S, LEASE_KEPT_S, AttemptRow, LatestRenewals, Lease, SessionRow, Sessions
from orchestrator.ports.tables import Tables

__all__ = [
    "DRAINING",
    "DRAIN_RETRY_S",
    "FRESH_S",
    "LEASE_KEPT_S",
    "PROBES",
    "AddressPlaces",
    "AttemptRow",
    "Bound",
    "Catalogue",
    "Challenger",
    "ChannelRow",
    "ContainerEvent",
    "ContainerRuntime",
    "Download",
    "EngineReport",
    "EventBus",
    "Frames",
    "Full",
    "Imports",
    "Journal",
    "LatestRenewals",
    "Launch",
    "Leader",
    "Lease",
    "LineUp",
    "NewSource",
    "NoPlace",
    "ObjectStore",
    "Operation",
    "OrchestratorRow",
    "PrivateReport",
    "ProbeAnswer",
    "ProbeResult",
    "Prober",
    "Probes",
    "Providers",
    "SessionRow",
    "Sessions",
    "Stamp",
    "StoreReport",
    "StoredObject",
    "Tables",
]
