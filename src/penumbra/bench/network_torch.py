"""The same network in PyTorch, for the benchmark alone; torch is not a dependency of the package."""

import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from penumbra.network.settings import Network


class Block(nn.Module):
    """Two units, the skip, then squeeze and excitation."""

    def __init__(self, channels: int, filters: int, reduction: int, *, first: bool) -> None:
        super().__init__()
        stride = 1 if first else 2
        self.norm_1 = None if first else nn.BatchNorm3d(channels)
        self.conv_1 = nn.Conv3d(channels, filters, 3, stride, 1, bias=False)
        self.norm_2 = nn.BatchNorm3d(filters)
        self.conv_2 = nn.Conv3d(filters, filters, 3, 1, 1, bias=False)
        self.projection = None if first and channels == filters else nn.Conv3d(channels, filters, 1, stride, bias=False)
        self.squeeze = nn.Linear(filters, max(1, filters // reduction))
        self.excite = nn.Linear(max(1, filters // reduction), filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.projection is None else self.projection(x)
        if self.norm_1 is not None:
            x = functional.relu(self.norm_1(x))
        x = self.conv_2(functional.relu(self.norm_2(self.conv_1(x)))) + skip
        weight = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean(dim=(2, 3, 4))))))
        return x * weight[:, :, None, None, None]


class Reference(nn.Module):
    """penumbra.network.SEResNet3D, layer by layer."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, network.stem_filters, 3, 2, 1, bias=False)
        widths = (network.stem_filters, *network.filters)
        self.blocks = nn.Sequential(*(Block(widths[i], widths[i + 1], network.se_reduction, first=i == 0) for i in range(len(network.filters))))
        units = (network.filters[-1], *network.head)
        self.head = nn.ModuleList(nn.Linear(units[i], units[i + 1]) for i in range(len(network.head)))
        self.output = nn.Linear(units[-1], 1)
        self.dropout = network.dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(functional.max_pool3d(self.stem(x), 3, 2, 1)).mean(dim=(2, 3, 4))
        for layer in self.head:
            x = functional.dropout(functional.relu(layer(x)), self.dropout, self.training)
        return torch.tanh(self.output(x))[:, 0]


def variants(*, gpu: bool, narrow: bool) -> dict[str, dict[str, Any]]:
    """Return the ways in which PyTorch is run, as arguments of `theirs`; on a CPU it compiles only where there is a C++ compiler."""
    if not gpu:
        ways: dict[str, dict[str, Any]] = {"torch": {}, "torch, channels last": {"channels_last": True}}
        if shutil.which("g++"):
            ways |= {"torch, compiled": {"mode": "default"}, "torch, channels last, compiled": {"channels_last": True, "mode": "default"}}
        return ways
    plain = {"device": "cuda", "narrow": narrow, "channels_last": True}
    return {"torch, channels last": plain, "torch, compiled": {**plain, "mode": "default"}, "torch, CUDA graphs": {**plain, "mode": "reduce-overhead"}}


def theirs(
    batch: int,
    network: Network,
    threads: int,
    *,
    device: str = "cpu",
    narrow: bool = False,
    channels_last: bool = False,
    mode: str | None = None,
    repeat: int = 1,
) -> dict[str, Callable[[], Any]]:
    """Return what is timed of PyTorch: training steps one after the other (Cox loss, L2, Adam), and as many forward passes.

    Parameters
    ----------
    narrow
        bfloat16 by autocast.
    mode
        Of torch.compile; None: not compiled.
    repeat
        Steps or passes before the device is waited for.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    cuda = device == "cuda"
    torch.backends.cudnn.benchmark = cuda
    torch.set_float32_matmul_precision("high" if cuda else "highest")  # TF32, as its convolutions and JAX have it by default
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    whole = Reference(network).to(device=device, memory_format=layout)
    torch._dynamo.config.recompile_limit = 64  # train and eval, of every batch size and precision, are compilations of one function
    model = whole if mode is None else torch.compile(whole, mode=mode, dynamic=False)
    optimizer = torch.optim.Adam(whole.parameters(), lr=1e-4, fused=cuda)
    volumes = torch.randn(batch, 1, *(network.input_size,) * 3, device=device).to(memory_format=layout)
    died = torch.arange(batch, device=device) % 3 > 0
    order = torch.argsort(torch.rand(batch, device=device), descending=True)

    def step() -> None:
        torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=narrow):
            log_risk = model(volumes)
        log_risk = log_risk.float()[order]
        loss = -((log_risk - torch.logcumsumexp(log_risk, 0)) * died[order]).sum() / died.sum()
        loss = loss + network.l2 * sum((layer.weight**2).sum() for layer in whole.head)
        loss.backward()
        optimizer.step()

    def train() -> None:
        model.train()
        for _ in range(repeat):
            step()
        _finish(device)

    def infer() -> None:
        model.eval()
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=narrow):
            for _ in range(repeat):
                torch.compiler.cudagraph_mark_step_begin()
                model(volumes)
        _finish(device)

    return {"train_step": train, "forward": infer}


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
