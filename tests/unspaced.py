"""Made-up texts with labels, in scripts and forms without spaces between words."""

import random


def made_up(neutral: list[str], decisive: tuple[list[str], list[str]], between: str) -> list[tuple[str, int]]:
    """Return 200 different (text, label) pairs of neutral words and one or two words that decide the label."""
    rng, labels = random.Random(0), {}
    while len(labels) < 200:
        label = len(labels) % 2
        words = rng.choices(neutral, k=rng.randint(3, 8)) + rng.choices(decisive[label], k=rng.randint(1, 2))
        rng.shuffle(words)
        labels[between.join(words)] = label
    return list(labels.items())


def numbers(count: int) -> list[tuple[str, int]]:
    """Return (text, label) pairs; a text is a number of even digits only, or of odd digits only."""
    rng = random.Random(0)
    return [("".join(rng.choices(("02468", "13579")[i % 2], k=8)), i % 2) for i in range(count)]


UNSPACED = {
    "chinese": made_up(
        ["这部", "电影", "导演", "演员", "今天", "我们"], (["难看", "无聊"], ["精彩", "好看", "喜欢"]), ""
    ),
    "chinese with stops": made_up(["这部电影", "朋友", "导演"], (["难看", "太无聊"], ["好看", "喜欢"]), "。"),
    "japanese": made_up(
        ["この", "映画", "は", "俳優", "の", "物語", "シーン"], (["最悪", "つまらない"], ["最高", "素晴らしい"]), ""
    ),
    "thai": made_up(["หนัง", "เรื่อง", "นี้", "นักแสดง", "ฉาก", "ที่"], (["แย่", "น่าเบื่อ"], ["สนุก", "ดีมาก"]), ""),
    "emoji": made_up(["🎬", "🎥", "🍿", "🌙"], (["💔", "👎", "😡"], ["😀", "👍", "❤️"]), ""),
    "letters": made_up(["a", "e", "i", "o", "u"], (["b", "c"], ["x", "y"]), " "),
    "numbers": numbers(200),
}
