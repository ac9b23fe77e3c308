"""Connection ledger: which attempts and probes hold how many connections of which provider.

Rule: nothing is started that would take more connections than a provider allows. An attempt holds a connection from the
decision that starts it until its container is seen not to run. While the engine does not answer, it still holds it (law 3). A
probe holds one for as long as it runs.

The ledger is data without I/O. No await lies between asking what is free and taking it, so two sessions that decide at the
same time cannot both take the last connection.

Sessions come before probes: a probe is cancelled where a session needs its connection. A session may hand its own connection
on to its next attempt, once the container that holds it is gone; so a limit that is lowered ends no session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from orchestrator.core.model import (
    HOLDING,
    SLATE,
    Attempt,
    Container,
    Decision,
    Observation,
    Provider,
    Requested,
    Source,
    StartAttempt,
    Unavailable,
)
from orchestrator.core.source.first_probes import free_for_first_probes


class ConnectionLedger:
    """`wake` is called with the id of each session that waits for a connection, when one becomes free."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake_session = wake
        # Whether the containers that ran before this process have been counted
        self.known = False
        self._providers: dict[str, Provider] = {}
        # session → attempt → provider; of attempts that run, and of those that are to be started
        self._of: dict[str, dict[int, str]] = {}
        self._held: dict[str, set[int]] = {}  # session → attempts that hold a connection
        self._by_attempts: Counter[str] = Counter()  # provider → connections
        self._probes: dict[str, str] = {}  # source → provider
        self._waiting: dict[str, dict[str, str]] = {}  # session → source → provider

    # --- limits -------------------------------------------------------------------------------------------------------

    def limit(self, providers: Iterable[Provider]) -> None:
        """Sets all providers with their limits."""
        before, self._providers = self._providers, {each.id: each for each in providers}
        self._wake({each.id for each in before.values() if self._providers.get(each.id) != each})

    def knows(self, sources: Iterable[Source]) -> bool:
        """Whether the limits of all their providers are known."""
        return all(each.provider_id is None or each.provider_id in self._providers for each in sources)

    def in_use(self, provider_id: str) -> int:
        return self._by_attempts[provider_id] + self._probing(provider_id)

    # --- attempts -----------------------------------------------------------------------------------------------------

    def count(self, holders: Mapping[tuple[str, int], str]) -> None:
        """Counts every running container: (session, attempt) → provider. From now on it is known what is in use."""
        for (session_id, attempt), provider_id in holders.items():
            self._of.setdefault(session_id, {})[attempt] = provider_id
            self._hold(session_id, self._held.get(session_id, set()) | {attempt})
        self.known = True
        for session_id in tuple(self._waiting):
            self._wake_session(session_id)

    def observed(
        self, session_id: str, containers: Iterable[Container], current: Iterable[Attempt] = (), sources: Iterable[Source] = ()
    ) -> None:
        """The engine has answered with the session's containers: attempts that no longer run give their connections back."""
        known = self._of.setdefault(session_id, {})
        providers = {each.id: each.provider_id for each in sources}
        numbers = {each.number for each in current}
        for attempt in current:
            # Of its first input: what it switches to by itself is granted to it only where the provider has no limit.
            provider_id = providers.get(attempt.legs[0].input)
            if provider_id is not None:
                known.setdefault(attempt.number, provider_id)
        running = {each.attempt for each in containers if each.state in HOLDING}
        self._hold(session_id, running & known.keys())
        for number in known.keys() - running - numbers:
            del known[number]
        if not known:
            del self._of[session_id]

    def decided(self, decision: Decision, seen: Observation) -> None:
        """Takes the connections of the attempts to be started. A session that is left without an attempt waits for those that
        it could not have."""
        session = decision.session
        for action in decision.actions:
            if isinstance(action, StartAttempt) and action.source_id != SLATE:
                self.take(session.id, action.attempt, next(each for each in seen.sources if each.id == action.source_id))
        match session.state:
            case Requested() | Unavailable(trying=None, renewing=None):
                self.wait(session.id, (each for each in seen.sources if each.id in seen.full))
            case _:
                self.no_longer_waits(session.id)

    def undone(self, decision: Decision) -> None:
        """The decision was not committed: gives back what it has taken."""
        for action in decision.actions:
            if isinstance(action, StartAttempt):
                self.give_back(decision.session.id, action.attempt)

    def take(self, session_id: str, attempt: int, source: Source) -> None:
        """For an attempt that is to be started on a source that is not `full`."""
        if source.provider_id is not None:
            self._of.setdefault(session_id, {})[attempt] = source.provider_id
            self._hold(session_id, self._held.get(session_id, set()) | {attempt})

    def give_back(self, session_id: str, attempt: int) -> None:
        """The attempt was not started after all."""
        self._hold(session_id, self._held.get(session_id, set()) - {attempt})

    @property
    def sessions(self) -> tuple[str, ...]:
        """Ids of the sessions whose attempts hold connections."""
        return tuple(self._held)

    # --- what a session may have --------------------------------------------------------------------------------------

    def full(self, session_id: str, sources: Iterable[Source]) -> dict[str, str]:
        """Source id → why this session can have no connection for it, even if it gives up its own."""
        full = {}
        for source in sources:
            limit = self._limit(source)
            if limit is not None and not self._own(session_id, source) and self._attempts_on(source) >= limit:
                full[source.id] = self._reason(source.provider_id)
        return full

    def handed_on(self, session_id: str, sources: Iterable[Source]) -> frozenset[str]:
        """The sources that the session can have only by handing on a connection of its own: the attempt that holds it must end
        first."""
        return frozenset(
            source.id
            for source in sources
            if (limit := self._limit(source)) is not None
            and self._own(session_id, source)
            and self._attempts_on(source) + 1 > limit
        )

    def limited(self, sources: Iterable[Source]) -> frozenset[str]:
        """Those whose provider limits its connections, or is not known."""
        return frozenset(
            each.id
            for each in sources
            if each.provider_id is not None and (each.provider_id not in self._providers or self._limit(each) is not None)
        )

    def awaited(self, session_id: str) -> dict[str, str]:
        """Source id → why the session waits for a connection for it."""
        return {source_id: self._reason(of) for source_id, of in self._waiting.get(session_id, {}).items()}

    def wait(self, session_id: str, sources: Iterable[Source]) -> None:
        """Wakes the session when a connection for one of these sources becomes free."""
        waits = {each.id: each.provider_id for each in sources if each.provider_id is not None}
        if waits:
            self._waiting.setdefault(session_id, {}).update(waits)

    def no_longer_waits(self, session_id: str) -> None:
        self._waiting.pop(session_id, None)

    # --- probes -------------------------------------------------------------------------------------------------------

    def take_for_probe(self, source: Source) -> bool:
        """Takes a connection for a probe; False: there is none. `probed` gives it back."""
        limit = self._limit(source)
        if source.provider_id is None:
            return True
        if limit is not None and (not self.known or self.in_use(source.provider_id) >= limit):
            return False
        self._probes[source.id] = source.provider_id
        return True

    def spare(self) -> dict[str, int]:
        """Provider → how many connections first probes may take, of each provider with a limit: none where a session waits for
        one, and none while it is unknown what is in use."""
        waited_for = {provider_id for waits in self._waiting.values() for provider_id in waits.values()}
        limits = {each.id: each.max_connections for each in self._providers.values() if each.max_connections is not None}
        return {
            each: 0 if each in waited_for or not self.known else free_for_first_probes(limit, self.in_use(each))
            for each, limit in limits.items()
        }

    def refuses_probe(self, source: Source) -> str | None:
        """Why a probe of this source would have to wait for a session to end. None: at most for other probes, which end
        soon."""
        limit = self._limit(source)
        return self._reason(source.provider_id) if limit is not None and self._attempts_on(source) >= limit else None

    def probed(self, source_id: str) -> None:
        provider_id = self._probes.pop(source_id, None)
        if provider_id is not None:
            self._wake({provider_id})

    def probes_in_the_way(self, source: Source) -> int:
        """How many probes of the source's provider must end before the connection that an attempt has taken is free."""
        limit = self._limit(source)
        if limit is None or source.provider_id is None:
            return 0
        return max(0, min(self._probing(source.provider_id), self.in_use(source.provider_id) - limit))

    # --- counting -----------------------------------------------------------------------------------------------------

    def _limit(self, source: Source) -> int | None:
        provider = None if source.provider_id is None else self._providers.get(source.provider_id)
        return None if provider is None else provider.max_connections

    def _attempts_on(self, source: Source) -> int:
        return 0 if source.provider_id is None else self._by_attempts[source.provider_id]

    def _own(self, session_id: str, source: Source) -> int:
        known = self._of.get(session_id, {})
        return sum(known[number] == source.provider_id for number in self._held.get(session_id, ()))

    def _probing(self, provider_id: str) -> int:
        return sum(each == provider_id for each in self._probes.values())

    def _reason(self, provider_id: str | None) -> str:
        provider = self._providers.get(provider_id or "")
        if provider is None or provider.max_connections is None:  # it has been deleted or changed meanwhile
            return "its provider's connections were in use"
        return provider.in_use

    def _hold(self, session_id: str, attempts: set[int]) -> None:
        before, known = self._held.get(session_id, set()), self._of.get(session_id, {})
        self._by_attempts.update(known[number] for number in attempts - before)
        freed = [known[number] for number in before - attempts]
        self._by_attempts.subtract(freed)
        if attempts:
            self._held[session_id] = attempts
        else:
            self._held.pop(session_id, None)
        self._wake(set(freed), but=session_id)

    def _wake(self, provider_ids: set[str], *, but: str | None = None) -> None:
        for session_id, waits in tuple(self._waiting.items()):
            if session_id != but and not provider_ids.isdisjoint(waits.values()):
                self._wake_session(session_id)
