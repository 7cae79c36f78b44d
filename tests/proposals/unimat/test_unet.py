"""The U-Net: every shape of table, and the symmetries that it promises."""

import pytest
import torch

from xtalseek.proposals.unimat.unet import AxialAttention, UNet, smaller


def network(shape: tuple[int, int], slots: int = 6, channels: int = 8, blocks: int = 1, extra: int = 0) -> UNet:
    """A small network without zeros, so that everything in it shows in the result."""
    torch.manual_seed(0)
    net = UNet(
        shape, slots, 4, channels=channels, multipliers=(1, 2, 4), blocks=blocks, head_dim=8, dropout=0.1, extra=extra
    )
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return net.eval()


def inputs(shape: tuple[int, int], slots: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    grid = torch.randn(batch, slots, *shape, 4, generator=generator)
    return grid, torch.randn(batch, 6, generator=generator), torch.linspace(-15, 15, batch)


def test_levels_of_the_whole_table_are_the_paper_s() -> None:
    """Rows 9, 3, 1: "attention at 9, 3, 1"."""
    assert smaller((9, 18)) == (3, 6)
    assert smaller((3, 6)) == (1, 2)
    assert smaller((1, 2)) == (1, 1)
    assert smaller((7, 17)) == (3, 6)
    assert smaller((4, 2)) == (2, 1)


@pytest.mark.parametrize("shape", [(9, 18), (1, 1), (2, 2), (1, 5), (7, 1), (4, 17), (8, 10)])
@pytest.mark.parametrize("slots", [1, 5])
def test_any_table_and_any_number_of_slots_go_through(shape: tuple[int, int], slots: int) -> None:
    net = network(shape)
    grid, cell = net(*inputs(shape, slots))
    assert grid.shape == (2, slots, *shape, 3)
    assert cell.shape == (2, 6)
    assert grid.isfinite().all()
    assert cell.isfinite().all()
    (grid.square().mean() + cell.square().mean()).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without


def test_an_untrained_network_answers_nothing() -> None:
    net = UNet((3, 4), 5, 4, channels=8, multipliers=(1, 2), blocks=1, head_dim=8, dropout=0.0)
    grid, cell = net(*inputs((3, 4), 5))
    assert not grid.any()
    assert not cell.any()


def test_batch_equals_single() -> None:
    net = network((9, 18), extra=2)
    grid, cell, log_snr = inputs((9, 18), 4, batch=3)
    extra = torch.randn(3, 2)
    together = net(grid, cell, log_snr, extra)
    for row in range(3):
        part = slice(row, row + 1)
        alone = net(grid[part], cell[part], log_snr[part], extra[part])
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one, many[part], atol=1e-4, rtol=1e-4)


def test_slots_differ_by_their_embedding_only() -> None:
    """With one embedding for all slots, permuted slots give permuted noise, and the same noise of the cell."""
    net = network((3, 5))
    with torch.no_grad():
        net.slot.copy_(net.slot[:1].expand_as(net.slot).clone())
    grid, cell, log_snr = inputs((3, 5), 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    plain, permuted = net(grid, cell, log_snr), net(grid[:, order], cell, log_snr)
    torch.testing.assert_close(permuted[0], plain[0][:, order], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(permuted[1], plain[1], atol=1e-4, rtol=1e-4)


def test_everything_depends_on_everything() -> None:
    """Each site's noise hangs on every other site, the cell and the time; the cell's noise on every site."""
    net = network((9, 18))
    grid, cell, log_snr = inputs((9, 18), 3, batch=1)
    grid, cell, log_snr = grid.requires_grad_(), cell.requires_grad_(), log_snr.requires_grad_()
    answers = net(grid, cell, log_snr)
    for answer in (answers[0][0, 0, 0, 0], answers[1]):
        for gradient in torch.autograd.grad(answer.sum(), (grid, cell, log_snr), retain_graph=True):
            assert gradient.abs().amax(dim=-1).min() > 0


def test_attention_runs_along_axes() -> None:
    """A site hears those that share two of its three coordinates, apart from what the norm mixes."""
    torch.manual_seed(0)
    layer = AxialAttention(8, (4, 5), 8)
    layer.norm = torch.nn.Identity()  # type: ignore[assignment]
    torch.nn.init.normal_(layer.out.weight)
    x = torch.randn(1, 3, 4, 5, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x)[0, 1, 2, 3].sum(), x)
    heard = gradient[0].abs().amax(dim=-1) > 0
    expected = torch.zeros(3, 4, 5, dtype=torch.bool)
    expected[:, 2, 3] = expected[1, :, 3] = expected[1, 2, :] = True
    assert torch.equal(heard, expected)
