"""Stop words by language: a text of sentences has some, a list of keywords or a menu has none.

Latin languages have those of `tuwen.stages.function_words`; the others are listed here. Chinese and Japanese are listed
by characters, which is how `tuwen.stages.words` cuts them. Thai and its like, written without spaces, have no list.
"""

from __future__ import annotations

from tuwen.stages.function_words import _WORDS as LATIN_WORDS

_OTHERS = {
    "ru": "и в не на я что он с как это по но из у за от так же для вы все о его к до бы или при мы их под если",
    "uk": "і в не на що з у як це та по але до за від так для ви всі про його або при ми їх під якщо є й",
    "bg": "и в не на че с как това по но от за до се са да или при ги под ако е като или",
    "sr": "и у не на да је се су са за од као или по али што из",
    "el": "και το η ο να του της των για με που από στο στη είναι δεν τα τη την σε ή θα μια ένα",
    "he": "של את על לא הוא היא זה עם כי או גם אם כל אל מה הם יש",
    "ar": "في من على إلى عن أن هذا هذه التي الذي مع كان لا ما أو هو هي كل بعد قبل و ثم",
    "fa": "و در به از که این را با است برای آن تا بر هم یا شده یک",
    "ur": "کے کی میں ہے اور سے کا کو پر نے یہ ہیں بھی تو کہ",
    "hi": "के में की है और से का को पर ने यह हैं भी तो कि एक इस नहीं लिए या",
    "bn": "এবং ও এই যে না করে একটি থেকে জন্য এর",
    "ko": "및 수 있는 이 그 등 것 할 때 또는 더 한 있습니다 합니다",
    "vi": "và của là các có trong cho không được với một những này để khi đã từ",
    "zh": "的 了 是 在 和 与 有 不 这 那 我 你 他 也 就 都 而 及 或 把 被 对 着 上 中 這 與 個 个 为 為 于 以 可 其",
    "ja": "の に は を た が で て と し れ さ ある も する から な こ と い ま す",
}
STOP_WORDS = {language: frozenset(words.split()) for language, words in {**LATIN_WORDS, **_OTHERS}.items()}
