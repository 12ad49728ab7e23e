"""Function words: the most frequent words of a language that carry no subject of their own."""

from __future__ import annotations

from collections.abc import Mapping

from app.knowledge.terms import words_of

_WRITTEN: Mapping[str, str] = {
    "en": (
        "the of and to a in is it that for on was with as are be by this at from or an not which but have has had "
        "you we he she they i his her their its our your my will would can could should may might must shall do does "
        "did been being were there here then than so if when where while what who whom whose how why all any each "
        "some no nor only also such these those other another more most very into onto out up down over under about "
        "between through during before after again both own same too just because until against me him them us am"
    ),
    "de": (
        "der die das und ist in den von zu mit sich des auf für dem im nicht ein eine als auch es an werden aus er "
        "hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur "
        "bis mehr durch man sein wurde wenn kann ich wir ihr"
    ),
    "fr": (
        "le la les de des du et est un une en à dans que qui pour pas sur au aux avec ce cette ces il elle ils elles "
        "nous vous je se sa son ses plus par ne ou mais comme sont être été fait leur leurs tout aussi même si"
    ),
    "es": (
        "el la los las de del y es un una en que por con para no se su sus al lo como más pero o este esta estos son "
        "ha era ser fue muy también sin sobre entre cuando hay todo desde nos ya le les"
    ),
    "it": (
        "il lo la i gli le di del della dei delle e è un una in che per non con si su da come più ma o questo questa "
        "sono al alla ai nel nella ha era essere anche dal dalla loro ci se suo sua tutto"
    ),
    "pt": (
        "o a os as de do da dos das e é um uma em no na nos nas que para por com não se seu sua mais como mas ou este "
        "esta são ao à foi ser também pelo pela entre quando muito já ele ela isso"
    ),
    "nl": (
        "de het een van en is in op te dat die niet met voor zijn aan er om als ook maar door over bij nog uit dan of "
        "naar hij ze wordt was worden deze dit heeft hebben kan meer al wel zich tot geen we je"
    ),
}

FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words_of(written)) for language, written in _WRITTEN.items()
}
"""Folded words by ISO 639-1 code. Of running text they are some 40 to 55 % in English, 30 to 45 % elsewhere."""
