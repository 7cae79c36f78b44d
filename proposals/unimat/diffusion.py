"""Gaussian diffusion in continuous time over named fields, whatever they mean.

A field x becomes z = alpha x + sigma e with e ~ N(0, 1), alpha^2 + sigma^2 = 1 and log-SNR = log(alpha^2 / sigma^2).
A denoiser is asked for e. Kingma et al. 2021 (Variational diffusion models, arXiv:2107.00630); cosine schedule and
epsilon target: Ho et al. 2022 (Video diffusion models, arXiv:2204.03458); DDIM: Song et al. 2021, arXiv:2010.02502.

All noise is drawn on the CPU, so that a seed gives the same numbers on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from ...errors import unknown

Fields = dict[str, torch.Tensor]
"""Tensors by name, the first axis counting samples."""
Denoiser = Callable[[Fields, torch.Tensor], Fields]
"""(noisy fields, log-SNR of each sample (n,)) -> estimated noise, field by field."""

SAMPLERS = ("ddim", "ddpm")
LOG_SNR_LIMIT = 20.0


def cosine_log_snr(time: torch.Tensor, limit: float = LOG_SNR_LIMIT) -> torch.Tensor:
    """log-SNR at time 0 (data, +limit) to 1 (noise, -limit), float64: -2 log tan(pi t / 2) between the limits."""
    start = math.atan(math.exp(-limit / 2))
    stop = math.atan(math.exp(limit / 2))
    return -2 * torch.log(torch.tan(start + (stop - start) * time.double()))


def alpha_sigma(log_snr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of signal and noise, of the shape and type given."""
    return torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()


def _like(values: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Values of each sample (n,), made to broadcast over a field (n, ...)."""
    return values.to(field.device, field.dtype).reshape(-1, *(1,) * (field.ndim - 1))


def noise_like(fields: Mapping[str, torch.Tensor], generator: torch.Generator) -> Fields:
    """Standard normal noise for each field."""
    return {key: torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device) for key, x in fields.items()}


def training_times(samples: int, generator: torch.Generator) -> torch.Tensor:
    """Uniform times (n,), one in each n-th of [0, 1) in random order: less variance than independent ones."""
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    return (torch.randperm(samples, generator=generator) + offset) / max(samples, 1)


def corrupt(data: Mapping[str, torch.Tensor], noise: Mapping[str, torch.Tensor], log_snr: torch.Tensor) -> Fields:
    """The noisy fields at each sample's log-SNR (n,)."""
    alpha, sigma = alpha_sigma(log_snr)
    return {key: _like(alpha, x) * x + _like(sigma, x) * noise[key] for key, x in data.items()}


def epsilon_losses(
    denoise: Denoiser,
    data: Mapping[str, torch.Tensor],
    generator: torch.Generator,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> Fields:
    """Mean squared error of the estimated noise, one number per field.

    Parameters
    ----------
    weights : factors of the squared errors before the mean, by field; they broadcast to the field. A weight may depend
        on what the denoiser is told, never on the data that it must guess, or samples are biased.
    """
    samples = len(next(iter(data.values())))
    log_snr = cosine_log_snr(training_times(samples, generator))
    noise = noise_like(data, generator)
    estimates = denoise(corrupt(data, noise, log_snr), log_snr.float())
    losses = {}
    for key, truth in noise.items():
        error = (estimates[key].float() - truth) ** 2
        losses[key] = (error * weights[key]).mean() if weights and key in weights else error.mean()
    return losses


def guided(conditional: Denoiser, unconditional: Denoiser, weight: float) -> Denoiser:
    """Classifier-free guidance: (1 + weight) conditional - weight unconditional (Ho and Salimans, arXiv:2207.12598).

    Weight 0 is the conditional denoiser itself.
    """
    if weight == 0:
        return conditional

    def denoise(noisy: Fields, log_snr: torch.Tensor) -> Fields:
        towards, away = conditional(noisy, log_snr), unconditional(noisy, log_snr)
        return {key: (1 + weight) * towards[key] - weight * away[key] for key in towards}

    return denoise


def sample(
    denoise: Denoiser,
    shapes: Mapping[str, tuple[int, ...]],
    generator: torch.Generator,
    *,
    steps: int,
    sampler: str = "ddim",
    bounds: Mapping[str, tuple[float, float]] | None = None,
    device: torch.device | str = "cpu",
) -> Fields:
    """Draw fields of the given shapes.

    Parameters
    ----------
    steps : calls of the denoiser, at times evenly spaced from 1.
    sampler : "ddim" (deterministic after the first noise) or "ddpm" (ancestral).
    bounds : lowest and highest value that the data take, by field; estimates of the data are clipped to them. Without
        bounds a small error of the noise estimated near time 1 is a huge one of the data.

    Raises
    ------
    InputError : an unknown sampler.
    """
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    fields = noise_like({key: torch.empty(shape) for key, shape in shapes.items()}, generator)
    fields = {key: x.to(device) for key, x in fields.items()}
    samples = len(next(iter(fields.values())))
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    for step in range(steps):
        here, there = cosine_log_snr(times[step]), cosine_log_snr(times[step + 1])
        alpha, sigma = (float(value) for value in alpha_sigma(here))
        next_alpha, next_sigma = (float(value) for value in alpha_sigma(there))
        estimates = denoise(fields, here.float().to(device).expand(samples))
        fresh = noise_like(fields, generator) if sampler == "ddpm" and step + 1 < steps else {}
        for key, noisy in fields.items():
            data = (noisy - sigma * estimates[key].to(noisy.dtype)) / alpha
            if bounds and key in bounds:
                data = data.clamp(*bounds[key])
            if step + 1 == steps:
                fields[key] = data
            elif sampler == "ddim":
                fields[key] = next_alpha * data + next_sigma * (noisy - alpha * data) / sigma
            else:
                kept = math.exp(float(here - there))
                mean = next_alpha * (kept / alpha * noisy + (1 - kept) * data)
                fields[key] = mean + next_sigma * math.sqrt(1 - kept) * fresh[key]
    return fields
