"""Training examples of the sparse model: what is hidden of each structure, and what was there."""

from __future__ import annotations

import numpy as np
import torch

from .cell_parameters import squared_volume
from .model import Arrays, Batch
from .vocabulary import MAX_POSITIONS, WAVES, Vocabulary

PLACING = 0.45
"""Part of the examples with atoms left to place; the others have all placed and numbers masked."""
GROUP_MASKED = 0.33
"""Part of the examples with atoms to place in which not even the space group is known."""


def mask_batch(arrays: Arrays, rows: np.ndarray, rng: np.random.Generator, tables: Vocabulary, jitter: float) -> Batch:
    """Draw what is hidden of the structures `rows`.

    Parameters
    ----------
    arrays : from `sparse.pack`.
    tables : the vocabulary.
    jitter : standard deviation of the noise on the coordinates that stay known.

    Returns
    -------
    The fields of `state.State`, and true_group (b,), predict_group (b,), allowed (b, t, 27), next_position (b, t) with
    -1 where none is asked for, true_coordinates and predict_site (b, t, 3), true_cell and predict_cell (b, 6).
    """
    element = arrays["element"][rows].astype(np.int64)
    length = (element > 0).sum(1)
    element = element[:, : length.max()]
    b, k = element.shape
    group = arrays["group"][rows].astype(np.int64)
    local = arrays["position"][rows, :k].astype(np.int64)
    coordinates = arrays["coordinates"][rows, :k].astype(np.float64)
    present = element > 0
    position = np.where(present, tables.start[group][:, None] + local, 0)
    multiplicity = np.where(present, tables.multiplicity[position], 0)
    total, slot = _counts(element, multiplicity)
    atoms = multiplicity.sum(1)

    placing = rng.random(b) < PLACING
    hide_group = placing & (rng.random(b) < GROUP_MASKED)
    placed = _placed(element, length, placing, hide_group, rng)
    kind, source = _tokens(element, length, placed)
    is_orbit, is_element = kind == 1, kind == 2

    def of_tokens(values: np.ndarray) -> np.ndarray:
        """Values of orbits (b, k, ...) as values of tokens (b, t, ...)."""
        return np.take_along_axis(values, source.reshape(*source.shape, *[1] * (values.ndim - 2)), axis=1)

    unplaced = np.where(placed, 0, multiplicity)
    left_of_element = ((element[:, :, None] == element[:, None, :]) * unplaced[:, None, :]).sum(2)
    left = np.where(is_orbit, of_tokens(multiplicity), np.where(is_element, of_tokens(left_of_element), 0))
    asking = is_element & ~hide_group[:, None]
    allowed, next_position = _next_positions(element, local, placed, asking, source, left, group, tables)

    free = tables.free[position] & present[:, :, None]
    # An origin that symmetry leaves arbitrary was put at the first orbit.
    at_origin = np.abs(coordinates[:, 0] - np.rint(coordinates[:, 0])) < 1e-3
    free[:, 0] &= ~(tables.polar[group] & at_origin)
    cell, cell_free = cell_fields(arrays["cell"][rows].astype(np.float64), group, atoms, tables)
    site_mask, cell_mask = _hidden_numbers(free, cell_free, rng)
    known = np.where(placing[:, None, None], ~free, ~site_mask)
    cell_known = np.where(placing[:, None], ~cell_free, ~cell_mask) & ~hide_group[:, None]
    site_mask &= ~placing[:, None, None]
    cell_mask &= ~placing[:, None]
    seen = coordinates + jitter * rng.standard_normal(coordinates.shape) * free
    known_t = of_tokens(known) & is_orbit[:, :, None]
    coordinates_t = of_tokens(seen) * known_t
    position_t = np.where(is_orbit, of_tokens(position), 0)
    waves, waves_known = orbit_waves(position_t, coordinates_t, known_t.all(2) & is_orbit, tables)
    numpy_batch = {
        "group": np.where(hide_group, 0, group),
        "cell": cell * cell_known, "cell_known": cell_known,
        "kind": kind, "element": of_tokens(element) * (kind > 0), "position": position_t,
        "slot": of_tokens(slot) * is_orbit, "left": left, "total": of_tokens(total) * (kind > 0),
        "coordinates": coordinates_t, "known": known_t, "waves": waves, "waves_known": waves_known,
        "true_group": group, "predict_group": hide_group, "allowed": allowed, "next_position": next_position,
        "true_coordinates": of_tokens(coordinates), "predict_site": of_tokens(site_mask) & is_orbit[:, :, None],
        "true_cell": cell, "predict_cell": cell_mask,
    }  # fmt: skip
    return {
        name: torch.from_numpy(value.astype(np.float32) if value.dtype == np.float64 else value)
        for name, value in numpy_batch.items()
    }


