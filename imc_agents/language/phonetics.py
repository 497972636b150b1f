"""Words that sound alike: a small phonetic key for English and its medical Latin and Greek."""

from __future__ import annotations

import re

_STARTS = (("kn", "n"), ("gn", "n"), ("pn", "n"), ("wr", "r"), ("ps", "s"), ("pt", "t"),
           ("wh", "w"), ("x", "z"), ("rh", "r"), ("mn", "n"))  # fmt: skip
_INSIDE = (
    ("tch", "X"), ("sch", "sk"), ("ph", "f"), ("th", "0"), ("sh", "X"), ("ch", "K"), ("ck", "k"),
    ("gh", ""), ("dge", "j"), ("dg", "j"), ("tion", "XAn"), ("sion", "XAn"), ("cial", "Xl"),
    ("tial", "Xl"), ("sce", "se"), ("sci", "si"), ("ce", "se"), ("ci", "si"), ("cy", "si"),
    ("ge", "je"), ("gi", "ji"), ("gy", "ji"), ("qu", "kw"), ("x", "ks"), ("c", "k"), ("q", "k"),
    ("z", "s"), ("mb", "m"), ("K", "k"),
)  # fmt: skip
_DOUBLED = re.compile(r"(.)\1+")
_SILENT_E = re.compile(r"(?<=[a-zX0])e(?=s?$)")
_FRONT = re.compile(r"[eiy][aeiouyhw]*")
_OTHER = re.compile(r"[aou][aeiouyhw]*|[hw]+")


def phonetic_key(word: str) -> str:
    """A key that words of the same sound share: consonants, and front or back vowels.

    In the manner of Metaphone (Philips 1990), much shortened: "ileum" and "ilium" meet. What no
    spelling rule covers is in ``data/sounds_alike.tsv``.

    Args:
        word: one word in any case; what is not a letter is left out.
    """
    sound = "".join(letter for letter in word.lower() if letter.isalpha())
    for start, replaced in _STARTS:
        if sound.startswith(start):
            sound = replaced + sound[len(start) :]
            break
    sound = _SILENT_E.sub("", sound)
    for spelled, spoken in _INSIDE:
        if spelled in sound:
            sound = sound.replace(spelled, spoken)
    sound = _DOUBLED.sub(r"\1", sound)
    return _OTHER.sub("A", _FRONT.sub("I", sound))
