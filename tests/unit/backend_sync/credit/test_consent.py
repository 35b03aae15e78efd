"""Claims about consent: when a driver's data may be used, and when no more."""

from __future__ import annotations

from dataclasses import replace

from backend_sync.credit.consent import DRIVING_GRADE, Consent, live_consent

GIVEN = Consent("driver-1", DRIVING_GRADE, "aa" * 32, "zh", 1_000, 9_000, withdrawn=False)
WITHDRAWN = replace(GIVEN, given_us=2_000, withdrawn=True)


def test_nobody_has_consented_by_silence() -> None:
    assert live_consent([], "driver-1", DRIVING_GRADE, 5_000) is None


def test_a_consent_holds_from_its_instant_until_its_expiry() -> None:
    assert live_consent([GIVEN], "driver-1", DRIVING_GRADE, 999) is None
    assert live_consent([GIVEN], "driver-1", DRIVING_GRADE, 1_000) == GIVEN
    assert live_consent([GIVEN], "driver-1", DRIVING_GRADE, 8_999) == GIVEN
    assert live_consent([GIVEN], "driver-1", DRIVING_GRADE, 9_000) is None


def test_withdrawal_ends_it_at_once_whatever_order_the_statements_arrive_in() -> None:
    for statements in ([GIVEN, WITHDRAWN], [WITHDRAWN, GIVEN]):
        assert live_consent(statements, "driver-1", DRIVING_GRADE, 1_999) == GIVEN
        assert live_consent(statements, "driver-1", DRIVING_GRADE, 2_000) is None


def test_a_consent_given_anew_holds_again() -> None:
    anew = replace(GIVEN, given_us=3_000)
    assert live_consent([GIVEN, WITHDRAWN, anew], "driver-1", DRIVING_GRADE, 3_000) == anew


def test_of_one_instant_the_withdrawal_wins() -> None:
    together = replace(WITHDRAWN, given_us=1_000)
    assert live_consent([together, GIVEN], "driver-1", DRIVING_GRADE, 1_500) is None


def test_consent_of_another_person_or_purpose_does_not_count() -> None:
    assert live_consent([GIVEN], "driver-2", DRIVING_GRADE, 5_000) is None
    assert live_consent([GIVEN], "driver-1", "marketing", 5_000) is None
