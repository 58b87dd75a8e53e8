"""The classifier's forward pass over many rows, shared by train, evaluate and infer."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from classifier.distributed.processes import ALONE, Processes
from classifier.model.build import last_layer
from classifier.text.tokens import Tokens

# Tokens of a batch, padding included. On a CPU, larger batches leave its caches, and are up to a tenth slower in fp32.
# On a GPU, smaller batches leave the GPU idle.
TOKENS_PER_BATCH, TOKENS_PER_GPU_BATCH = 2048, 32768


def silence_libraries() -> None:
    """Switch off the progress bars of transformers and those warnings that a user can do nothing about.

    Errors still show. The pipeline draws its own progress bars.
    """
    import warnings

    import transformers

    # peft 0.21 asks transformers for an attribute by its old name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    # peft 0.21 does not use the saved ranks of AdaLoRA here, and restores them elsewhere.
    warnings.filterwarnings("ignore", "The following rank_pattern keys did not match", RuntimeWarning)
    # peft 0.21 takes a matrix whose rank AdaLoRA has lowered to 0 for a shard of another matrix.
    warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape", UserWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def pad_batch(
    sequences: list[np.ndarray],
    pad_id: int,
    multiple: int = 1,
    max_length: int | None = None,
    types_after: int | None = None,
):
    """Return token ids of different lengths as one batch of equal lengths.

    transformers' collator does the same, but needs the tokenizer and converts the arrays to lists.

    Args:
        sequences: The token ids of each row, (ids,).
        pad_id: The token id of padding.
        multiple: The batch's length is that of the longest row, rounded up to a multiple of this number.
        max_length: Upper limit of the batch's length in tokens, at least that of the longest row. None: no limit.
        types_after: As in `with_token_types`.

    Returns:
        {"input_ids": ids, "attention_mask": mask}, both (rows, tokens) int64; the mask is 1 for tokens, 0 for padding.
        With `types_after` also {"token_type_ids": types}.
    """
    import torch
    from torch.nn import functional
    from torch.nn.utils.rnn import pad_sequence

    rows = [torch.tensor(ids, dtype=torch.int64) for ids in sequences]
    ids = pad_sequence(rows, batch_first=True, padding_value=pad_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    added = -ids.shape[1] % multiple
    if max_length is not None:
        added = min(added, max_length - ids.shape[1])
    ids, mask = functional.pad(ids, (0, added), value=pad_id), functional.pad(mask, (0, added))
    return with_token_types({"input_ids": ids, "attention_mask": mask}, types_after)


def padding_multiple(in_bf16: bool, device) -> int:
    """Return the number of tokens to a multiple of which batches are padded: 16 in bf16 on a CPU, and else 1.

    oneDNN generates code for each shape and keeps it, which takes more time and memory in bf16 than in fp32.
    """
    return 16 if in_bf16 and device.type == "cpu" else 1


def with_token_types(inputs: dict, types_after: int | None) -> dict:
    """Return the inputs of a network with the token types of pairs of texts.

    Args:
        inputs: input_ids and attention_mask, (rows, tokens).
        types_after: The id of the special token after the first text of a pair; the tokens behind it have the type 1,
            and all others and the padding 0. None: the network gets no token types.
    """
    if types_after is None:
        return inputs
    is_end = (inputs["input_ids"] == types_after).long()
    return inputs | {"token_type_ids": (is_end.cumsum(1) - is_end).clamp(max=1) * inputs["attention_mask"]}


def types_after(model) -> int | None:
    """Return the `types_after` of `with_token_types` for a classifier, which config.json has if it reads pairs."""
    return getattr(model.config, "token_types_after", None)


def batches_by_length(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Yield the row numbers of each batch, the longest rows first.

    Rows of similar length need little padding, and the first batch shows the peak of memory.

    Args:
        lengths: The number of tokens of each row, (rows,).
        max_tokens: The most tokens of a batch, padding included. A longer row is a batch of its own.

    >>> [rows.tolist() for rows in batches_by_length(np.array([3, 10, 4, 9]), 20)]
    [[1, 3], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, max_tokens // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def logits(
    model, sequences: Tokens | list[np.ndarray], desc: str | None = None, processes: Processes = ALONE
) -> np.ndarray:
    """Return the logits of each text, (texts, labels) float32, in the order of the texts.

    Args:
        model: A sequence classifier of transformers, wrapped by peft or not.
        sequences: The token ids of each row. In Tokens, a text may have several rows, its windows. The logits of such a
            text are the mean of its windows' logits.
        desc: Label of the progress bar. None: no bar.
        processes: The processes that share the batches; all of them have to call this function.
    """
    return logits_and_features(model, sequences, desc, processes, with_features=False)[0]


def logits_and_features(
    model,
    sequences: Tokens | list[np.ndarray],
    desc: str | None = None,
    processes: Processes = ALONE,
    with_features: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits and the features of each text: the inputs of the last layer, from which the logits come.

    Args:
        model, sequences, desc, processes: As in `logits`. The features of a text are the mean of its windows' features.
        with_features: Whether to keep the features.

    Returns:
        (logits, features): (texts, labels) float32 and (texts, width) float32; a width of 0 without features.
    """
    import torch

    model.eval()
    is_split = isinstance(sequences, Tokens)
    lengths = sequences.lengths if is_split else np.array([len(ids) for ids in sequences])
    layer = last_layer(model) if with_features else None
    scores = np.zeros((len(sequences), model.config.num_labels), dtype=np.float32)
    features = np.zeros((len(sequences), layer.in_features if layer else 0), dtype=np.float32)
    max_tokens = TOKENS_PER_GPU_BATCH if model.device.type == "cuda" else TOKENS_PER_BATCH
    multiple = padding_multiple(model.dtype == torch.bfloat16, model.device)
    longest = max(lengths.max(initial=0), getattr(model.config, "tokenize", {}).get("max_length", 0))
    batches = processes.shard([*batches_by_length(lengths, max_tokens)])
    with (
        torch.inference_mode(),
        calls_of(layer) as calls,
        tqdm(total=sum(map(len, batches)), desc=desc, unit="row", disable=None if desc else True, leave=False) as bar,
    ):
        for rows in batches:
            ids = sequences[rows] if is_split else [sequences[row] for row in rows]
            inputs = pad_batch(ids, model.config.pad_token_id, multiple, longest, types_after(model))
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            outputs = model(**inputs).logits
            scores[rows] = outputs.float().cpu().numpy()
            if layer:
                features[rows] = taken_vectors(*calls.pop(), outputs).float().cpu().numpy()
            bar.update(len(rows))
    scores = processes.all_reduce(torch.from_numpy(scores)).numpy()
    if layer:
        features = processes.all_reduce(torch.from_numpy(features)).numpy()
    if is_split and sequences.texts is not None:
        return mean_by_text(scores, sequences.texts), mean_by_text(features, sequences.texts)
    return scores, features


