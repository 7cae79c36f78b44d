"""Follow-up rounds of a campaign: its budget moves to the compositions that are still improving.

Which composition gets how much is worked out from counts alone, and written down once: every job of the campaign, now
or after a resume, reads the same shares, whatever it would have worked out itself.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import InputError, StorageError, unknown
from ..files import sync_folder
from .completeness import Completeness

ROUNDS_FOLDER = "rounds"
FIRST_FOLLOW_UP = 2

TIMES_FOUND = 5
"""A composition is settled once its lowest minimum was found so often ..."""

UNSEEN = 0.05
"""... and the next minimum is a new one with less than this chance."""

HOPELESS = 100
"""Candidates of which none converged: then fewer than 3 % do, at 95 % (1 - 0.05^(1/100))."""

_ROWS = 20
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Standing:
    """How far the search of one composition has come, over all rounds so far.

    Attributes
    ----------
    name : of the composition in the campaign.
    candidates : that were relaxed, whatever became of them.
    found : the minima that they ended in.
    """

    name: str
    candidates: int
    found: Completeness

    @property
    def unseen(self) -> float:
        """Chance that the next minimum is a new one: Good-Turing as if the next one were, so never 0 by chance."""
        return (self.found.singletons + 1) / (self.found.relaxations + 1)

    @property
    def settled(self) -> bool:
        """Whether more candidates would hardly find something lower."""
        return self.found.lowest_found >= TIMES_FOUND and self.unseen < UNSEEN

    @property
    def hopeless(self) -> bool:
        """Whether nothing ever converged, and not for want of trying."""
        return self.found.relaxations == 0 and self.candidates >= HOPELESS

    @property
    def weight(self) -> float:
        """Estimated chance that the next candidate ends in a new lowest minimum; 0 where that is no longer tried.

        It is the product of the chances that the candidate converges, (converged + 1) / (candidates + 1); that its
        minimum is new, `unseen`; and that a new minimum is lower than all `minima` before it, 1 / (minima + 1): that of
        a record, for a minimum's energy says nothing about when it is found. (Low minima tend to have large basins and
        to be found early: so the last is at most that.) Nothing tried gives 1.
        """
        if self.settled or self.hopeless:
            return 0.0
        converges = (self.found.relaxations + 1) / (self.candidates + 1)
        return converges * self.unseen / (self.found.minima + 1)

    @property
    def why(self) -> str:
        """In words for a person."""
        if self.candidates == 0:
            return "nothing tried yet"
        if self.hopeless:
            return f"given up: none of {self.candidates} converged"
        if self.found.relaxations == 0:
            return "none has converged yet"
        return "settled" if self.settled else "may still improve"


def share_round(total: int, standings: Sequence[Standing]) -> dict[str, int]:
    """Candidates for each composition in the next round; those that get none are left out.

    Shares are proportional to `Standing.weight`, rounded by largest remainders (ties: by name), and their sum is
    `total`; or there are none at all, where every composition is settled or hopeless: the campaign is complete.
    A weight falls at least as 1 / candidates while nothing new or nothing at all converges, so no composition holds the
    budget for ever.

    It is assumed that relaxations are independent draws, that a candidate costs the same in all compositions, and that
    it is the number of compositions whose lowest minimum is found that matters. The gain over equal shares is a few
    compositions in a hundred, and comes from what is settled: in simulations (tests/search/test_rounds.py; 60
    compositions of 1 to 1000 minima, five rounds of 50 candidates each) 89.6 % instead of 86.4 % of the lowest minima
    were found where deep basins are large, 70.1 % instead of 68.0 % where size says nothing of depth. With 20
    candidates each, where little is settled, there was hardly a difference.

    Parameters
    ----------
    total : candidates in the round.
    standings : of all compositions, each name once.

    Raises
    ------
    InputError : a budget below 1.
    """
    if total < 1:
        raise InputError(f"budget of a round: {total} candidates given: give 1 or more")
    # Fractions are exact: what the floors leave over is a whole number, on every machine the same.
    weights = {standing.name: Fraction(standing.weight) for standing in standings if standing.weight > 0}
    everything = sum(weights.values())
    if not weights:
        return {}
    quotas = {name: total * weight / everything for name, weight in weights.items()}
    shares = {name: math.floor(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: (shares[name] - quotas[name], name))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return {name: share for name, share in shares.items() if share}


def standing_lines(standings: Sequence[Standing], shares: Mapping[str, int]) -> list[str]:
    """For a person: who gets how much and why, in at most 20 rows, the largest shares first; the rest is summed up."""
    if not shares:
        hopeless = sum(standing.hopeless for standing in standings)
        given_up = f"; {hopeless} given up, as none of their candidates converged" if hopeless else ""
        return [
            f"the campaign is complete: in {len(standings) - hopeless} compositions the lowest minimum was found "
            f"{TIMES_FOUND} times or more and less than {100 * UNSEEN:.0f} % is unseen{given_up}"
        ]
    ordered = sorted(standings, key=lambda standing: (-shares.get(standing.name, 0), standing.name))
    shown, rest = ordered[:_ROWS], ordered[_ROWS:]
    width = max(len("composition"), *(len(standing.name) for standing in shown))
    lines = [f"{'composition':<{width}}  share  relaxed  minima  lowest found  unseen  why"]
    for one in shown:
        lines.append(
            f"{one.name:<{width}}  {shares.get(one.name, 0):>5}  {one.candidates:>7}  {one.found.minima:>6}  "
            f"{one.found.lowest_found:>12}  {100 * one.unseen:>4.0f} %  {one.why}"
        )
    if rest:
        given = sum(shares.get(standing.name, 0) for standing in rest)
        lines.append(f"and {len(rest)} more compositions with {given} candidates together")
    return lines


def write_round(folder: Path, number: int, shares: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    """Write CAMPAIGN/rounds/NN.json unless it stands there already; what stands there counts, for every job.

    Parameters
    ----------
    folder : the campaign. number : of the round, from 2. shares : candidates by composition.
    names : of all compositions of the campaign.

    Raises
    ------
    InputError : what stands there cannot be used.
    StorageError : the folder cannot be written.
    """
    path = folder / ROUNDS_FOLDER / f"{number:02d}.json"
    content = (json.dumps(dict(shares), indent=1) + "\n").encode()
    try:
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            _write_once(path, content)
    except OSError as error:
        raise StorageError(
            f"cannot write {str(path)!r} ({error.strerror}): all that was found is safe; make room and give the same "
            "command again"
        ) from error
    return _read(path, names)


def read_rounds(folder: Path, names: Collection[str]) -> list[dict[str, int]]:
    """The shares of every follow-up round so far, round 2 first. `names`: of all compositions of the campaign.

    Raises
    ------
    InputError : a file of them cannot be used, or is missing between others.
    """
    paths = {
        int(path.stem): path for path in (folder / ROUNDS_FOLDER).glob("*.json") if re.fullmatch(r"\d+", path.stem)
    }
    rounds = []
    for number in range(FIRST_FOLLOW_UP, FIRST_FOLLOW_UP + len(paths)):
        if number not in paths:
            raise InputError(
                f"{str(folder / ROUNDS_FOLDER)!r} has {len(paths)} rounds but no {number:02d}.json: rounds count from "
                f"{FIRST_FOLLOW_UP:02d} without a gap; put the file back"
            )
        rounds.append(_read(paths[number], names))
    return rounds


def _write_once(path: Path, content: bytes) -> None:
    """Whole and never over another's; without hard links the name comes before the content."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        _write(handle, content)
        Path(temporary).chmod(0o644)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            try:
                _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), content)
            except FileExistsError:
                return
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)


def _write(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, names: Collection[str]) -> dict[str, int]:
    shown = repr(str(path))
    try:
        shares = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{shown} is torn or not JSON: remove it while no job of the campaign runs, and give the same command again"
        ) from error
    except OSError as error:
        raise InputError(f"{shown} cannot be read ({error.strerror}): make it readable") from error
    if not isinstance(shares, dict):
        raise InputError(f'{shown}: allowed is an object of candidates by composition, such as {{"TiO2": 40}}')
    known = frozenset(names)
    for name, share in shares.items():
        if name not in known:
            raise unknown(f"composition in {shown}", name, names, "those of campaign.toml")
        if not isinstance(share, int) or isinstance(share, bool) or share < 0:
            raise InputError(f"{shown}: {name} has {share!r} candidates: give a whole number from 0 up")
    return shares
