"""A deployment as the console's API tells of it, made up: a thousand channels, or a handful; the same at every call.

The documents have the members of `GET /v1/overview` and its neighbours; tests/e2e/test_console.py sees the real ones.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import Any, Final

QUARTERS: Final = 96

_GROUPS: Final = {
    "News": ("World News", "Morning Brief", "Parliament", "Business Daily", "Regional North", "Regional South", "Weather"),
    "Sport": ("Arena", "Arena 2", "Cycling", "Winter Games", "Football Live", "Motor", "Darts and Snooker"),
    "Films": ("Cinema One", "Classics", "Noir", "Festival", "Matinee", "Shorts"),
    "Children": ("Puddle", "Story Time", "Robots", "Junior Science"),
    "Music": ("Concert Hall", "Jazz Cellar", "Charts", "Folk"),
    "Documentary": ("Deep Sea", "Great Rivers", "Archive", "Space", "Inventors"),
}
_HOSTS: Final = ("edge1.acme-tv.example", "live.northlink.example", "cdn.orbit.example", "relay.harbour.example")
_REASONS: Final = ("source stalled: nothing for 3.0 s", "404 Not Found", "connection refused", "500 Internal Server Error",
                   "source ended", "the certificate has expired")  # fmt: skip


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Fixture:
    """What the API would know at `now` (seconds). `trouble`: how many channels of each kind are in it."""

    def __init__(self, now: float, channels: int = 1000, sessions: int = 500, *, trouble: dict[str, int] | None = None) -> None:
        self.now = now
        self._random = random.Random(7)
        self._kinds = [kind for kind, n in (trouble or {}).items() for _ in range(n)]
        self.channels = [self._channel(number) for number in range(1, channels + 1)]
        self._place(min(len(self._kinds), channels))
        self.sessions = self._sessions(sessions)
        self.cursor = 812_345
        self.draining_since: str | None = None
        self.orchestrated = True
        self.providers: list[dict[str, Any]] = [
            {"id": "p-acme", "name": "Acme TV", "max_connections": 40, "connections_in_use": 31, "created_at": stamp(now)},
            {
                "id": "p-north",
                "name": "Northlink",
                "max_connections": 12,
                "connections_in_use": 12 if trouble else 9,
                "created_at": stamp(now),
            },
            {"id": "p-orbit", "name": "Orbit", "max_connections": None, "connections_in_use": 4, "created_at": stamp(now)},
        ]
        self.findings: list[dict[str, Any]] = [
            {"check": "store", "level": "wrong", "what": "the store's clock is 7 s off", "subjects": [],
             "remedy": "set the clock of the store's machine: signatures are refused where clocks differ"},
            {"check": "sources", "level": "note", "what": "sources that have not worked for an hour or longer",
             "subjects": [self.channels[n]["sources"][0]["id"] for n in range(min(2, channels))],
             "remedy": "replace their addresses, or disable them"},
        ]  # fmt: skip
        self.recent = [self._event(index) for index in range(30)] if self.sessions else []

    def overview(self, at: float) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for session in self.sessions:
            counts[session["channel_id"]] = counts.get(session["channel_id"], 0) + 1
            if session["source_id"] is not None:
                session["last_segment_at"] = stamp(at - self._random.random() * 2)
        for channel in self.channels:
            channel["sessions"] = counts.get(channel["id"], 0)
        return {
            "at": stamp(at),
            "version": "0.1.0",
            "public_url": "https://tv.example.com",
            "draining_since": self.draining_since,
            "orchestrator": {"seen_at": stamp(at - 1 if self.orchestrated else at - 900), "runs": self.orchestrated},
            "store_answers": True,
            "full_providers": [
                {name: each[name] for name in ("id", "name", "max_connections", "connections_in_use")}
                for each in self.providers
                if each["max_connections"] is not None and each["connections_in_use"] >= each["max_connections"]
            ],
            "cursor": self.cursor,
            "channels": self.channels,
            "sessions": self.sessions,
        }

    def channel(self, name: str) -> dict[str, Any] | None:
        return next((each for each in self.channels if name in (each["id"], each["slug"])), None)

    def source(self, source_id: str) -> dict[str, Any] | None:
        return next((each for channel in self.channels for each in channel["sources"] if each["id"] == source_id), None)

    def session(self, session_id: str) -> dict[str, Any] | None:
        return next((each for each in self.sessions if each["id"] == session_id), None)

    def attempts(self, session: dict[str, Any]) -> list[dict[str, Any]]:
        """The latest is what the session plays."""
        channel = self.channel(session["channel_id"])
        assert channel is not None
        began = datetime.fromisoformat(session["created_at"]).timestamp()
        length = (self.now - began) / session["attempt"]
        found = []
        for number in range(1, session["attempt"] + 1):
            last = number == session["attempt"]
            start = began + (number - 1) * length
            source = session["source_id"] if last else channel["sources"][(number - 1) % len(channel["sources"])]["id"]
            found.append(
                {"number": number, "source_id": source, "started_at": stamp(start), "first_segment_at": stamp(start + 0.31),
                 "ended_at": None if last else stamp(start + length), "exit_code": None if last else 13,
                 "start_reason": "requested" if number == 1 else _REASONS[number % 4],
                 "end_reason": None if last else _REASONS[(number + 1) % 4]}
            )  # fmt: skip
        return found

    def history(self, session: dict[str, Any]) -> list[dict[str, Any]]:
        """A session's events, as its attempts would have told them."""
        attempts = self.attempts(session)
        base = {"session_id": session["id"], "playlist_url": "http://origin.example/index.m3u8"}
        first = attempts[0]
        events = [base | {"id": 1, "type": "session.live", "at": first["first_segment_at"], "source": first["source_id"],
                          "attempt": 1, "start_ms": 412}]  # fmt: skip
        for before, after in itertools.pairwise(attempts):
            events.append(base | {"id": len(events) + 1, "type": "stream.switch", "at": after["first_segment_at"],
                                  "from": before["source_id"], "to": after["source_id"], "attempt": after["number"],
                                  "reason": after["start_reason"], "gap_ms": 0})  # fmt: skip
        return events

    def quarters(self, channel: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"at": stamp(self.now // 900 * 900 - (QUARTERS - 1 - index) * 900), "state": letter,
             "swaps": 2 if letter in "as" else 0, "failures": 1 if letter in "asr" else 0}
            for index, letter in enumerate(channel["strip"])
        ]  # fmt: skip

    def _channel(self, number: int) -> dict[str, Any]:
        group = list(_GROUPS)[number % len(_GROUPS)]
        names = _GROUPS[group]
        turn = number // len(_GROUPS)
        name = names[turn % len(names)] + ("" if turn < len(names) else f" {turn // len(names) + 1}")
        count = self._random.choice((2, 3, 3, 3, 4))
        return {
            "id": f"c-{number:05d}", "slug": f"channel-{number}", "name": name, "number": number, "group": group, "logo": None,
            "enabled": number % 97 != 0, "sharing": "channel" if number % 3 == 0 else "viewer", "failback": "when_stable",
            "profile": "copy", "hevc": "h264" if number % 10 == 0 else "copy", "slate": number % 11 != 0, "failovers": [],
            "sessions": 0, "strip": self._strip(number),
            "sources": [self._source(number, place) for place in range(1, count + 1)],
        }  # fmt: skip

    def _strip(self, number: int) -> str:
        letters: list[str] = []
        while len(letters) < QUARTERS:
            kind = self._random.choices(".ga", (5, 8, 1))[0] if number % 2 else self._random.choices(".g", (6, 3))[0]
            letters += kind * self._random.randint(2, 22)
        return "".join(letters[:QUARTERS])

    def _source(self, channel: int, place: int) -> dict[str, Any]:
        status = self._random.choices(("healthy", "unknown", "recovered"), (90, 7, 3))[0]
        return {
            "id": f"x-{channel:05d}-{place}", "label": f"{_HOSTS[(channel + place) % len(_HOSTS)]}/{channel}.m3u8",
            "priority": place, "enabled": True, "status": status,
            "provider_id": ("p-acme", "p-north", "p-orbit", None)[(channel + place) % len(_HOSTS)],
            "failure_count": self._random.choice((0, 0, 0, 1, 3)), "stall_count": self._random.choice((0, 0, 1)),
            "last_checked_at": stamp(self.now - self._random.randint(5, 110)), "last_failed_at": None,
            "last_failure_reason": None, "held_off_until": None, "in_use": 0, "audio": "aac",
            "video": "hevc" if channel % 5 == 0 and place == 1 else "h264",
            "width": 1920 if place == 1 else 1280, "height": 1080 if place == 1 else 720,
            "bitrate_bps": 5_800_000 if place == 1 else 2_900_000,
        }  # fmt: skip

    def _place(self, count: int) -> None:
        """Trouble, spread over the channels."""
        step = max(1, len(self.channels) // max(1, count + 1))
        for kind, index in zip(self._kinds, range(step, len(self.channels), step), strict=False):
            channel = self.channels[index]
            channel["enabled"] = True
            broken = {"backup": 1, "risk": 1}.get(kind, len(channel["sources"]))
            reason = self._random.choice(_REASONS)
            for source in channel["sources"][:broken] if kind != "risk" else channel["sources"][1:2]:
                failed_at = self.now - self._random.randint(20, 3000)
                source |= {"status": "problematic", "failure_count": self._random.randint(1, 9), "last_failure_reason": reason,
                           "last_failed_at": stamp(failed_at), "held_off_until": stamp(self.now + 140)}  # fmt: skip
            channel["slate"] = kind != "off"
            letter = {"off": "r", "slate": "s", "backup": "a", "dead": ".", "risk": "g"}[kind]
            channel["strip"] = channel["strip"][:-3] + "g" + letter * 2
            channel["kind"] = kind

    def _sessions(self, count: int) -> list[dict[str, Any]]:
        kinds = {channel["id"]: channel.pop("kind", None) for channel in self.channels}
        wanted = [each for each in self.channels if kinds[each["id"]] not in (None, "dead")]
        well = [each for each in self.channels if kinds[each["id"]] is None and each["enabled"]]
        found = [self._session(number, channel, kinds[channel["id"]]) for number, channel in enumerate(wanted)]
        while len(found) < count and well:
            number = len(found)
            found.append(self._session(number, well[number * 7 % len(well)], None))
        return found[:count]

    def _session(self, number: int, channel: dict[str, Any], kind: str | None) -> dict[str, Any]:
        shared = channel["sharing"] == "channel"
        began = self.now - self._random.choice((40, 340, 2200, 9000, 40_000)) - number
        source = (
            None if kind == "off" else "slate" if kind == "slate" else channel["sources"][1 if kind == "backup" else 0]["id"]
        )
        if source not in (None, "slate"):
            channel["sources"][1 if kind == "backup" else 0]["in_use"] += 1
        live = kind not in ("off", "slate")
        return {
            "id": f"s-{number:05d}k2m9x5t8w3q6", "channel_id": channel["id"],
            "viewer": "*" if shared else f"viewer-{number:04d}",
            "viewers": self._random.randint(2, 90) if shared else 1, "phase": "live" if live else "unavailable",
            "shown": {"off": "nothing", "slate": "slate"}.get(kind or "", "source"),
            "desired": "run", "attempt": {"off": 6, "slate": 5, "backup": 2}.get(kind or "", 1), "source_id": source,
            "created_at": stamp(began), "attempt_started_at": stamp(began + 1), "live_at": stamp(began + 1.4),
            "bitrate_bps": 2_400_000 + number * 9973 % 3_600_000 if live else 210_000 if kind == "slate" else None,
            "segments": 15 if kind != "off" else 9, "buffer_s": 30.0 if kind != "off" else 18.0,
            "last_segment_at": stamp(self.now - 1.2) if kind != "off" else stamp(self.now - 74),
        }  # fmt: skip

    def _event(self, index: int) -> dict[str, Any]:
        """Of the last minutes; the newest first in number and time."""
        session = self.sessions[index * 3 % len(self.sessions)]
        channel = self.channel(session["channel_id"])
        assert channel is not None
        sources = [source["id"] for source in channel["sources"]]
        kind = {"off": "stream.unavailable", None: "session.live"}.get(
            None if session["phase"] == "live" else "off", "session.live"
        )
        if session["phase"] == "live" and session["attempt"] > 1:
            kind = "stream.switch"
        more: dict[str, Any] = {
            "session.live": {"source": sources[0], "attempt": 1, "start_ms": 380 + index * 7},
            "stream.switch": {"from": sources[0], "to": sources[1], "attempt": 2, "reason": _REASONS[index % 4], "gap_ms": 0},
            "stream.unavailable": {"reason": _REASONS[index % 4], "slate": session["source_id"] == "slate", "sources": {}},
        }[kind]
        return {"id": self.cursor - index, "type": kind, "at": stamp(self.now - 8 - index * 23), "session_id": session["id"],
                "channel_id": channel["id"], "playlist_url": "http://origin.example/index.m3u8", **more}  # fmt: skip
