"""Whether a question is in the language that the lexicon and the safeguards know: English."""

from __future__ import annotations

import unicodedata

from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.sentences import split_sentences
from imc_agents.language.word_distance import edit_distance
from imc_agents.language.words import words_of

FUNCTION_WORDS = frozenset(
    "a about above after again all am an and any are as at be been before being below between both "
    "but by can could did do does during each few for from further had has have he her here hers "
    "him his how i if in into is it its just may me might more most must my no nor not now of off "
    "on once only or other our out over own same shall she should so some such than that the their "
    "them then there these they this those through to too under until up upon us very was we were "
    "what when where which while who whom whose why will with within without would you your".split()
)
"""Function words of English."""
FINITE = frozenset("is are was were does do did has have had can could will would should".split())
"""Verbs that questions are built with."""
AUXILIARIES = FINITE | frozenset("am be been shall may might must".split())
"""The same, and those that only statements have."""

_OTHERS = {
    language: frozenset(words.split())
    for language, words in {
        "Spanish": "el la los las un una unos unas lo le les de del al a en es son está están ser "
        "hay ha han fue que qué cual cuál cuales cuáles donde dónde como cómo cuando cuándo cuanto "
        "cuánto cuantos cuántos quien si no se su sus y o por para con sin sobre entre este esta "
        "estos estas eso ese esa esto muy más algun alguna algún existe tiene muestra",
        "French": "le la les l un une des du de d au aux en est sont être a ont y il elle on ce "
        "cet cette ces c que qui quel quelle quels quelles quoi où comment combien quand pourquoi "
        "et ou ne pas dans sur sous avec sans par pour entre son sa ses leur se si plus très avez "
        "vous montre voit elles ils était fait t",
        "Italian": "il lo la i gli le l un una uno dei degli delle del dello della dell di da dal "
        "dalla nel nello nella nell nei negli nelle in è sono ha hanno c ci che chi quale quali "
        "qual dove come quando quanto quanti quante perché e o non si su sul sulla con per tra fra "
        "questo questa questi queste suo sua essere c'è ce molto più",
        "Portuguese": "o a os as um uma uns umas do da dos das de no na nos nas em ao à pelo pela "
        "é são está estão há tem ser foi que qual quais quem onde como quando quanto quantos por "
        "para com sem sobre entre e ou não se este esta esse essa isso isto seu sua mais muito "
        "existe",
        "German": "der die das den dem des ein eine einer eines einem einen kein keine ist sind "
        "war waren hat haben wird werden gibt es er sie man wo wie was wer wann warum welche "
        "welcher welches welchen und oder nicht mit ohne in im an am auf aus bei beim zu zum "
        "zur von vom für über unter zwischen nach vor sich auch noch sehr diese dieser "
        "dieses hier dort liegt zeigt sichtbar",
        "Dutch": "de het een der den is zijn was waren heeft hebben wordt worden er wat waar wie "
        "welk welke hoe wanneer waarom dit dat deze die en of niet geen met zonder in op aan bij "
        "van voor tot te uit over onder tussen naar om ook nog zeer als hij zij men hier daar ziet "
        "zichtbaar",
        "Swedish": "en ett den det de är var finns har hade vad vilken vilket vilka hur var när "
        "varför och eller inte ej med utan i på av för från till under över mellan om som denna "
        "detta dessa här där man sig mycket syns",
        "Danish, Norwegian": "en et ei den det de er var findes finnes har havde hadde hvad hva "
        "hvilken hvilket hvilke hvor hvordan hvornår når hvorfor og eller ikke ingen med uden uten "
        "i på af av for fra til under over mellem mellom om som denne dette disse her der man sig "
        "seg ses",
        "Polish": "jest są był była być czy co gdzie jak jaki jaka jakie jakiego który która które "
        "ile kiedy dlaczego i lub albo nie z ze bez w we na do od po pod nad przy za przez dla o "
        "ten ta to te tym tej się widać ma",
        "Czech, Slovak": "je jsou sú byl bola být byť co čo kde jak ako jaký jaká aký aká který "
        "která ktorý kolik koľko kdy kedy proč a nebo alebo ne nie není s se so bez v ve vo na do "
        "od po pod nad při pri za přes cez pro pre o ten ta to tento tato sa si má vidět",
        "Romanian": "un o unei unui este sunt era au are ce care unde cum când cât câte câți și si "
        "sau nu cu fără in în pe la de din pentru prin între sub acest această aceasta acesta al "
        "ale lui exista există se vede",
        "Turkish": "bir bu şu o ve veya ile mi mı mu mü var yok ne nerede nedir hangi hangisi kaç "
        "nasıl neden için de da değil olan olarak midir mıdır görülüyor görülmekte",
        "Hungarian": "a az egy ez van vannak volt e hol mi mely melyik hogyan mennyi hány és vagy "
        "nem ban ben nak nek látható",
        "Finnish": "on ovat oli onko ovatko mikä missä miten mitä kuinka montako ja tai vai ei "
        "eivät ole tämä tässä se siinä näkyy näkyykö",
        "Indonesian, Malay": "apakah ada adakah apa di mana dimana bagaimana berapa yang dan "
        "atau tidak bukan dengan tanpa ini itu pada dari ke dalam untuk adalah terlihat",
        "Catalan": "el la els les un una uns unes de del dels al als en és són hi ha què quin "
        "quina quins on com quan quant i o no amb sense per aquest aquesta es",
        "Croatian, Serbian": "je su bio bila li ima gdje gde kako koji koja koje koliko kada zašto "
        "i ili ne nije s sa bez u na do od po pod nad pri za kroz o ovaj ova ovo da se što šta",
        "Latin": "est sunt et aut non cum sine ubi quid quod qui quae haec hic hoc ad ex ab",
    }.items()
}
"""Words that questions are built with, by language; some of them English has as well ("is")."""

