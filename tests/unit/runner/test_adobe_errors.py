"""What is done about each of the ways in which Adobe's SDK fails (observed in version 4.3.0)."""

import json
from typing import Any

import pytest

from paperjobs_runner.errors import RateLimited, ServiceFailed, ServiceRefused
from paperjobs_runner.services.adobe import pages_of
from paperjobs_runner.services.adobe_errors import AdobeCannotRead, classify

SIGNED = "https://s3/x?X-Amz-Signature=abc"


def api_error(status: int, code: str) -> Any:
    from adobe.pdfservices.operation.exception.exceptions import ServiceApiException

    return ServiceApiException(message=SIGNED, request_tracking_id=None, status_code=status, error_code=code)


def usage_error(code: str) -> Any:
    from adobe.pdfservices.operation.exception.exceptions import ServiceUsageException

    return ServiceUsageException(message=SIGNED, request_tracking_id=None, error_code=code)


def sdk_error() -> Any:
    from adobe.pdfservices.operation.exception.exceptions import SdkException

    return SdkException(SIGNED)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (usage_error("TOO_MANY_REQUESTS"), RateLimited),
        (usage_error("QUOTA_EXCEEDED"), AdobeCannotRead),  # nothing more this month: another reader must do
        (api_error(400, "DISQUALIFIED_PAGE_LIMIT"), AdobeCannotRead),
        (api_error(400, "BAD_PDF_CORRUPT"), AdobeCannotRead),
        (api_error(413, "UNKNOWN"), AdobeCannotRead),
        (api_error(401, "INVALID_TOKEN"), ServiceRefused),
        (api_error(500, "ERROR"), ServiceFailed),
        (api_error(0, "TIMEOUT"), ServiceFailed),
        (sdk_error(), ServiceFailed),  # the network, or /token answered anything but 200
        (AttributeError("'NoneType' object has no attribute 'text'"), ServiceFailed),  # an upload's XML without an id
        (json.JSONDecodeError("x", SIGNED, 0), ServiceFailed),  # a body in HTML
        (TypeError("float() argument must be"), ServiceFailed),  # no Retry-After
    ],
)
def test_each_failure_is_sorted_and_its_text_never_repeated(error: Exception, expected: type[Exception]) -> None:
    sorted_error = classify(error)
    assert type(sorted_error) is expected
    assert "X-Amz" not in str(sorted_error)


def test_elements_are_put_on_their_pages_in_the_order_given() -> None:
    document = {
        "elements": [
            {"Path": "//Document/H1", "Page": 0, "Text": "Title "},
            {"Path": "//Document/Figure", "Page": 0},
            {"Path": "//Document/P", "Page": 2, "Text": "Last"},
            {"Path": "//Document/P[2]", "Page": 0, "Text": "Authors"},
        ]
    }
    assert pages_of(document) == ["Title\nAuthors", "", "Last"]


@pytest.mark.parametrize("document", [None, [], {}, {"elements": "x"}])
def test_a_result_of_another_form_is_a_failure_of_the_service(document: object) -> None:
    with pytest.raises(ServiceFailed):
        pages_of(document)
