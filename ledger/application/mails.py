"""The mails that the ledger writes: what they say, in Japanese and English. They are sealed until they are sent."""

from __future__ import annotations


def password_mail(address: str, web_id: str, token: str) -> dict[str, str]:
    """The mail that names the Web-ID and holds the token of a password reset."""
    return {
        "to": address,
        "kind": "password-reset",
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