def _tokens(element: np.ndarray, length: np.ndarray, placed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kind of each token (b, t) and its orbit: those that are placed, then the first that is left of each element."""
    tokens: list[list[tuple[int, int]]] = []
    for row in range(len(element)):
        first: dict[int, int] = {}
        for j in range(length[row]):
            if not placed[row, j]:
                first.setdefault(int(element[row, j]), j)
        tokens.append([(1, j) for j in range(length[row]) if placed[row, j]] + [(2, j) for j in first.values()])
    shape = len(element), max(map(len, tokens))
    kind, source = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, found in enumerate(tokens):
        kind[row, : len(found)] = [what for what, _ in found]
        source[row, : len(found)] = [j for _, j in found]
    return kind, source


def _next_positions(
    element: np.ndarray,
    local: np.ndarray,
    placed: np.ndarray,
    asking: np.ndarray,
    source: np.ndarray,
    left: np.ndarray,
    group: np.ndarray,
    tables: Vocabulary,
) -> tuple[np.ndarray, np.ndarray]:
    """Which positions may come next for each element token (b, t, 27), and which one does (b, t), -1 elsewhere.

    There must be enough atoms left, positions come in order, and points are not taken twice.
    """
    allowed = np.zeros((*asking.shape, MAX_POSITIONS), dtype=bool)
    next_position = np.full(asking.shape, -1, dtype=np.int64)
    for row in np.flatnonzero(asking.any(1)):
        low, high = tables.start[group[row]], tables.start[group[row] + 1]
        sizes, is_point = tables.multiplicity[low:high], ~tables.free[low:high].any(1)
        taken = np.zeros(int(high - low), dtype=bool)
        taken[local[row][placed[row]]] = True
        for column in np.flatnonzero(asking[row]):
            j = source[row, column]
            mine = placed[row] & (element[row] == element[row, j])
            fits = (sizes <= left[row, column]) & ~(is_point & taken)
            fits[: int(local[row][mine].max(initial=0))] = False
            allowed[row, column, : high - low] = fits
            next_position[row, column] = local[row, j]
    allowed[next_position < 0, 0] = True  # nothing is asked there, but a softmax needs something
    return allowed, next_position


def _hidden_numbers(free: np.ndarray, cell_free: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hide free numbers with a probability that each structure draws for itself, at least one."""
    level = rng.random(len(free))
    site_mask = free & (rng.random(free.shape) < level[:, None, None])
    cell_mask = cell_free & (rng.random(cell_free.shape) < level[:, None])
    for row in np.flatnonzero(~site_mask.any((1, 2)) & ~cell_mask.any(1)):
        chosen = int(rng.choice(np.flatnonzero(np.concatenate([free[row].ravel(), cell_free[row]]))))
        if chosen < free[row].size:
            site_mask[row].ravel()[chosen] = True
        else:
            cell_mask[row, chosen - free[row].size] = True
    return site_mask, cell_mask


def _counts(element: np.ndarray, multiplicity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of each orbit's element in the cell, and of the orbits before it (b, k)."""
    same = element[:, :, None] == element[:, None, :]
    total = (same * multiplicity[:, None, :]).sum(2)
    before = np.tril(np.ones(same.shape[1:], dtype=bool), -1)
    return total, (same * before * multiplicity[:, None, :]).sum(2)


def _placed(
    element: np.ndarray, length: np.ndarray, placing: np.ndarray, hide_group: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Which orbits (b, k) are placed: of each element the first few, the elements interleaved at random."""
    placed = element > 0
    for row in np.flatnonzero(placing):
        n = int(length[row])
        count = 0 if hide_group[row] else int(rng.integers(n))
        chosen = element[row, :n][rng.permutation(n)[:count]]
        placed[row, :n] = False
        for number in set(chosen.tolist()):
            placed[row, np.flatnonzero(element[row, :n] == number)[: int((chosen == number).sum())]] = True
    return placed


def cell_fields(
    cell: np.ndarray, group: np.ndarray, atoms: np.ndarray, tables: Vocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """Cell parameters (b, 6) as log volume per atom, log b/a, log c/a and angles; and which of them are free (b, 6).

    The volume is that of the primitive cell, with `atoms` (b,) in it.
    """
    lengths, angles = cell[:, :3], cell[:, 3:]
    root = np.sqrt(np.clip(squared_volume(angles), 1e-9, None))
    volume = lengths.prod(1) * root / tables.centrings[group]
    fields = np.concatenate([np.log(volume / atoms)[:, None], np.log(lengths[:, 1:] / lengths[:, :1]), angles], axis=1)
    free = np.concatenate(
        [np.ones((len(cell), 1), bool), ~tables.equal_lengths[group], tables.fixed_angles[group] == 0], axis=1
    )
    return fields, free


def cell_lengths(fields: np.ndarray, group: int, atoms: int, tables: Vocabulary) -> np.ndarray:
    """a, b, c (3,) in Å of the conventional cell, from `cell_fields` (6,): the inverse of that function."""
    root = np.sqrt(max(float(squared_volume(fields[3:])), 1e-3))
    ratios = np.array([1.0, np.exp(fields[1]), np.exp(fields[2])])
    volume = np.exp(fields[0]) * atoms * tables.centrings[group]
    return np.asarray((volume / (ratios.prod() * root)) ** (1 / 3) * ratios)


def orbit_waves(
    position: np.ndarray, coordinates: np.ndarray, known: np.ndarray, tables: Vocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """Means over each orbit's atoms of cos and sin(2 pi h x): (..., 128), zero where not all is known, and where it is.

    In a primitive setting they are the same whichever atom is the representative.
    """
    most = int(tables.multiplicity[position].max(initial=1))
    sites = np.einsum("...mij,...j->...mi", tables.directions[position][..., :most, :, :], coordinates)
    sites += tables.offsets[position][..., :most, :]
    phases = 2 * np.pi * (sites.astype(np.float32) @ WAVES.T.astype(np.float32))
    weights = (tables.atoms[position][..., :most] / tables.multiplicity[position][..., None] * known[..., None])[
        ..., None
    ]
    return np.concatenate([(np.cos(phases) * weights).sum(-2), (np.sin(phases) * weights).sum(-2)], axis=-1), known
