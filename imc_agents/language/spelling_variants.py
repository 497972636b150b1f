"""British and American spelling: two ways to write one word, neither a slip of the other."""

from __future__ import annotations

import re
from functools import lru_cache

_AMERICAN = (
    (re.compile("^oe(?=[dst])|(?<=^f)oe(?=t)|(?<=rrh)oe(?=a)|(?<=^c)oe(?=l)"), "e"),
    (re.compile("(?<=[chilnrtx])ae(?=m)|(?<=[cfp])ae(?=[cds])|(?<=n)ae(?=[cs])|^ae(?=[st])"), "e"),
    (re.compile("our(?=$|s$|ed$|ing$|less$|al$|ful$|able$)"), "or"),
    (re.compile("(?<=[bht])re(?=$|s$|d$)"), "er"),
    (re.compile("(?<=[iy])s(?=(?:e|ed|es|ing|ation|ations)$)"), "z"),
    (re.compile("ll(?=(?:ed|ing|er|ers)$)"), "l"),
    (re.compile("ogue(?=s?$)"), "og"),
)


@lru_cache(maxsize=4096)
def american(word: str) -> str:
    """The American spelling that British rules make of a lower-case word ("oedema", "edema").

    Words that the rules do not touch come back as they are. The result need not be a word.
    """
    for british, spelled in _AMERICAN:
        word = british.sub(spelled, word)
    return word
