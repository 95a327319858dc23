"""The checks a person can make when a login fails, the likeliest cause first.

What must stay true: a check names no state of any member or card, so that anyone may read the list.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger import remedies
from ledger.remedies import Remedy


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at, and the step that follows if it is the cause."""

    code: str
    en: str
    ja: str
    remedy: Remedy

    def text(self, language: str) -> str:
        return self.ja if language == "ja" else self.en


LOGIN_CHECKS: tuple[Check, ...] = (
    Check(
        "half-width",
        "Are all characters half-width? The PIN and password are shown as dots, so full-width input is not seen.",
        "すべて半角で入力していますか。暗証番号とパスワードは伏せ字になるため、全角で入力していても気づけません。",
        remedies.USE_HALF_WIDTH,
    ),
    Check(
        "matching-pair",
        "Do the two belong together? A card number goes with the PIN, a Web-ID with the password.",
        "組み合わせは合っていますか。カード番号には暗証番号、Web-IDにはパスワードを入力します。",
        remedies.TYPE_AGAIN,
    ),
    Check(
        "number-and-case",
        "Is the card number 16 digits without spaces or hyphens, and is Caps Lock off for the password?",
        "カード番号は空白やハイフンなしの16桁ですか。パスワードの大文字と小文字は合っていますか。",
        remedies.TYPE_AGAIN,
    ),
    Check(
        "other-way-in",
        "Does the other way in work? After a wrong PIN or two the Web-ID with its password still works.",
        "別の方法で試しましたか。暗証番号を間違えても、停止前であればWeb-IDとパスワードでログインできます。",
        remedies.RESET_PIN_OR_USE_WEB,
    ),
    Check(
        "forgotten-password",
        "Is the Web-ID or the password forgotten? A mail to the registered address helps with both.",
        "Web-IDまたはパスワードをお忘れですか。ご登録のメールアドレスへのメールで確認と再設定ができます。",
        remedies.RESET_PASSWORD,
    ),
    Check(
        "forgotten-pin",
        "Is the PIN forgotten? Nobody can tell it, neither by phone nor online; a new one is set in person.",
        "暗証番号をお忘れですか。電話やWebではお答えも変更もできません。窓口で新しく登録します。",
        remedies.VISIT_COUNTER_OR_MACHINE,
    ),
    Check(
        "locked-card",
        "Were there several wrong PINs? Then the card itself is locked, time does not unlock it, and a new PIN does.",
        "暗証番号を続けて間違えましたか。カード自体が一時停止し、時間がたっても解除されません。再登録で解除されます。",
        remedies.VISIT_COUNTER_OR_MACHINE,
    ),
    Check(
        "card-at-a-machine",
        "Does the card work at a nearby cash machine? If it does not either, the card is stopped.",
        "お近くのATMでカードは使えますか。ATMでも使えない場合は、カードが停止しています。",
        remedies.CALL_CENTRE,
    ),
    Check(
        "mail-address",
        "Is the registered mail address forgotten or no longer in use?",
        "ご登録のメールアドレスがわからない、または使えなくなっていませんか。",
        remedies.CALL_CENTRE,
    ),
    Check(
        "none-of-these",
        "Is it none of these? Waiting will not help.",
        "どれにも当てはまりませんか。お待ちいただいても解消しません。",
        remedies.CALL_CENTRE,
    ),
)
