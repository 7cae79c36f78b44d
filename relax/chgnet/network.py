"""CHGNet's network for its published weights, made for evaluating and not for training.

The layers and weights are the package's; the way they are evaluated is not. What a gated layer multiplies with the
features of atoms and bonds is multiplied once for each atom and bond, not once for each bond and angle that they take
part in. The part of a bond's features that depends on its length alone goes through all layers in one product. The
last update of the angles, which nothing reads, is left out. Forces and stress come from one backward pass, written
out by hand: each step keeps no more than its own derivative needs.

Source: Deng et al., Nature Machine Intelligence 5, 1031 (2023), doi:10.1038/s42256-023-00716-3.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .bases import RadialBasis, expand_angles
from .classes import ClassGraph
from .gated import Gated, Kept, gated_backward, gated_forward, make_gated


@dataclass(frozen=True, eq=False)
class _Layer:
    """A gated layer, and the linear map (width, width) behind the sum of what it gives."""

    gated: Gated
    out: Tensor
    out_bias: Tensor | None


@dataclass(frozen=True, eq=False)
class Indices:
    """A `ClassGraph` on the network's device; counts as columns."""

    numbers: Tensor
    atom_count: Tensor
    row_centre: Tensor
    row_other: Tensor
    row_bond: Tensor
    row_count: Tensor
    short: Tensor
    angle_left: Tensor
    angle_right: Tensor
    angle_centre: Tensor
    angle_count: Tensor