@contextmanager
def calls_of(layer) -> Iterator[list]:
    """Yield a list to which each call of a layer adds its (input, output) tensors. None: the list stays empty."""
    calls = []
    handle = layer and layer.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    try:
        yield calls
    finally:
        if handle:
            handle.remove()


def taken_vectors(vectors, outputs, logits):
    """Return the vector of each row that the network's logits come from, (rows, width).

    A decoder's last layer computes logits at all positions of a row, and transformers takes those of one position.

    Args:
        vectors: The inputs of the last layer, (rows, width) or (rows, positions, width).
        outputs: Its outputs, (rows, labels) or (rows, positions, labels).
        logits: The logits of the network, (rows, labels).
    """
    if vectors.ndim == 2:
        return vectors
    position = (outputs == logits[:, None]).all(dim=2).int().argmax(dim=1)
    return vectors[range(len(vectors)), position]


def mean_by_text(scores: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return the mean logits of each text's windows, (texts, labels).

    Args:
        scores: The logits of each window, (windows, labels).
        texts: The number of each window's text, (windows,), rising.

    >>> mean_by_text(np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]]), np.array([0, 0, 1]))
    array([[2., 1.],
           [5., 5.]])
    """
    _, starts, counts = np.unique(texts, return_index=True, return_counts=True)
    return np.add.reduceat(scores, starts) / counts[:, None].astype(scores.dtype)
