"""The interface in two languages: English as it stands in the templates, and its Chinese.

`tests/explorer/test_messages.py` fails when a text of a template has no Chinese here, or one here is used nowhere.
"""

from __future__ import annotations

import functools
import gettext
from typing import Any

from tuwen.explorer.chinese import CHINESE

LANGUAGES = {"en": "English", "zh": "中文"}


class _Table(gettext.NullTranslations):
    def __init__(self, table: dict[str, str]) -> None:
        super().__init__()
        self._table = table

    def gettext(self, message: str) -> str:
        return self._table.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)

    def pgettext(self, context: str, message: str) -> str:
        return self.gettext(message)

    def npgettext(self, context: str, msgid1: str, msgid2: str, n: int) -> str:
        return self.ngettext(msgid1, msgid2, n)


@functools.cache
def translations(language: str) -> Any:
    """Translations of a language, as `gettext` has them."""
    return _Table(CHINESE if language == "zh" else {})