class Network:
    """Energies and their derivatives for CHGNet's published weights.

    Parameters
    ----------
    model : the package's network, with its weights.
    """

    def __init__(self, model: nn.Module) -> None:
        # The package's network has no types of its own.
        m: Any = model.eval().requires_grad_(False)
        self._m = m
        self.device: torch.device = next(m.parameters()).device
        self.reach = float(m.graph_converter.atom_graph_cutoff)
        self.short_reach = float(m.graph_converter.bond_graph_cutoff)
        self._long = RadialBasis.of(m.bond_basis_expansion.rbf_expansion_ag)
        self._short = RadialBasis.of(m.bond_basis_expansion.rbf_expansion_bg)
        self._angle_frequencies: Tensor = m.angle_basis_expansion.fourier_expansion.frequencies.detach()
        self._atom_layers = [_Layer(make_gated(x.twoBody_atom, 3), *_linear(x.mlp_out)) for x in m.atom_conv_layers]
        self._bond_layers = [_Layer(make_gated(x.twoBody_bond, 4), *_linear(x.mlp_out)) for x in m.bond_conv_layers]
        self._angle_layers = [make_gated(x.twoBody_bond, 4) for x in m.angle_layers][:-1]
        self._fold_bond_biases()
        embedding = m.bond_embedding.weight.T
        # Per bond, from its length alone: features, weights of its messages, and its share of every atom layer.
        self._length_map = torch.cat(
            [embedding, m.bond_weights_ag.weight.T, *(embedding @ layer.gated.parts[1] for layer in self._atom_layers)],
            dim=1,
        ).contiguous()

    def _fold_bond_biases(self) -> None:
        """Move what a bond layer adds to all bonds alike, long ones too, into the biases of the layers that read it."""
        shift: Tensor | None = None
        for k, layer in enumerate(self._bond_layers):
            if shift is not None:
                self._atom_layers[k] = replace(self._atom_layers[k], gated=_moved(self._atom_layers[k].gated, shift, 1))
                layer = replace(layer, gated=_moved(layer.gated, shift, 0, 1))
            if layer.out_bias is not None:
                shift = layer.out_bias if shift is None else shift + layer.out_bias
            self._bond_layers[k] = replace(layer, out_bias=None)
            if shift is not None and k < len(self._angle_layers):
                self._angle_layers[k] = _moved(self._angle_layers[k], shift, 0, 1)
        if shift is not None:
            self._atom_layers[-1] = replace(self._atom_layers[-1], gated=_moved(self._atom_layers[-1].gated, shift, 1))

    def _indices(self, graph: ClassGraph) -> Indices:
        """`graph` on the network's device."""

        def moved(name: str) -> Tensor:
            array = torch.from_numpy(getattr(graph, name))
            return (array.float()[:, None] if name.endswith("_count") else array).to(self.device)

        return Indices(**{f.name: moved(f.name) for f in fields(Indices)})

    def energies(
        self, lengths: np.ndarray, cosines: np.ndarray, graph: ClassGraph, n_structures: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies without the elements' own, and their derivatives.

        Parameters
        ----------
        lengths : (n_bonds,) of the graph's bonds, Å. cosines : (n_angles,) of its angles.
        graph : of `n_structures` structures.

        Returns
        -------
        (n_structures,) in eV, and the derivatives (n_bonds,) by the lengths, eV/Å, and (n_angles,) by the cosines, eV.
        """
        with torch.inference_mode():
            indices = self._indices(graph)
            long = torch.from_numpy(lengths).float().to(self.device)
            of_length, by_length = self._long.expand(long)
            of_short, by_short = self._short.expand(long.index_select(0, indices.short))
            angles = torch.from_numpy(cosines).float().to(self.device)
            of_angle, by_cosine = expand_angles(angles, self._angle_frequencies)
            sites, d_length, d_short, d_angle = self._messages(of_length, of_short, of_angle, indices)
            d_lengths = d_length.mul_(by_length).sum(dim=1)
            d_lengths.index_add_(0, indices.short, d_short.mul_(by_short).sum(dim=1))
            d_cosines = d_angle.mul_(by_cosine).sum(dim=1)
            # Back on the CPU before double precision, which not every device has.
            of_atoms, by_bond, by_angle = (x.cpu().double().numpy() for x in (sites, d_lengths, d_cosines))
        return np.bincount(graph.owner, of_atoms * graph.atom_count, n_structures), by_bond, by_angle

    def _messages(
        self, lengths: Tensor, short_lengths: Tensor, angle_basis: Tensor, graph: Indices
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Energies of the atoms, and the derivatives of their sum by the three bases."""
        m, width = self._m, self._m.atom_fea_dim
        centre, along, short, left = graph.row_centre, graph.row_bond, graph.short, graph.angle_left
        of_length = lengths @ self._length_map
        row_weight = of_length[:, width : 2 * width].index_select(0, along) * graph.row_count
        bond = of_length[:, :width].index_select(0, short)  # only short bonds' features ever change
        embedded = bond
        short_weight = m.bond_weights_bg(short_lengths)
        left_weight = short_weight.index_select(0, left)
        right_weight = short_weight.index_select(0, graph.angle_right) * graph.angle_count
        angle_weight = left_weight * right_weight
        angle = m.angle_embedding(angle_basis)
        atom = m.atom_embedding.embedding(graph.numbers - 1)

        kept_atom: list[tuple[Kept, Tensor]] = []
        kept_bond: list[tuple[Kept, Tensor]] = []
        kept_angle: list[Kept] = []
        for k, layer in enumerate(self._atom_layers):
            gated = layer.gated
            of_bond = of_length[:, 2 * width * (k + 1) : 2 * width * (k + 2)]
            if k:
                of_bond = of_bond.index_add(0, short, (bond - embedded) @ gated.parts[1])
            hidden = of_bond.index_select(0, along)
            hidden += torch.addmm(gated.bias, atom, gated.parts[0]).index_select(0, centre)
            hidden += (atom @ gated.parts[2]).index_select(0, graph.row_other)
            message, kept = gated_forward(gated, hidden)
            kept_atom.append((kept, message))
            summed = torch.zeros_like(atom).index_add_(0, centre, message * row_weight)
            atom = atom + _applied(layer, summed)
            if k == len(self._bond_layers):
                break
            layer = self._bond_layers[k]
            message, kept = gated_forward(layer.gated, _angle_input(layer.gated, atom, bond, angle, graph))
            kept_bond.append((kept, message))
            summed = torch.zeros_like(bond).index_add_(0, left, message * angle_weight)
            bond = bond + _applied(layer, summed)
            if k < len(self._angle_layers):
                gated = self._angle_layers[k]
                message, kept = gated_forward(gated, _angle_input(gated, atom, bond, angle, graph))
                kept_angle.append(kept)
                angle = angle + message

        sites, d_atom = self._read_out(atom, graph.atom_count)

        d_of_length = torch.zeros_like(of_length)
        d_row_weight = torch.zeros_like(row_weight)
        d_angle_weight = torch.zeros_like(angle_weight)
        d_bond, d_embedded = torch.zeros_like(bond), torch.zeros_like(bond)
        d_angle = torch.zeros_like(angle)
        for k in reversed(range(len(self._atom_layers))):
            if k < len(self._angle_layers):
                gated = self._angle_layers[k]
                d_hidden = gated_backward(gated, kept_angle[k], d_angle)
                _angle_input_backward(gated, d_hidden, d_atom, d_bond, d_angle, graph)
            if k < len(self._bond_layers):
                layer = self._bond_layers[k]
                kept, message = kept_bond[k]
                d_message = (d_bond @ layer.out.T).index_select(0, left)
                d_angle_weight.addcmul_(d_message, message)
                d_hidden = gated_backward(layer.gated, kept, d_message.mul_(angle_weight))
                _angle_input_backward(layer.gated, d_hidden, d_atom, d_bond, d_angle, graph)
            layer = self._atom_layers[k]
            gated = layer.gated
            kept, message = kept_atom[k]
            d_message = (d_atom @ layer.out.T).index_select(0, centre)
            d_row_weight.addcmul_(d_message, message)
            d_hidden = gated_backward(gated, kept, d_message.mul_(row_weight))
            d_atom = d_atom.addmm(_summed(d_hidden, centre, len(atom)), gated.parts[0].T)
            d_atom.addmm_(_summed(d_hidden, graph.row_other, len(atom)), gated.parts[2].T)
            d_of_bond = d_of_length[:, 2 * width * (k + 1) : 2 * width * (k + 2)].copy_(
                _summed(d_hidden, along, len(of_length))
            )
            if k:
                d_changed = d_of_bond.index_select(0, short) @ gated.parts[1].T
                d_bond += d_changed
                d_embedded -= d_changed
        d_of_length[:, width : 2 * width] = _summed(d_row_weight.mul_(graph.row_count), along, len(of_length))
        d_of_length[:, :width].index_add_(0, short, d_bond + d_embedded)
        d_short_weight = _summed(d_angle_weight * right_weight, left, len(short))
        d_short_weight.index_add_(0, graph.angle_right, d_angle_weight.mul_(left_weight).mul_(graph.angle_count))
        return (
            sites,
            d_of_length @ self._length_map.T,
            d_short_weight @ m.bond_weights_bg.weight,
            d_angle @ m.angle_embedding.weight,
        )

    def _read_out(self, atom: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the atoms, and the derivatives of their sum; so few rows that the package's own layers do."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = atom.clone().requires_grad_()
            sites = self._m.mlp(leaf if self._m.readout_norm is None else self._m.readout_norm(leaf))
            (d_atom,) = torch.autograd.grad(sites, leaf, count.clone())
        return sites.detach().squeeze(1), d_atom


def _angle_input(gated: Gated, atom: Tensor, bond: Tensor, angle: Tensor, graph: Indices) -> Tensor:
    """What a gated layer over angles makes of both bonds, the angle between them and the atom where they meet."""
    of_left, of_right, of_angle, of_atom = gated.parts
    hidden = (bond @ of_left).index_select(0, graph.angle_left)
    hidden += (bond @ of_right).index_select(0, graph.angle_right)
    hidden += torch.addmm(gated.bias, atom, of_atom).index_select(0, graph.angle_centre)
    return hidden.addmm_(angle, of_angle)


def _angle_input_backward(
    gated: Gated, d_hidden: Tensor, d_atom: Tensor, d_bond: Tensor, d_angle: Tensor, graph: Indices
) -> None:
    """Add to the derivatives by atoms, bonds and angles what `d_hidden` passes on to them."""
    of_left, of_right, of_angle, of_atom = gated.parts
    d_bond.addmm_(_summed(d_hidden, graph.angle_left, len(d_bond)), of_left.T)
    d_bond.addmm_(_summed(d_hidden, graph.angle_right, len(d_bond)), of_right.T)
    d_atom.addmm_(_summed(d_hidden, graph.angle_centre, len(d_atom)), of_atom.T)
    d_angle.addmm_(d_hidden, of_angle.T)


def _summed(rows: Tensor, places: Tensor, n_places: int) -> Tensor:
    """(n_places, width): the sum of the rows that belong to each place."""
    return rows.new_zeros(n_places, rows.shape[1]).index_add_(0, places, rows)


def _linear(mlp: Any) -> tuple[Tensor, Tensor | None]:
    (layer,) = (x for x in mlp.layers if isinstance(x, nn.Linear))
    return layer.weight.T.contiguous(), layer.bias


def _moved(gated: Gated, shift: Tensor, *inputs: int) -> Gated:
    """`gated` for inputs that are all lower by `shift` in the places `inputs`."""
    return replace(gated, bias=gated.bias + sum(shift @ gated.parts[n] for n in inputs))


def _applied(layer: _Layer, summed: Tensor) -> Tensor:
    return summed @ layer.out if layer.out_bias is None else torch.addmm(layer.out_bias, summed, layer.out)
