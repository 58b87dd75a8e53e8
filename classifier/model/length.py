"""Check that a network can read texts of the longest length."""

import bisect

from classifier.errors import InputError, out_of_memory
from classifier.files.places import BASE


def check_length(network, max_length: int) -> None:
    """Check that the network can read a text of max_length tokens, by giving it one.

    The limit does not follow from an encoder's config. Some encoders keep two of their positions free, a learned prompt
    takes positions, and some configs state no limit.

    Args:
        network: A sequence classifier on the CPU, wrapped by peft or not. It is left in evaluation mode.
        max_length: Tokens of the longest text, special tokens included.

    Raises:
        InputError: The network cannot read the text. The message has the largest number of tokens that it can read.
    """
    import torch

    def failure(length: int) -> Exception | None:
        """Return the error that a text of this many tokens raises; None if there is none."""
        ids = torch.full((1, length), 1 if network.config.pad_token_id != 1 else 0)
        try:
            with torch.inference_mode():
                network.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:  # encoders raise different errors
            if out_of_memory(error):
                raise
            return error
        return None

    if (error := failure(max_length)) is None:
        return
    limit = bisect.bisect_left(range(max_length), True, key=lambda length: failure(length + 1) is not None)
    reason = (str(error) or repr(error)).splitlines()[0]
    if not limit:
        raise InputError(f"{BASE}: the model cannot read a text: {reason}; choose another model") from error
    virtual = getattr(getattr(network, "active_peft_config", None), "num_virtual_tokens", 0)
    prompt = f" beside the method's {virtual} virtual tokens" if virtual else ""
    raise InputError(
        f"params.yaml: tokenize.max_length: the model cannot read {max_length} tokens{prompt}; lower it to {limit} "
        f"({reason})"
    ) from error
