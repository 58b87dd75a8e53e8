"""A training run: its network, its steps, its validations and its checkpoint."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from classifier.distributed.devices import training_device, uses_bf16
from classifier.distributed.processes import ALONE, Processes
from classifier.errors import InputError
from classifier.model.forward import logits_and_features
from classifier.params.catalogue import Method, Model
from classifier.tasks.task import TASKS
from classifier.text.tokens import Tokens
from classifier.training.batches import Plan
from classifier.training.checkpoint import Checkpoint, run_key
from classifier.training.gradient import Gradient, orthogonality_penalty
from classifier.training.network import build_network
from classifier.training.optimizer import make_optimizer
from classifier.training.progress import Progress
from classifier.training.recipe import Recipe
from classifier.training.state import pack, trained_parameters, unpack


class Training:
    """A training run. The calls in order: `resume`, `run`, `load_kept_weights`, `validate`.

    Each of several processes has a Training of its own. All take the same steps, each with its shard of the batches.

    Args:
        recipe: The settings of the training.
        model: The entry of the pretrained model in params.yaml.
        method: The entry of the training method in params.yaml.
        train_tokens: The rows to train on.
        validation_tokens: The rows of the validation split.
        processes: The processes that train together.

    Raises:
        InputError: The settings do not fit the model, the rows or each other, or the inputs of the processes differ.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Model,
        method: Method,
        train_tokens: Tokens,
        validation_tokens: Tokens,
        processes: Processes = ALONE,
    ):
        from transformers import get_scheduler, set_seed

        self.recipe, self.processes = recipe, processes
        self.train_tokens, self.validation_tokens = train_tokens, validation_tokens
        self.task = TASKS[train_tokens.metadata["task"]]
        self.plan = Plan(train_tokens, recipe, model.epochs)
        self.texts_per_validation = self.plan.texts_per_validation(validation_tokens)
        self.learning_rate = recipe.learning_rate or method.learning_rate or model.learning_rate
        set_seed(recipe.seed)
        device = training_device(recipe.deterministic)
        self.bf16 = uses_bf16(recipe.precision, device)
        self.network = build_network(self.plan, model, method, self.bf16, device)
        self.trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        names = train_tokens.metadata["labels"]
        self.loss_settings = self.task.loss_settings(recipe.class_weights, train_tokens.labels, names)
        self.targets = self.task.targets(train_tokens.labels, self.loss_settings)
        self.gradient = Gradient(
            self.network,
            self.task,
            recipe.micro_batch_size,
            self.bf16,
            self.loss_settings,
            max_length=train_tokens.metadata["tokenize"]["max_length"],
            use_cuda_graphs=processes.count == 1,
        )
        self.optimizer = make_optimizer(self.network, self.learning_rate, recipe.weight_decay, method.loraplus_lr_ratio)
        warmup = round(recipe.warmup * self.plan.steps)
        self.scheduler = get_scheduler(recipe.schedule, self.optimizer, warmup, self.plan.steps)
        self.progress = Progress()
        self.best_weights: dict[str, Any] = {}  # at the lowest validation loss so far, if the recipe keeps them
        self.checkpoint = Checkpoint(run_key(recipe, model, method))
        processes.check_equal(
            f"{self.checkpoint.key} {device.type} {self.bf16}",
            "has other token ids, another base model or another kind of device than rank 0; bring its folder to the "
            "same commit, then `dvc pull`, and set the same DEVICE for all",
        )
        # PiSSA's initial weights come from a decomposition, whose signs depend on the processor.
        processes.broadcast_parameters(self.trained)

    def resume(self) -> str | None:
        """Restore the checkpoint of an interrupted run, if there is one.

        Returns:
            A description of the step from which the run resumes; None without a checkpoint.
        """
        checkpoint = self.processes.broadcast(self.checkpoint.load() if self.processes.is_rank_0 else None)
        if checkpoint is None:
            return None
        changes = unpack(self, *checkpoint)
        warning = f" ({', '.join(changes)}: the weights will not be byte for byte those of an uninterrupted run)"
        return f"step {self.progress.step} of {self.plan.steps}" + warning * bool(changes)

    @property
    def has_stopped_early(self) -> bool:
        """Whether the validation loss has not improved for as many validations as the recipe's patience."""
        return self.recipe.patience is not None and self.progress.validations_since_best >= self.recipe.patience

    def run(self) -> Iterator[int]:
        """Take the remaining steps; yield the number of each step. The first step of a training is 1.

        If a checkpoint is due after a step, it is written once the caller asks for the next step.

        Raises:
            InputError: The loss is no longer finite.
        """
        steps = self.plan.steps
        for step in range(self.progress.step + 1, steps + 1):
            if self.has_stopped_early:
                return
            loss, learning_rate = self.take_step(step)
            self.progress.step = step
            self.progress.losses.append(loss)
            if step in self.plan.validation_steps:
                self.add_validation(step)
            is_last = step == steps or self.has_stopped_early
            if is_last or step % max(1, steps // 100) == 0:
                self.progress.training.append([step, float(np.mean(self.progress.losses)), learning_rate])
                self.progress.losses = []
            yield step
            if self.processes.is_rank_0 and (is_last or self.checkpoint.is_due):
                self.checkpoint.save(*pack(self))

    def take_step(self, step: int) -> tuple[float, float]:
        """Take one optimizer step; return the loss of the batch and the learning rate."""
        import torch

        tokens, batch = self.plan.batch(step)
        if not self.network.training:  # only after a validation: setting the mode takes a millisecond
            self.network.train()
        if self.processes.count > 1:  # each rank draws its own dropout masks, and the same ones again after a restart
            seed = np.random.SeedSequence((self.recipe.seed, step, self.processes.rank))
            torch.manual_seed(int(seed.generate_state(1)[0]))
        rows = self.processes.shard(batch)
        loss = self.gradient(tokens[rows], self.targets[rows], len(batch))
        loss = self.processes.all_reduce_gradients(self.trained, loss)
        if (penalty := orthogonality_penalty(self.network)) is not None:
            penalty.backward()
        self.check_finite(loss, step)
        torch.nn.utils.clip_grad_norm_(self.trained, self.recipe.max_grad_norm)
        self.optimizer.step()
        if reallocate := getattr(self.network.base_model, "update_and_allocate", None):
            reallocate(step - 1)  # AdaLoRA moves ranks between layers
        learning_rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=not self.gradient.uses_cuda_graphs)
        return loss, learning_rate

    def add_validation(self, step: int) -> None:
        """Add a point to the validation curve; copy the weights if they are the best so far and the recipe keeps them.

        The point is measured on some of the validation texts, in the precision and with the label weights of the
        training.
        """
        import torch

        with torch.autocast(self.network.device.type, torch.bfloat16, enabled=self.bf16):
            scores, _, labels = self.validate(self.texts_per_validation)
        self.progress.validation.append([step, *self.task.quality(scores, labels, self.loss_settings)])
        if self.recipe.keep == "best" and self.progress.validations_since_best == 0:
            self.best_weights = {name: weights.clone() for name, weights in trained_parameters(self.network).items()}

    def validate(self, texts: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Score validation texts.

        Args:
            texts: How many validation texts to score, from the first on. None: all, and also return their features.

        Returns:
            (logits, features, labels): (texts, names), (texts, width) as in `logits_and_features`, and the labels.
        """
        tokens, with_features = self.validation_tokens.first_texts(texts), texts is None
        scores, features = logits_and_features(self.network, tokens, "validation", self.processes, with_features)
        self.check_finite(scores, self.progress.step)
        return scores, features, tokens.labels

    def check_finite(self, numbers: float | np.ndarray, step: int) -> None:
        """Raise InputError if a loss or a logit is not finite."""
        if not np.isfinite(numbers).all():
            raise InputError(
                f"params.yaml: the training diverged by step {step} of {self.plan.steps}; lower the learning rate of "
                f"{self.learning_rate}"
            )

    def load_kept_weights(self) -> int:
        """Load the weights that the recipe keeps, the last or the best, into the network; return their step."""
        if self.recipe.keep == "last":
            return self.progress.step
        self.network.load_state_dict(self.best_weights, strict=False)
        return self.progress.best_step
