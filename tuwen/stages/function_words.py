"""Words that hold sentences together, by language: they tell close languages apart in a short text.

Only languages in Latin letters, and of those the ones that a small model mixes up. A word that several languages use
is listed with each of them, so that it speaks for none of them alone.
"""

from __future__ import annotations

_WORDS = {
    "en": "the of and to in is for with on this that are by from as it be or an not your you can will at has was if",
    "fr": "le la les des du de et un une est dans pour sur avec que qui par au aux ce cette pas ne se en il sont ou à",
    "de": "der die das und den dem des ein eine einer einen ist in im zu mit auf für von nicht sich wird sie bei oder",
    "es": "el la los las de del y en un una es que por para con se no al su como más este esta son o si lo puede",
    "pt": "o a os as de do da dos das e em um uma é que por para com não se no na ao mais ou como são este pode pelo",
    "gl": "o a os as de do da dos das e en un unha é que por para con non se no na ao máis ou como son este pode polo",
    "it": "il lo la i gli le di del della dei e è un una in per con che non si da al nel sono come più o questo può",
    "ca": "el la els les de del i en un una és que per amb no es al com més aquest són o si pot dels quan als",
    "ro": "și de la în cu pe un o este sunt nu să că din pentru care mai sau prin al ale se fi dacă ca",
    "nl": "de het een en van in is op te voor met dat die niet zijn aan er of om door als naar wordt bij kan uit deze",
    "da": "og i at det en er den til af for på med der ikke de som et fra har kan skal eller ved også blev når hvis",
    "no": "og i å det en er den til av for på med ikke de som et fra har kan skal eller ved også ble når hvis",
    "sv": "och i att det en är den till av för på med inte de som ett från har kan ska eller vid också om när",
    "fi": "ja on ei se että oli ovat myös mutta kun jos tai sen ole voi tämä joka niin kuin",
    "pl": "i w z na do nie jest się że to od po dla jak przez lub oraz za są ale przy może",
    "cs": "a v na je se z do s že pro to k o nebo není po jako při který lze jsou",
    "sk": "a v na je sa z do s že pre to k o alebo nie po ako pri ktorý sú môže",
    "sl": "in v je na za se da z s ni ne ali so kot iz po ki lahko tudi od",
    "hr": "i u je na se za da od s su ne ili kao iz po koji nije može te",
    "hu": "a az és egy nem hogy is van meg ez vagy csak kell nincs mint",
    "tr": "ve bir bu için ile da de olarak değil daha çok gibi var veya olan",
    "id": "dan yang di ke dari untuk dengan ini itu tidak adalah pada atau dalam akan bisa",
}
SENTENCES = 40
_LANGUAGES: dict[str, list[str]] = {}
for _language, _words in _WORDS.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, []).append(_language)


def count_function_words(words: list[str]) -> dict[str, float]:
    """How many of these words (lower case) each language lists; languages without any are left out.

    Beyond `SENTENCES` words the counts are those of an average stretch of that length, so that the stray `a` and `on`
    of a long list of names do not add up.
    """
    scale = min(1.0, SENTENCES / max(1, len(words)))
    counts: dict[str, float] = {}
    for word in words:
        for language in _LANGUAGES.get(word, ()):
            counts[language] = counts.get(language, 0.0) + scale
    return counts
