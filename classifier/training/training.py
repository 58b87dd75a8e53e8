"""A training run as a value: set up from its recipe, stepped through, its state saved and restored."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from classifier.distributed.devices import training_device, trains_in_bf16
from classifier.distributed.processes import ALONE, Processes
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import BASE, TOKENS
from classifier.model.adapters import with_method
from classifier.model.build import check_length, classifier
from classifier.model.forward import logits
from classifier.params.catalogue import Method, Model
from classifier.text.tokens import Tokens
from classifier.training import checkpoint
from classifier.training.batches import Plan
from classifier.training.calibration import quality
from classifier.training.gradient import Gradient, label_weights, orthogonality
from classifier.training.optimizer import make_optimizer
from classifier.training.progress import Progress
from classifier.training.recipe import Recipe

CODE = [Path("classifier") / room for room in ("distributed", "model", "text", "training")]  # shapes the weights


class Training:
    """Set up, not yet begun; in each of several processes, which take the same steps with a share of each batch.

    Raises InputError if the settings do not suit each other, the model or the rows, or if the processes have not the
    same of them.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Model,
        method: Method,
        tokens: Tokens,
        held_out: Tokens,
        processes: Processes = ALONE,
    ):
        from transformers import get_scheduler, set_seed

        self.recipe, self.tokens, self.held_out, self.processes = recipe, tokens, held_out, processes
        self.plan = Plan(tokens, recipe, model.epochs)
        self.rate = recipe.learning_rate or method.learning_rate or model.learning_rate
        set_seed(recipe.seed)
        device = training_device(recipe.deterministic)
        self.bf16 = trains_in_bf16(recipe.precision, device)
        self.network = self.build(model, method, device)
        self.trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.label_weights = label_weights(recipe.class_weights, tokens.labels, tokens.metadata["labels"])
        self.gradient = Gradient(
            self.network,
            recipe.micro_batch_size,
            self.bf16,
            self.label_weights,
            longest=tokens.metadata["tokenize"]["max_length"],
            repeats=processes.count == 1,
        )
        self.optimizer = make_optimizer(self.network, self.rate, recipe.weight_decay, method.loraplus_lr_ratio)
        warmup = round(recipe.warmup * self.plan.steps)
        self.scheduler = get_scheduler(recipe.schedule, self.optimizer, warmup, self.plan.steps)
        self.progress = Progress()
        self.best: dict[str, Any] = {}  # the trained weights, by name, of the best validation so far, if they are kept
        self.key = self.checkpoint_key(model, method)
        processes.check_equal(
            f"{self.key} {device.type} {self.bf16}",
            "has other token ids, base model or processor than rank 0; bring its folder to the same commit, then "
            "`dvc pull`, and give all the same DEVICE",
        )
        # PiSSA's initial weights come from a decomposition, whose signs depend on the processor.
        processes.broadcast_parameters(self.trained)

    def build(self, model: Model, method: Method, device):
        """The network, on the device and ready to train."""
        network, head = classifier(self.tokens.metadata["labels"], self.recipe.dropout)
        if self.bf16 and device.type == "cpu":
            from classifier.model.fast.attention import in_products

            in_products(network)
        network = with_method(network, head, method, model.peft, self.plan.steps)
        check_fit(network, self.recipe)
        check_length(network, self.tokens.metadata["tokenize"]["max_length"])
        return network.to(device).train()

    def checkpoint_key(self, model: Model, method: Method) -> str:
        """A digest of everything that the weights depend on, but for the hardware: it rounds, and each of several
        processes draws its own dropout.
        """
        settings = {"model": model, "method": method, **self.recipe.model_dump()}
        libraries = {name: version(name) for name in ("numpy", "peft", "torch", "transformers")}
        inputs = [TOKENS / "train.arrow", TOKENS / "validation.arrow", BASE]
        return digest_of(settings | libraries, [*inputs, *CODE])

    @property
    def hardware(self) -> dict[str, Any]:
        """What the weights depend on, too; the kind of CPU or GPU it does not tell."""
        import torch

        return {
            "device": self.network.device.type,
            "processes": self.processes.count,
            "threads": torch.get_num_threads(),
            "bf16": self.bf16,
        }

    def resume(self) -> str | None:
        """Go on from the checkpoint of a run like this that was broken off, and say from where; None without one."""
        saved = self.processes.broadcast(checkpoint.load(self.key) if self.processes.is_rank_0 else None)
        if not saved:
            return None
        tensors, state = saved
        self.best = checkpoint.unpack(tensors, self.network, self.optimizer)
        self.scheduler.load_state_dict(state.pop("scheduler"))
        for group, last in zip(self.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = last  # a scheduler restores its own count, not the optimizer's rate
        before = state.pop("hardware")
        self.progress = Progress(**state)
        other = ", ".join(
            f"{name} {before[name]}, now {now}" for name, now in self.hardware.items() if now != before[name]
        )
        place = f"step {self.progress.step} of {self.plan.steps}"
        return (
            f"{place} ({other}: the weights will not be byte for byte those of an uninterrupted run)"
            if other
            else place
        )

    def save(self) -> None:
        """Write the checkpoint that `resume` goes on from."""
        state = asdict(self.progress) | {"scheduler": self.scheduler.state_dict(), "hardware": self.hardware}
        checkpoint.save(self.key, checkpoint.pack(self.network, self.optimizer, self.best), state)

    @property
    def followed(self) -> int:
        """How many validation texts to score at each of the recipe's validations: its validation_rows, but, unless they
        choose the weights or the end, only as many as all validations together can score in a quarter of the time. A
        token takes about half as long to score as to train on.
        """
        rows = min(self.recipe.validation_rows, len(self.held_out.labels))
        if follows_validation(self.recipe):
            return rows
        tokens = 2 * self.plan.tokens_read / 3 / self.recipe.validations
        return min(rows, max(1, self.held_out.texts_within(tokens)))

    @property
    def stopped(self) -> bool:
        """Whether the validation loss has not improved for as long as the recipe waits."""
        return self.recipe.patience is not None and self.progress.since_best >= self.recipe.patience

    def keep(self) -> int:
        """Put the weights that the recipe keeps into the network, at the end of the run; return their step."""
        if self.recipe.keep == "last":
            return self.progress.step
        self.network.load_state_dict(self.best, strict=False)
        return self.progress.best_step

    def run(self) -> Iterator[int]:
        """Take the steps that are left, yielding the number of each, from 1, after it and before its checkpoint.

        Validates when the recipe says so, ends early if its patience does, and writes a checkpoint each
        CHECKPOINT_MINUTES of the environment, or each minute. Raises InputError if the loss is no longer finite.
        """
        steps, validations = self.plan.steps, self.recipe.validations
        validate_at = {round(steps * (number + 1) / validations) for number in range(validations)}
        interval, saved_at = checkpoint.seconds_between(), time.monotonic()
        for step in range(self.progress.step + 1, steps + 1):
            if self.stopped:
                return
            loss, rate = self.take_step(step)
            self.progress.step = step
            self.progress.losses.append(loss)
            if step in validate_at:
                self.follow(step)
            if step % max(1, steps // 100) == 0 or step == steps or self.stopped:
                self.progress.training.append([step, float(np.mean(self.progress.losses)), rate])
                self.progress.losses = []
            yield step
            if self.processes.is_rank_0 and (step == steps or self.stopped or time.monotonic() - saved_at > interval):
                self.save()
                saved_at = time.monotonic()

    def take_step(self, step: int) -> tuple[float, float]:
        """One optimizer step; (the batch's loss, the learning rate)."""
        import torch

        tokens, batch = self.plan.batch(step)  # the whole batch, of which this process has a share
        if not self.network.training:  # after a validation; a walk through all modules takes a millisecond
            self.network.train()
        if self.processes.count > 1:  # each draws its own dropout, and the same again after a restart
            source = np.random.SeedSequence((self.recipe.seed, step, self.processes.rank))
            torch.manual_seed(int(source.generate_state(1)[0]))
        rows = self.processes.shard(batch)
        loss = self.gradient(tokens[rows], tokens.labels[rows], len(batch))
        loss = self.processes.all_reduce_gradients(self.trained, loss)
        if (penalty := orthogonality(self.network)) is not None:
            penalty.backward()
        self.refuse_divergence(loss, step)
        torch.nn.utils.clip_grad_norm_(self.trained, self.recipe.max_grad_norm)
        self.optimizer.step()
        if reallocate := getattr(self.network.base_model, "update_and_allocate", None):
            reallocate(step - 1)  # AdaLoRA moves rank between layers
        rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=self.gradient.graphs is None)
        return loss, rate

    def follow(self, step: int) -> None:
        """Add a point to the validation curve, from some of the rows and in the training's precision; copy the weights
        if they are the best so far and these are kept.
        """
        import torch

        with torch.autocast(self.network.device.type, torch.bfloat16, enabled=self.bf16):
            scores, labels = self.validate(self.followed)
        self.progress.validation.append([step, *quality(scores, labels, self.label_weights)])  # weighted as in training
        if self.recipe.keep == "best" and not self.progress.since_best:
            trained = ((name, each) for name, each in self.network.named_parameters() if each.requires_grad)
            self.best = {name: each.detach().clone() for name, each in trained}

    def validate(self, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(logits, labels) of the first `rows` validation texts, or of all."""
        part = self.held_out.head(rows)
        scores = logits(self.network, part, "validation", self.processes)
        self.refuse_divergence(scores, self.progress.step)
        return scores, part.labels

    def refuse_divergence(self, numbers: float | np.ndarray, step: int) -> None:
        if not np.isfinite(numbers).all():
            raise InputError(
                f"params.yaml: the training diverged by step {step} of {self.plan.steps}; lower the learning rate of "
                f"{self.rate}"
            )


def follows_validation(recipe: Recipe) -> bool:
    """Whether the validations on the way choose the weights or the end."""
    return recipe.keep == "best" or recipe.patience is not None


def check_fit(network, recipe: Recipe) -> None:
    """Raises InputError if the recipe does not suit the method."""
    if follows_validation(recipe) and getattr(network.base_model, "update_and_allocate", None):
        setting = "keep: best" if recipe.keep == "best" else f"patience: {recipe.patience}"
        raise InputError(f"params.yaml: train.{setting} is not for AdaLoRA, whose ranks move to the end")
