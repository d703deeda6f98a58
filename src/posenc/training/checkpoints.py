"""What a long fit has reached so far, kept outside its outputs, so that a killed job goes on instead of anew."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from posenc.files import remove_leftovers, write_bytes
from posenc.training.loop import Optimizer
from posenc.training.values import Fitted, Records

log = logging.getLogger(__name__)


@dataclass
class State:
    """JSON-able facts and tensors of a fit under way."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)


class Checkpoint:
    """One file that is written now and then, read at the start and deleted at the end.

    identity: everything that the state depends on (settings, code, signals, device). A file of another identity, or one
    that cannot be read, is never used: the fit starts anew, and the log says why.
    """

    def __init__(self, path: str | Path, identity: Any, seconds_between: float) -> None:
        self.path = Path(path)
        self.identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.seconds_between = seconds_between
        self.latest = time.monotonic()

    def load(self) -> State | None:
        """The state that was saved, on the CPU, or None where there is none to go on from."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                if file.metadata()["identity"] != self.identity:
                    log.warning("%s is of other settings, code, signals or device: the fit starts anew", self.path)
                    return None
                return State(facts, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s): the fit starts anew", self.path, error)
            return None

    def is_due(self) -> bool:
        return time.monotonic() - self.latest >= self.seconds_between

    def save(self, state: State) -> None:
        """Write the state. Where that fails, on a full disk say, the fit goes on without, and the log says so."""
        self.latest = time.monotonic()
        metadata = {"identity": self.identity, "facts": json.dumps(state.facts)}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self.path, save(tensors, metadata))
            log.info("saved the state, to go on from after a kill")
        except OSError as error:
            log.warning("the state could not be saved (%s): a killed fit would start from an earlier one", error)

    def delete(self) -> None:
        remove_leftovers(self.path)
        self.path.unlink(missing_ok=True)


class Progress:
    """What a combination has reached: its finished signals, and now and then a checkpoint of those being fitted."""

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        self.checkpoint = checkpoint
        self.started = time.monotonic()
        self.fitted = Fitted()
        self.seconds_before = 0.0
        self.running = checkpoint.load() if checkpoint else None
        self.resumed = self.running is not None
        if self.running:
            facts, tensors = self.running.facts, self.running.tensors
            self.seconds_before = facts["seconds"]
            self.fitted = Fitted(facts["values"], below(tensors, "prediction/"), below(tensors, "weight/"))

    @property
    def done(self) -> set[tuple[int, str]]:
        """Members and names of the finished signals."""
        return {(row["member"], row["signal"]) for row in self.fitted.values}

    def under_way(self, member: int) -> int:
        """How many signals of a member the saved state is of; 0 where there is none of it."""
        if self.running is None or self.running.facts["running"]["member"] != member:
            return 0
        return len(self.running.facts["running"]["names"])

    def finish(self, fitted: Fitted) -> None:
        self.fitted.add(fitted)

    def forget(self) -> None:
        """The outputs are written: nothing is left to go on from."""
        if self.checkpoint:
            self.checkpoint.delete()

    def offer(self, model: nn.Module, optimizer: Optimizer, records: Records, step: int) -> None:
        """Save the state after an update, if the last saving was long enough ago."""
        if self.checkpoint and self.checkpoint.is_due():
            facts = {
                "seconds": self.seconds_before + time.monotonic() - self.started,
                "values": self.fitted.values,
                "running": {"member": records.member, "names": records.names, "step": step, "values": records.values},
            }
            tensors = {f"optimizer/{name}": tensor for name, tensor in optimizer.state().items()}
            tensors |= {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
            tensors |= {f"prediction/{name}": pixels for name, pixels in self.fitted.predictions.items()}
            tensors |= {f"weight/{name}": tensor for name, tensor in self.fitted.weights.items()}
            self.checkpoint.save(State(facts, tensors))

    def resume(self, model: nn.Module, optimizer: Optimizer, records: Records) -> int:
        """Put back the state of these signals, if they are those that were under way; the number of updates done."""
        running, self.running = self.running, None
        if running is None:
            return 0
        under_way = running.facts["running"]
        if (under_way["member"], under_way["names"]) != (records.member, records.names):
            return 0
        model.load_state_dict(below(running.tensors, "model/"))
        optimizer.put_back(below(running.tensors, "optimizer/"))
        records.put_back(under_way["values"])
        step: int = under_way["step"]
        log.info("going on after step %d", step)
        return step


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