_SLIPS = frozenset("si ou hat die war man non na con un od sine".split())
"""Foreign words that a slip in an English one often makes, or that English has in another sense."""
_FOREIGN = frozenset().union(*_OTHERS.values())

MAX_NON_ASCII = 0.3
"""Share of letters outside ASCII from which a text is taken for another script or language."""
MAX_UNKNOWN = 0.7
"""Share of unknown words from which a text of four words or more is not English, however
corrupted: the heaviest noise of the benchmark hits half of the words. Of `FEW` all must be."""
FEW = 3
MAX_UNKNOWN_BESIDE_ONE = 0.5
"""The same among the other words of a text with a single function word that English has not."""


def why_not_english(question: str, lexicon: LexiconLike) -> str | None:
    """Why the agents leave a question alone as not English; None for an English one."""
    question = unicodedata.normalize("NFC", question)
    letters = [character for character in question if character.isalpha()]
    if not letters:
        return "it has no letters"
    if sum(not character.isascii() for character in letters) > MAX_NON_ASCII * len(letters):
        return "not English: most of its letters are not those of English"
    if "¿" in question or "¡" in question:
        return "not English: its punctuation is another language's"
    words = _plain_words(question)
    if _is_foreign(words, lexicon):
        return "not English: its function words are another language's"
    if FUNCTION_WORDS.isdisjoint(words) and any(not word.isascii() for word in words):
        return "not English: its letters and function words are another language's"
    sentences = split_sentences(question)
    if len(sentences) > 1 and any(
        _is_foreign(_plain_words(one.text), lexicon) for one in sentences
    ):
        return "one of its sentences is in another language"
    unknown = sum(word not in lexicon for word in words)
    most = MAX_UNKNOWN * len(words) if len(words) > FEW else len(words) - 1
    if len(words) >= FEW and unknown > most:
        return "not English: almost none of its words is known"
    return None


def _plain_words(text: str) -> list[str]:
    return [word.text.lower().replace("’", "'") for word in words_of(text)]


def _is_foreign(words: list[str], lexicon: LexiconLike) -> bool:
    """Another language's function words explain more of the words than English ones do.

    Of those that English has not, there must be two, or one where English has none of the words or
    most of the other words are unknown: a slip in an English word may make one of them.
    """
    words = [word for word in words if len(word) > 1]
    english = sum(word in FUNCTION_WORDS or _is_near_english(word, lexicon) for word in words)
    for language in _OTHERS.values():
        built = [word for word in words if word in language]
        alone = {word for word in built if word not in FUNCTION_WORDS and word not in _SLIPS}
        if len(built) <= english or not alone:
            continue
        if len(alone) > 1 or not english:
            return True
        others = [word for word in words if word not in FUNCTION_WORDS and word not in language]
        unknown = sum(word not in lexicon for word in others)
        if others and unknown >= MAX_UNKNOWN_BESIDE_ONE * len(others):
            return True
    return False


def _is_near_english(word: str, lexicon: LexiconLike) -> bool:
    """No word of any language known here, and one slip from a function word of English."""
    if word in _FOREIGN or word in lexicon:
        return False
    return any(edit_distance(word, one, 1) <= 1 for one in FUNCTION_WORDS if len(one) > 2)
