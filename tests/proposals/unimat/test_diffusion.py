"""The diffusion core against data whose best denoiser is known: a Gaussian."""

import math

import pytest
import torch

from xtalseek.errors import InputError
from xtalseek.proposals.unimat.diffusion import (
    Denoiser,
    Fields,
    alpha_sigma,
    corrupt,
    cosine_log_snr,
    epsilon_losses,
    guided,
    noise_like,
    sample,
    training_times,
)

MEAN = {"a": torch.tensor([2.0, -1.0, 0.0]), "b": torch.tensor([[0.5]])}
STD = {"a": torch.tensor([0.3, 1.0, 2.0]), "b": torch.tensor([[0.7]])}


def best_denoiser(shift: float = 0.0) -> Denoiser:
    """E[noise | z] for x ~ N(mean + shift, std^2): sigma (z - alpha mean) / (alpha^2 std^2 + sigma^2)."""

    def denoise(noisy: Fields, log_snr: torch.Tensor) -> Fields:
        alpha, sigma = (float(value[0]) for value in alpha_sigma(log_snr.double()))
        return {
            key: sigma * (z - alpha * (MEAN[key] + shift)) / (alpha**2 * STD[key] ** 2 + sigma**2)
            for key, z in noisy.items()
        }

    return denoise


def draw(count: int, seed: int, sampler: str, denoise: Denoiser | None = None, steps: int = 200) -> Fields:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (count, 3), "b": (count, 1, 1)}
    return sample(denoise or best_denoiser(), shapes, generator, steps=steps, sampler=sampler)


def test_schedule_falls_between_its_limits() -> None:
    values = cosine_log_snr(torch.linspace(0, 1, 101))
    assert values[0] == pytest.approx(20)
    assert values[-1] == pytest.approx(-20)
    assert values[50] == pytest.approx(0, abs=1e-9)
    assert (values.diff() < 0).all()
    assert values[25] == pytest.approx(-2 * math.log(math.tan(math.pi / 8)), rel=1e-3)
    alpha, sigma = alpha_sigma(values)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    torch.testing.assert_close(torch.log(alpha**2 / sigma**2), values)


def test_times_cover_the_interval() -> None:
    times = training_times(64, torch.Generator().manual_seed(0)).sort().values
    assert ((times * 64).floor() == torch.arange(64)).all()


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_samples_of_the_best_denoiser_have_the_data_s_moments(sampler: str) -> None:
    """20,000 samples. The mean's standard error is std / 141, the deviation's 0.5 % of itself; allowed are four of them
    (false alarm below 1e-3 for all) and 1.5 % for the finite steps.
    """
    drawn = draw(20_000, 0, sampler)
    for key, values in drawn.items():
        error = (values.mean(dim=0) - MEAN[key]).abs() / STD[key]
        assert error.max() < 4 / 141 + 0.005, (key, error)
        ratio = values.std(dim=0) / STD[key]
        assert (ratio - 1).abs().max() < 4 * 0.005 + 0.015, (key, ratio)
        assert torch.corrcoef(drawn["a"].T).fill_diagonal_(0).abs().max() < 4 / 141


def test_loss_is_least_for_the_best_denoiser() -> None:
    generator = torch.Generator().manual_seed(1)
    data = {key: MEAN[key] + STD[key] * torch.randn(4000, *MEAN[key].shape, generator=generator) for key in MEAN}

    def each(shift: float) -> Denoiser:
        whole = best_denoiser(shift)

        def denoise(noisy: Fields, log_snr: torch.Tensor) -> Fields:
            rows = [whole({k: z[i : i + 1] for k, z in noisy.items()}, log_snr[i : i + 1]) for i in range(len(log_snr))]
            return {key: torch.cat([row[key] for row in rows]) for key in noisy}

        return denoise

    losses = [sum(epsilon_losses(each(s), data, torch.Generator().manual_seed(2)).values()) for s in (0.0, 0.5, -0.5)]
    assert losses[0] < losses[1]
    assert losses[0] < losses[2]


def test_losses_are_means_of_weighted_squares() -> None:
    data = {"a": torch.zeros(8, 2)}
    weights = {"a": torch.tensor([3.0, 0.0])}

    def nothing(noisy: Fields, log_snr: torch.Tensor) -> Fields:
        return {"a": torch.zeros_like(noisy["a"])}

    generator = torch.Generator().manual_seed(5)
    found = epsilon_losses(nothing, data, generator, weights)["a"]
    generator.manual_seed(5)
    training_times(8, generator)
    noise = noise_like(data, generator)["a"]
    torch.testing.assert_close(found, (noise**2 * weights["a"]).mean())


def test_corruption_goes_from_data_to_noise() -> None:
    data, noise = {"a": torch.full((2, 3), 5.0)}, {"a": torch.ones(2, 3)}
    noisy = corrupt(data, noise, torch.tensor([20.0, -20.0]))["a"]
    torch.testing.assert_close(noisy[0], torch.full((3,), 5.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(noisy[1], torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_same_seed_same_samples(sampler: str) -> None:
    first, second, other = (draw(4, seed, sampler, steps=5) for seed in (7, 7, 8))
    for key in first:
        assert torch.equal(first[key], second[key])
        assert not torch.equal(first[key], other[key])


def test_guidance_of_weight_zero_is_no_guidance() -> None:
    conditional, free = best_denoiser(0.5), best_denoiser()
    plain, zero, strong = (
        draw(4, 3, "ddim", denoise, steps=10)
        for denoise in (conditional, guided(conditional, free, 0.0), guided(conditional, free, 2.0))
    )
    for key in plain:
        assert torch.equal(plain[key], zero[key])
        # Equal variances: the guided mean is the conditional one, moved on by weight x the difference.
        torch.testing.assert_close(strong[key], plain[key] + 2 * 0.5, atol=0.15, rtol=0)


def test_bounds_are_kept_whatever_the_denoiser_says() -> None:
    def wild(noisy: Fields, log_snr: torch.Tensor) -> Fields:
        return {"a": torch.full_like(noisy["a"], 100.0)}

    drawn = sample(wild, {"a": (5, 2)}, torch.Generator().manual_seed(0), steps=6, bounds={"a": (-1.0, 2.0)})
    assert ((drawn["a"] >= -1) & (drawn["a"] <= 2)).all()


def test_an_unknown_sampler_names_the_choices() -> None:
    with pytest.raises(InputError, match="unknown sampler 'ddpn': allowed are ddim, ddpm; did you mean"):
        draw(1, 0, "ddpn")
