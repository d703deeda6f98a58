"""A measure as a job: the trained networks of an experiment at the chosen sigma, and what they answer, on disk."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.files import write_arrays
from posenc.problems.score import Predict
from posenc.signals.stored import Row, read_signals
from posenc.training.devices import choose_device
from posenc.training.fit import read_theory
from posenc.training.stack import asking, build, draws, encoding_of, network_of, problem_of, seed_of


@dataclass(frozen=True)
class Asked:
    """The network that was fitted to one signal, and all that a measure may look at beside it."""

    predict: Predict  # points (n, d) or a grid -> values (1, n, channels)
    problem: Any  # of this signal alone
    arrays: Mapping[str, Tensor]  # the signal's, (1, ...) each, on the device
    signal: Row
    parameters: Mapping[str, Any]  # of the measure


Measure = Callable[[Asked], Mapping[str, Tensor]]  # by name; "" where there is only one


@torch.no_grad()
def run_measure(spec: Mapping[str, Any], outputs: Mapping[str, str], device: str = "auto") -> None:
    """Ask every chosen network of a report signal that did not diverge, and write what is found to `arrays` (.npz).

    spec: `function`, `parameters`, `records`, `signals` (npz and json) and `fits`: label, spec, weights and maybe
    theory of each combination. Arrays bear the names that fits give theirs (`signal` or `signal/name`, and `member/`
    before where axes are stacked) below the combination's label.
    """
    module, name = spec["function"].split(":")
    function: Measure = getattr(importlib.import_module(module), name)
    target = choose_device(device)
    wanted = chosen_fits(pd.read_parquet(spec["records"]))
    kept = {}
    for fit in spec["fits"]:
        for member, asked in networks(fit, spec, wanted.get(fit["label"], {}), target):
            place = "/".join([fit["label"], *([str(member)] if len(fit["spec"]["members"]) > 1 else [])])
            for part, found in function(asked).items():
                key = "/".join([place, asked.signal["name"], *([part] if part else [])])
                kept[key] = found.cpu().numpy()
    write_arrays(outputs["arrays"], kept)


def chosen_fits(records: pd.DataFrame) -> dict[str, dict[int, set[str]]]:
    """Combination -> member -> report signals, of the chosen sigma and without the fits that diverged."""
    key = ["combination", "member", "signal"]
    report = records[records["chosen"] & (records["set"] == "report")]
    ok = (report["status"] == "ok").groupby([report[column] for column in key]).all()
    found: dict[str, dict[int, set[str]]] = {}
    for combination, member, signal in ok[ok].index:
        found.setdefault(combination, {}).setdefault(int(member), set()).add(signal)
    return found


def networks(
    fit: Mapping[str, Any], spec: Mapping[str, Any], wanted: Mapping[int, set[str]], device: torch.device
) -> Iterator[tuple[int, Asked]]:
    """The wanted networks of a combination, with their members' numbers, one after the other."""
    if not wanted:
        return
    combination, weights = fit["spec"], load_file(fit["weights"], device=str(device))
    stored, rows = read_signals(spec["signals"]["npz"], spec["signals"]["json"])
    whole, theory = dict(stored), read_theory(fit.get("theory"))
    for member, names in wanted.items():
        prefix = f"{member}/" if len(combination["members"]) > 1 else ""
        for index, row in enumerate(rows):
            if row["name"] in names:
                arrays = {name: torch.from_numpy(array[[index]]).to(device) for name, array in whole.items()}
                problem = build(problem_of(combination, member), arrays, seed=seed_of(combination, member))
                encoding, network = untrained(combination, member, problem, theory)
                put_back(encoding, network, weights, prefix, row["name"])
                ask = asking(network.to(device), encoding.to(device), problem, device)
                yield member, Asked(ask, problem, arrays, row, spec["parameters"])


def untrained(
    combination: Mapping[str, Any], member: int, problem: Any, theory: Mapping[str, Tensor] | None
) -> tuple[Encoding, nn.Module]:
    """A member's encoding and one network, as its fit made them."""
    generator = draws(combination, member)
    encoding = encoding_of(combination, member, problem.dimensions, generator, theory)
    return encoding, network_of(combination, member, encoding, problem, 1, generator)


@torch.no_grad()
def put_back(encoding: Encoding, network: nn.Module, weights: Mapping[str, Tensor], prefix: str, signal: str) -> None:
    """Give them what the fit of a signal kept; names as `fit_combination` writes them."""
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[f"{prefix}{signal}.{name}"][None])
    for name, parameter in encoding.named_parameters():
        parameter.copy_(weights[f"{prefix}{signal}.encoding.{name}"])
    for name, buffer in encoding.named_buffers():
        buffer.copy_(weights[f"{prefix}encoding.{name}"])
