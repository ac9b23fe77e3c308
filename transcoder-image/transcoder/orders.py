"""Orders: what an attempt is to do, as the orchestrator wants it. A JSON document; the first version travels with the job.

Rule: orders are state. The newest version holds, and an attempt never goes back to a lower one. What is granted (`inputs`) may
be opened without asking anybody; what is not granted may not.

Imported before FFmpeg is started (`transcoder.job`).
"""

from json import loads
from typing import NamedTuple

from transcoder.fields import BadDocument, Fields
from transcoder.input import Input, read_input

MOST_INPUTS = 4  # one that plays, and three behind it
LIMIT_BYTES = 1 << 18


class PlayRequest(NamedTuple):
    """Play this input. Each number is tried once in an attempt: where it fails, it is spent, and what plays goes on."""

    request: int
    input: str


class Orders(NamedTuple):
    """`version`: of the session's row at the commit that decided them. `inputs`: what may be opened, in the order to try.
    `play`: None where what plays is to stay. `end`: the attempt is to end. `unattended_s`: for so long without newer orders
    inputs may be opened; then the attempt ends with its input."""

    version: int
    inputs: tuple[Input, ...]
    play: PlayRequest | None
    end: bool
    unattended_s: float

    def input(self, input_id: str) -> Input | None:
        """The granted input with this id."""
        return next((each for each in self.inputs if each.id == input_id), None)


def parse(text: str) -> Orders:
    """Reads orders. Raises BadDocument."""
    try:
        document = loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDocument("not JSON") from error
    return read_orders(Fields(document))


def read_orders(fields: Fields) -> Orders:
    """Reads orders from an object. Raises BadDocument."""
    orders = Orders(
        version=fields.whole("version", 0, 1 << 53),
        inputs=tuple(read_input(each) for each in fields.objects("inputs", MOST_INPUTS)),
        play=_play(fields),
        end=fields.has("end") and fields.flag("end"),
        unattended_s=fields.number("unattended_s", 1, 30 * 24 * 3600),
    )
    fields.done()
    if len({each.id for each in orders.inputs}) < len(orders.inputs):
        raise fields.fault("inputs", " names an input twice")
    if orders.play is not None and orders.input(orders.play.input) is None:
        raise fields.fault("play.input", " is not among the inputs")
    return orders


def _play(fields: Fields) -> PlayRequest | None:
    if not fields.has("play"):
        return None
    value = fields.take("play")
    if value is None:
        return None
    play = Fields(value, "play")
    request = PlayRequest(play.whole("request", 1, 1 << 53), play.name("input"))
    play.done()
    return request
