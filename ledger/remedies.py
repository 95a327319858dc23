"""What a person can do next, in Japanese and English. Every refusal and every lock names one of these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """A next step: a stable code, one text in each language, and the places where it can be taken."""

    code: str
    en: str
    ja: str
    where: tuple[str, ...] = ()

    def text(self, language: str) -> str:
        return self.ja if language == "ja" else self.en


RETRY_LATER = Remedy("retry-later", "Try again after the time given.", "案内の時間をおいて、もう一度お試しください。")
USE_HALF_WIDTH = Remedy(
    "use-half-width",
    "Switch to half-width input: use the numeric keypad or the software keyboard on the page.",
    "半角で入力してください。テンキーまたは画面のソフトウェアキーボードをお使いください。",
    ("web",),
)
CHECK_INPUT = Remedy(
    "check-input",
    "Correct the fields named in `errors` and send the request again.",
    "errors に示した項目を直して、もう一度お送りください。",
)
TYPE_AGAIN = Remedy(
    "type-again",
    "Type both again, each into its own field.",
    "それぞれの欄に、もう一度ご入力ください。",
    ("web",),
)
PROVE_IDENTITY_AGAIN = Remedy(
    "prove-identity-again",
    "Give the present password as well, or log in by card number and PIN and do this within five minutes.",
    "現在のパスワードもご入力いただくか、カード番号と暗証番号でログインし直し、5分以内にお手続きください。",
    ("web",),
)
USE_AN_ATM = Remedy(
    "use-an-atm",
    "Cash is drawn at a cash machine; through this channel the money can be transferred.",
    "現金はATMでお引き出しください。こちらでは口座へのお振込みをご利用いただけます。",
    ("atm",),
)
VISIT_COUNTER_OR_MACHINE = Remedy(
    "visit-counter-or-machine",
    "Bring an identity document to a counter or a contract machine and set a new PIN there.",
    "本人確認書類をお持ちのうえ、店頭窓口または自動契約機で暗証番号を再登録してください。",
    ("counter", "contract-machine"),
)
RESET_PASSWORD = Remedy(
    "reset-password",
    "Ask for a password mail on the login page and set a new password with it.",
    "ログイン画面の「Web-ID、パスワードを忘れた方」からメールを受け取り、パスワードを再設定してください。",
    ("web", "call-centre"),
)
RESET_PIN_OR_USE_WEB = Remedy(
    "reset-pin-or-use-web",
    "If the PIN is forgotten, log in by Web-ID and password, or set a new PIN at a counter or a contract machine.",
    "暗証番号をお忘れの場合は、Web-IDとパスワードでログインするか、店頭窓口または自動契約機で再登録してください。",
    ("web", "counter", "contract-machine"),
)
CALL_CENTRE = Remedy(
    "call-centre", "Please call the call centre.", "コールセンターへお電話ください。", ("call-centre",)
)
LOG_IN_AGAIN = Remedy("log-in-again", "Log in again.", "もう一度ログインしてください。", ("web",))
LOWER_AMOUNT = Remedy(
    "lower-amount",
    "Choose an amount within the available credit.",
    "利用可能額の範囲内の金額をお選びください。",
)
REFUND_LESS = Remedy(
    "refund-less",
    "Refund no more than was kept for the member on that day and still is.",
    "その日から現在までお預かりしている金額の範囲内でご返金ください。",
)
CHOOSE_VALID_AMOUNT = Remedy(
    "choose-valid-amount", "Choose an amount that fits the rule named.", "条件に合う金額をお選びください。"
)
REGISTER_PAYOUT_ACCOUNT = Remedy(
    "register-payout-account",
    "Register a bank account in the member's own name first.",
    "先にご本人名義の振込先口座を登録してください。",
    ("web", "counter"),
)
CHOOSE_ANOTHER_PIN = Remedy(
    "choose-another-pin",
    "Choose four digits that are not common and not part of a birth date, phone or card number.",
    "推測されやすい番号、生年月日、電話番号、カード番号を避けて、別の4桁をお選びください。",
    ("counter", "contract-machine"),
)
CHOOSE_ANOTHER_PASSWORD = Remedy(
    "choose-another-password",
    "Choose another password of 12 to 128 characters that is not common and does not hold the Web-ID.",
    "12文字以上128文字以内で、推測されにくく、Web-IDを含まない別のパスワードをお選びください。",
    ("web",),
)
CHOOSE_ANOTHER_WEB_ID = Remedy(
    "choose-another-web-id", "Choose another Web-ID.", "別のWeb-IDをお選びください。", ("web",)
)
SHOW_DOCUMENT = Remedy(
    "show-document",
    "Check an accepted identity document again and send it within 15 minutes.",
    "有効な本人確認書類を改めて確認し、15分以内にお送りください。",
    ("counter", "contract-machine"),
)
CHANGE_TERMS_ASKED = Remedy(
    "change-terms-asked",
    "Ask for a rate and a limit that the product and the law allow.",
    "商品と法令の範囲内の利率と限度額をご指定ください。",
)
SUBMIT_INCOME_PROOF = Remedy(
    "submit-income-proof",
    "Submit a valid proof of income.",
    "有効な収入証明書をご提出ください。",
    ("counter", "web"),
)
REDUCE_TOTAL = Remedy(
    "reduce-total",
    "The total of loans must come down to one third of the yearly income first.",
    "お借入れの総額が年収の3分の1以内になってからお手続きください。",
    ("call-centre",),
)
REPAY_ARREARS = Remedy(
    "repay-arrears",
    "Pay the instalment that is due.",
    "お支払期日を過ぎた金額をご返済ください。",
    ("atm", "web", "counter"),
)
READ_STATE_FIRST = Remedy(
    "read-state-first",
    "Read the present state of the object and decide again.",
    "最新の状態を確認してから、改めてお手続きください。",
)
SETTLE_FIRST = Remedy(
    "settle-first",
    "Pay what the settlement quote of the day says, and wait until every advance under way has ended.",
    "当日の精算額をご返済いただき、お手続き中のお借入れが終わってからお手続きください。",
    ("web", "atm", "counter"),
)
CORRECT_VALUE_DATE = Remedy(
    "correct-value-date",
    "Give a value date that is not in the future, not before the card and not over 92 days back.",
    "未来ではなく、カード発行日以降かつ92日以内の日付を指定してください。",
)
USE_OTHER_ROLE = Remedy(
    "use-other-role",
    "Ask somebody whose role permits this.",
    "この手続きができる担当者にご依頼ください。",
)
SECOND_PERSON = Remedy(
    "second-person",
    "Another person in the role must do this.",
    "別の担当者が手続きしてください。",
)
NOTHING_TO_DO = Remedy(
    "nothing-to-do", "Nothing is owed; no payment is needed.", "お支払いいただく残高はありません。"
)
REQUEST_MAIL_AGAIN = Remedy(
    "request-mail-again",
    "Ask for a new password mail.",
    "パスワード再設定メールを改めてお申し込みください。",
    ("web",),
)
USE_NEW_KEY = Remedy(
    "use-new-key",
    "Use a new idempotency key for a new request, and the old key only to repeat the old request unchanged.",
    "新しい依頼には新しい冪等キーをお使いください。",
)
CHOOSE_ANOTHER_DAY = Remedy(
    "choose-another-day",
    "Close the days in their order, each once it is over.",
    "終わった営業日を、古い日から順に締めてください。",
)
CHOOSE_ANOTHER_INSTANT = Remedy(
    "choose-another-instant",
    "Name an instant or a position that the log has reached.",
    "記録の範囲内の日時または位置を指定してください。",
)

REMEDIES: dict[str, Remedy] = {each.code: each for each in tuple(globals().values()) if isinstance(each, Remedy)}
"""Every remedy by its code: a stored refusal names its own."""
