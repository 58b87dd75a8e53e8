"""Count the floating-point operations of an encoder, in training with LoRA and in scoring."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Encoder:
    """The sizes of a BERT-like encoder, as its config.json has them, and what LoRA trains of it.

    Floating-point operations are counted as two for each matrix weight and token, plus the two products of attention,
    which grow with the square of the length.

    Args:
        layers, hidden, intermediate: number of layers, width, and width of the feed-forward network.
        adapted: number of layers with LoRA, counted from the top.
        trained: number of trained parameters.
    """

    layers: int
    hidden: int
    intermediate: int
    adapted: int
    trained: int

    def top_layers(self, layers: int, tokens: float, attention: int = 1) -> float:
        """Count the operations of the top `layers` for one text.

        The last layer computes keys and values for all tokens, and everything else for the first token only.

        Args:
            layers: number of layers.
            tokens: length of the text.
            attention: how many times the products of attention are counted.
        """
        if not layers:
            return 0.0
        keys_values, rest = 2 * self.hidden**2, 2 * self.hidden**2 + 2 * self.hidden * self.intermediate
        full_layer = 2 * (keys_values + rest) * tokens + 4 * self.hidden * tokens**2 * attention
        last_layer = 2 * keys_values * tokens + 2 * rest + 4 * self.hidden * tokens * attention
        return (layers - 1) * full_layer + last_layer

    def forward(self, tokens: float) -> float:
        """Count the operations of a forward pass for one text."""
        return self.top_layers(self.layers, tokens)

    def training(self, tokens: float) -> float:
        """Count the operations of one text in a training step with LoRA: a forward and a backward pass.

        The backward pass goes to the activations of the layers with LoRA, but not to the input of the lowest one, and
        has twice the products of attention. The gradients of the frozen matrices, which would take as much as the
        forward pass, are not computed.
        """
        queries = tokens if self.adapted > 1 else 1
        not_needed = 2 * self.hidden**2 * (2 * tokens + queries)
        return self.forward(tokens) + self.top_layers(self.adapted, tokens, attention=2) - not_needed
