"""The mails that the ledger writes: what they say, in Japanese and English.

What must stay true: a notice tells that something changed and what to do if it was not the member; it never holds a
secret. The one mail with a token is sealed until it is sent.
"""

from __future__ import annotations

NOTICES: dict[str, tuple[str, str]] = {
    "card-locked": (
        "暗証番号の誤りが続いたため、カードを一時停止しました。本人確認書類をお持ちのうえ、店頭窓口または自動契約機で暗証番号を再登録してください。",
        "Your card is locked after several wrong PINs. Set a new PIN at a counter or a contract machine.",
    ),
    "pin-reset": (
        "カードの暗証番号が再登録されました。お心当たりのない場合は、コールセンターへお電話ください。",
        "A new PIN was set for your card. If it was not you, call the call centre.",
    ),
    "web-login-locked": (
        "パスワードの誤りが続いたため、Webログインを停止しました。ログイン画面からパスワードを再設定してください。",
        "Your web login is locked after several wrong passwords. Set a new password from the login page.",
    ),
    "web-id-registered": (
        "Web-IDとパスワードが登録されました。お心当たりのない場合は、コールセンターへお電話ください。",
        "A Web-ID and a password were registered. If it was not you, call the call centre.",
    ),
    "password-changed": (
        "パスワードが再設定されました。お心当たりのない場合は、コールセンターへお電話ください。",
        "A new password was set. If it was not you, call the call centre.",
    ),
    "email-changed": (
        "ご登録のメールアドレスが変更されました。お心当たりのない場合は、コールセンターへお電話ください。",
        "Your registered e-mail address was changed. If it was not you, call the call centre.",
    ),
}
"""The notices by kind: Japanese, then English. A stop sends none."""


def notice(kind: str, address: str) -> dict[str, str]:
    """A notice to one address."""
    japanese, english = NOTICES[kind]
    return {"to": address, "subject": "お知らせ / Notice", "text": f"{japanese}\n{english}\n"}


def password_mail(address: str, web_id: str, token: str) -> dict[str, str]:
    """The mail that names the Web-ID and holds the token of a password reset."""
    return {
        "to": address,
        "subject": "パスワード再設定のご案内 / Setting a new password",
        "web_id": web_id,
        "token": token,
        "text": (
            f"Web-ID: {web_id}\n"
            "10分以内に、次の再設定コードでパスワードを再設定してください。お心当たりのない場合は破棄してください。\n"
            "Use this code within ten minutes to set a new password. Discard this mail if you did not ask for it.\n"
            f"{token}\n"
        ),
    }
